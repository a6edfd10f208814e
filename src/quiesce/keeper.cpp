// SPDX-License-Identifier: Apache-2.0
#include "quiesce/keeper.hpp"

#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>

#include "base/process.hpp"

namespace dlm_freeze {
namespace {

constexpr int kLife = STDIN_FILENO;

/// Takes the status of `child` when it has ended. False when it has not, with WNOHANG among `options`.
bool take_status(pid_t child, int options, int& status) {
  for (;;) {
    const pid_t ended = ::waitpid(child, &status, options);
    if (ended >= 0) return ended == child;
    if (errno != EINTR) complain("its exit status is not known\n");
  }
}

/// Waits for the end of `child` and takes its status; false when it has to be killed first. SIGCHLD is blocked.
bool await_end(pid_t child, int grace_ms, int& status) {
  sigset_t end;
  ::sigemptyset(&end);
  ::sigaddset(&end, SIGCHLD);
  const int ends = ::signalfd(-1, &end, SFD_NONBLOCK | SFD_CLOEXEC);
  if (ends < 0) return false;
  for (bool in_grace = false; !take_status(child, WNOHANG, status);) {
    std::array<pollfd, 2> events = {pollfd{ends, POLLIN, 0}, pollfd{in_grace ? -1 : kLife, POLLIN, 0}};
    const int count = ::poll(events.data(), events.size(), in_grace ? grace_ms : -1);
    if (count < 0) continue;
    signalfd_siginfo info{};
    if (::read(ends, &info, sizeof info) > 0) continue;
    if (!in_grace && events[1].revents == 0) continue;
    char byte = 0;
    if (in_grace || ::read(kLife, &byte, 1) > 0) return false;
    in_grace = true;
  }
  return true;
}

}  // namespace

void keep_program(const Launch& launch, char* const* argv, char* const* environment, KeeperFds fds, int grace_ms) {
  sigset_t all;
  ::sigfillset(&all);
  ::sigprocmask(SIG_SETMASK, &all, nullptr);
  ::setsid();
  // Not prctl(2) itself: that of AddressSanitizer takes a lock here, which another thread may have held at the fork.
  ::syscall(SYS_prctl, PR_SET_NAME, "dlm-keeper");
  ::dup2(fds.input, STDIN_FILENO);
  ::dup2(fds.output, STDOUT_FILENO);
  ::dup2(fds.output, STDERR_FILENO);
  // Whoever ignores this signal gets no exit status (wait(2)), and a child inherits that.
  struct sigaction of_ends {};
  of_ends.sa_handler = SIG_DFL;
  of_ends.sa_flags = SA_NOCLDSTOP;
  ::sigaction(SIGCHLD, &of_ends, nullptr);

  const pid_t self = ::getpid();
  // The C library's fork() runs what others have registered for it.
  const auto child = static_cast<pid_t>(::syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, nullptr));
  if (child == 0) become(launch, argv, environment, self);
  if (child < 0) complain("cannot be started\n");
  ::dup2(fds.life, kLife);
  ::dup2(fds.unread, 1);
  close_from(2);

  int status = 0;
  if (!await_end(child, grace_ms, status)) {
    ::kill(-child, SIGKILL);
    ::kill(child, SIGKILL);  // It may not have got as far as having a group.
    take_status(child, 0, status);
  }
  ::_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

}  // namespace dlm_freeze
