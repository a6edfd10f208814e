// SPDX-License-Identifier: Apache-2.0
#include "base/wait.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace dlm_freeze {

namespace {

bool wait_for(short event, int fd, Deadline deadline) noexcept {
  for (;;) {
    pollfd watched = {fd, event, 0};
    const int count = ::poll(&watched, 1, deadline.poll_timeout());
    if (count < 0 && errno == EINTR) continue;
    return count > 0;
  }
}

}  // namespace

bool wait_readable(int fd, Deadline deadline) noexcept { return wait_for(POLLIN, fd, deadline); }

bool wait_readable(int fd, const Patience& patience) noexcept {
  for (;;) {
    std::array<pollfd, 2> watched = {pollfd{fd, POLLIN, 0}, pollfd{patience.cancel_fd, POLLIN, 0}};
    const int count = ::poll(watched.data(), watched.size(), patience.deadline.poll_timeout());
    if (count < 0 && errno == EINTR) continue;
    return count > 0 && watched[0].revents != 0;
  }
}

bool wait_writable(int fd, Deadline deadline) noexcept { return wait_for(POLLOUT, fd, deadline); }

Result<void> await_server(int fd, short events, const Patience& patience) {
  for (;;) {
    std::array<pollfd, 2> watched = {pollfd{fd, events, 0}, pollfd{patience.cancel_fd, POLLIN, 0}};
    const int count = ::poll(watched.data(), watched.size(), patience.deadline.poll_timeout());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return system_failure("cannot wait for the server", errno);
    if (watched[1].revents != 0) return failure("given up, because the session is being undone");
    if (watched[0].revents != 0 && !patience.deadline.expired()) return {};
    return failure("the server does not answer in time", ErrorKind::not_ready);
  }
}

bool pause_for(BootClock::duration span, const Patience& patience) noexcept {
  const bool told_to = wait_readable(patience.cancel_fd, Deadline::in(span).or_earlier(patience.deadline));
  return !told_to && !patience.deadline.expired();
}

Result<UniqueFd> new_event() {
  UniqueFd fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!fd) return system_failure("cannot create an eventfd", errno);
  return fd;
}

void raise_event(int fd) noexcept {
  const std::uint64_t one = 1;
  static_cast<void>(!::write(fd, &one, sizeof one));
}

std::uint64_t take_events(int fd) noexcept {
  std::uint64_t count = 0;
  return ::read(fd, &count, sizeof count) == sizeof count ? count : 0;
}

}  // namespace dlm_freeze
