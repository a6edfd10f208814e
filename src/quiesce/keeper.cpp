// SPDX-License-Identifier: Apache-2.0
#include "quiesce/keeper.hpp"

#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
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

/// Waits for the end of `child` as `keep_program` has it, and kills it, by `kill_it`, if that has to be.
template <typename Kill>
int status_of(pid_t child, int grace_ms, Kill kill_it) {
  int status = 0;
  if (await_end(child, grace_ms, status)) return status;
  kill_it();
  take_status(child, 0, status);
  return status;
}

[[noreturn]] void end_as(int status) { ::_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status)); }

/// Keeps what the entrant, which has ended well, has left in the container (entry.hpp).
[[noreturn]] void keep_warden(int channel, int grace_ms) {
  constexpr int kKillPatience = 500;  // Of the second that `RunningProgram::kill` has, in milliseconds.
  pid_t warden = -1;
  if (::recv(channel, &warden, sizeof warden, MSG_DONTWAIT) != sizeof warden) ::_exit(0);  // It had to look, no more.
  // The other end is in the container now: what comes from there is believed only if it is a child of this process.
  siginfo_t info{};
  if (warden <= 0 || ::waitid(P_PID, static_cast<id_t>(warden), &info, WEXITED | WNOHANG | WNOWAIT) != 0)
    complain("its warden is not known\n");
  ::send(channel, "b", 1, MSG_NOSIGNAL);
  ::close(channel);
  end_as(status_of(warden, grace_ms, [&] {
    kill_descendants(warden, kKillPatience);
    ::kill(warden, SIGKILL);
  }));
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
  if (fds.entry >= 0) ::dup2(fds.entry, 2);
  close_from(fds.entry >= 0 ? 3 : 2);

  const int status = status_of(child, grace_ms, [&] {
    ::kill(-child, SIGKILL);
    ::kill(child, SIGKILL);  // It may not have got as far as having a group.
  });
  if (fds.entry >= 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0) keep_warden(2, grace_ms);
  end_as(status);
}

}  // namespace dlm_freeze
