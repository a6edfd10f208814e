// SPDX-License-Identifier: Apache-2.0
#include "base/child.hpp"

#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <ctime>
#include <utility>

#include "base/process.hpp"
#include "base/wait.hpp"

namespace dlm_freeze {

Result<Child> Child::start(const std::function<void(int life)>& body) {
  std::array<int, 2> ends = {-1, -1};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) ends = {-1, -1};  // It runs all the same.
  UniqueFd ours(ends[0]);
  const UniqueFd childs(ends[1]);
  Child child;
  child.pid_ = ::fork();
  if (child.pid_ < 0) return system_failure("cannot start a process", errno);
  if (child.pid_ == 0) {
    ours.reset();
    body(childs.get());
    end_process(0);
  }
  child.life_ = std::move(ours);
  return child;
}

std::optional<int> Child::wait(Deadline deadline) noexcept {
  if (pid_ < 0 || !life_ || !wait_readable(life_.get(), deadline)) return std::nullopt;
  // Its descriptors are closed, and nothing is left for it to do but to end.
  int status = 0;
  const pid_t ended = std::exchange(pid_, -1);
  life_.reset();
  while (::waitpid(ended, &status, 0) < 0) {
    if (errno != EINTR) return std::nullopt;
  }
  return status;
}

void Child::send(int signal) const noexcept {
  if (pid_ > 0) signal_child(pid_, signal);
}

namespace {

/// Waits until `child` has ended, and leaves it to be waited for.
void await_end_of(pid_t child, Deadline deadline) {
  const UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, child, 0)));
  if (pidfd) {
    static_cast<void>(wait_readable(pidfd.get(), deadline));
    return;
  }
  // Before Linux 5.3: the end of any child is a SIGCHLD.
  sigset_t ends;
  sigset_t before;
  ::sigemptyset(&ends);
  ::sigaddset(&ends, SIGCHLD);
  ::pthread_sigmask(SIG_BLOCK, &ends, &before);
  siginfo_t ended{};
  while (::waitid(P_PID, static_cast<id_t>(child), &ended, WEXITED | WNOHANG | WNOWAIT) == 0 && ended.si_pid == 0 &&
         !deadline.expired()) {
    const auto left = std::chrono::duration_cast<std::chrono::nanoseconds>(deadline.remaining());
    const timespec most = {0, static_cast<long>(left.count())};  // Less than a second.
    ::sigtimedwait(&ends, nullptr, &most);
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

}  // namespace

std::string ending_of(pid_t child) {
  constexpr auto kPatience = std::chrono::milliseconds(200);
  await_end_of(child, Deadline::in(kPatience));
  siginfo_t ended{};
  if (::waitid(P_PID, static_cast<id_t>(child), &ended, WEXITED | WNOHANG | WNOWAIT) != 0 || ended.si_pid == 0)
    return "";
  if (ended.si_code == CLD_EXITED) {
    return ended.si_status == kOutOfMemory
               ? "; it ran out of memory: the host is short of it, or ulimit -v or a control group allows too little"
               : "";
  }
  switch (ended.si_status) {
    case SIGKILL:
      return "; it was killed, by a user or by the kernel for want of memory (see dmesg)";
    case SIGABRT:
      return "; it aborted: it can have no more memory (ulimit -v, a control group), or it has a bug";
    case SIGSYS:
      return "; a filter of system calls (seccomp) killed it";
    default:
      return "; it was killed by signal " + std::to_string(ended.si_status);
  }
}

void signal_child(pid_t child, int signal) noexcept {
  siginfo_t ended{};
  if (::waitid(P_PID, static_cast<id_t>(child), &ended, WEXITED | WNOHANG | WNOWAIT) == 0) ::kill(child, signal);
}

}  // namespace dlm_freeze
