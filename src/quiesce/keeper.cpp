// SPDX-License-Identifier: Apache-2.0
#include "quiesce/keeper.hpp"

#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>

#include "base/process.hpp"

namespace dlm_freeze {

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
  ::signal(SIGCHLD, SIG_DFL);

  const pid_t self = ::getpid();
  // The C library's fork() runs what others have registered for it.
  const auto child = static_cast<pid_t>(::syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, nullptr));
  if (child == 0) become(launch, argv, environment, self);
  if (child < 0) complain("cannot be started\n");
  constexpr int kLife = 0;
  ::dup2(fds.life, kLife);
  ::dup2(fds.unread, 1);
  close_from(2);
  const auto end = static_cast<int>(::syscall(SYS_pidfd_open, child, 0));

  bool kill = end < 0;
  bool in_grace = false;
  while (!kill) {
    std::array<pollfd, 2> events = {pollfd{end, POLLIN, 0}, pollfd{in_grace ? -1 : kLife, POLLIN, 0}};
    const int count = ::poll(events.data(), events.size(), in_grace ? grace_ms : -1);
    if (count < 0) continue;
    if (events[0].revents != 0) break;
    char byte = 0;
    kill = in_grace || ::read(kLife, &byte, 1) > 0;
    in_grace = true;
  }
  if (kill) {
    ::kill(-child, SIGKILL);
    ::kill(child, SIGKILL);  // It may not have got as far as having a group.
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) complain("its exit status is not known\n");
  }
  ::_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

}  // namespace dlm_freeze
