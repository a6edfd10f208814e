// SPDX-License-Identifier: Apache-2.0
#include "session/timer.hpp"

#include <sys/timerfd.h>

#include <cerrno>
#include <chrono>

namespace dlm_freeze {

Result<UniqueFd> new_timer(Deadline deadline) {
  UniqueFd fd(::timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK));
  const auto since_boot = deadline.at().time_since_epoch();
  const auto seconds = std::chrono::floor<std::chrono::seconds>(since_boot);
  const itimerspec at = {{0, 0}, {seconds.count(), (since_boot - seconds).count()}};
  if (!fd || ::timerfd_settime(fd.get(), TFD_TIMER_ABSTIME, &at, nullptr) != 0)
    return system_failure("cannot set a timer", errno);
  return fd;
}

}  // namespace dlm_freeze
