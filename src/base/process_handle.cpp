// SPDX-License-Identifier: Apache-2.0
#include "base/process_handle.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <utility>

namespace dlm_freeze {
namespace {

/// The kernel signals the owner also when the other end is closed: with one that nobody minds.
constexpr int kUnnoticed = SIGURG;

}  // namespace

ProcessHandle ProcessHandle::of(pid_t process) noexcept {
  ProcessHandle handle;
  handle.process_ = UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, process, 0)));
  if (handle.process_) return handle;
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()) != 0) return handle;
  UniqueFd owned(ends[0]);
  UniqueFd trigger(ends[1]);
  const bool is_its = ::fcntl(owned.get(), F_SETSIG, kUnnoticed) == 0 && ::fcntl(owned.get(), F_SETOWN, process) == 0 &&
                      ::fcntl(owned.get(), F_SETFL, O_NONBLOCK | O_ASYNC) == 0;
  if (!is_its) return handle;
  handle.process_ = std::move(owned);
  handle.trigger_ = std::move(trigger);
  return handle;
}

bool ProcessHandle::send(int signal) const noexcept {
  if (!process_) return false;
  if (!trigger_) return ::syscall(SYS_pidfd_send_signal, process_.get(), signal, nullptr, 0) == 0;
  ::fcntl(process_.get(), F_SETSIG, signal);
  ::send(trigger_.get(), "", 1, MSG_NOSIGNAL);
  ::fcntl(process_.get(), F_SETSIG, kUnnoticed);
  char byte = 0;
  static_cast<void>(::recv(process_.get(), &byte, 1, 0));  // The pair never fills up.
  return true;
}

}  // namespace dlm_freeze
