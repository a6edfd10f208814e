// SPDX-License-Identifier: Apache-2.0
#include "dlm_freeze/base/deadline.hpp"

#include <sys/timerfd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <limits>

namespace dlm_freeze {

BootClock::time_point BootClock::now() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return time_point(std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec));
}

BootClock::duration Deadline::remaining() const noexcept {
  return std::max(at_ - BootClock::now(), BootClock::duration::zero());
}

int Deadline::poll_timeout() const noexcept {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(remaining()).count();
  return static_cast<int>(std::min<decltype(left)>(left, std::numeric_limits<int>::max()));
}

Result<UniqueFd> new_timer(Deadline deadline) {
  UniqueFd fd(::timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!fd || !set_timer(fd.get(), deadline)) return system_failure("cannot set a timer", errno);
  return fd;
}

bool set_timer(int timer, Deadline deadline) noexcept {
  const auto since_boot = deadline.at().time_since_epoch();
  const auto seconds = std::chrono::floor<std::chrono::seconds>(since_boot);
  const itimerspec at = {{0, 0}, {seconds.count(), (since_boot - seconds).count()}};
  return ::timerfd_settime(timer, TFD_TIMER_ABSTIME, &at, nullptr) == 0;
}

std::string format_utc(WallTime when) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(when);
  std::tm broken_down{};
  ::gmtime_r(&seconds, &broken_down);
  std::array<char, 32> text{};
  const std::size_t length = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &broken_down);
  return {text.data(), length};
}

std::string format_seconds(BootClock::duration span) {
  return format_seconds(std::chrono::duration<double>(span).count());
}

std::string format_seconds(double seconds) {
  std::array<char, 48> text{};
  const int length = std::snprintf(text.data(), text.size(), "%.3f", seconds);
  return {text.data(), static_cast<std::size_t>(std::max(length, 0))};
}

}  // namespace dlm_freeze
