// SPDX-License-Identifier: Apache-2.0
#include "base/birth.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>

#include "base/process.hpp"

namespace dlm_freeze {
namespace {

/// Enough to start with; who freezes many filesystems asks for more.
constexpr unsigned kDescriptors = 256;
/// The kernel's own default, in nanoseconds.
constexpr unsigned long kTimerSlack = 50'000;
/// The usual limit of the main thread's stack. Not unlimited: the layout of a program's memory depends on that.
constexpr rlim_t kStack = rlim_t{8} << 20;

/// What ioprio_set(2) calls IOPRIO_WHO_PROCESS.
constexpr int kIoWhoProcess = 1;
constexpr std::size_t kMostCpus = 8192;

bool is_stdout_lost = false;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables): of the process.

void open_stdio() noexcept {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(fd, F_GETFD) >= 0 || errno != EBADF) continue;
    is_stdout_lost |= fd == STDOUT_FILENO;
    const int null = open_null();  // The lowest number that is free, which is `fd`.
    ::fcntl(null, F_SETFD, 0);
  }
}

/// An exec leaves nothing but defaults and what is ignored; whatever is neither was set up by this process since, such
/// as a sanitizer's handlers.
void reset_signals() noexcept {
  for (int signal = 1; signal < NSIG; ++signal) {
    struct sigaction action {};
    if (::sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN) ::signal(signal, SIG_DFL);
  }
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

void widen(decltype(RLIMIT_CPU) resource, rlim_t wanted) noexcept {
  rlimit limit{};
  if (::getrlimit(resource, &limit) != 0 || limit.rlim_cur >= wanted) return;
  const rlimit wide = {wanted, std::max(limit.rlim_max, wanted)};
  if (::setrlimit(resource, &wide) == 0) return;
  limit.rlim_cur = std::min(wanted, limit.rlim_max);
  ::setrlimit(resource, &limit);
}

/// A caller in the background (nice, chrt --idle, ionice, taskset, CPUSchedulingPolicy= of systemd.exec(5)) must not
/// make a thaw late. What is better than usual is kept, but for real time: it lets others starve that a thaw may need.
void take_usual_turns() noexcept {
  const sched_param usual{};
  if (::sched_getscheduler(0) != SCHED_OTHER) ::sched_setscheduler(0, SCHED_OTHER, &usual);
  if (::getpriority(PRIO_PROCESS, 0) > 0) ::setpriority(PRIO_PROCESS, 0, 0);
  std::array<unsigned char, kMostCpus / 8> all{};  // The kernel takes those that exist and the cpuset allows.
  all.fill(0xFF);
  ::syscall(SYS_sched_setaffinity, 0, all.size(), all.data());
  ::syscall(SYS_ioprio_set, kIoWhoProcess, 0, 0);  // No class of its own: that of the nice value.
}

}  // namespace

void be_born_clean() noexcept {
  open_stdio();
  reset_signals();
  for (const auto resource : {RLIMIT_AS, RLIMIT_CPU, RLIMIT_DATA, RLIMIT_FSIZE, RLIMIT_MEMLOCK, RLIMIT_NPROC,
                              RLIMIT_RTTIME, RLIMIT_SIGPENDING}) {
    widen(resource, RLIM_INFINITY);
  }
  widen(RLIMIT_STACK, kStack);
  static_cast<void>(raise_descriptor_limit(kDescriptors));
  ::umask(S_IRWXG | S_IRWXO);
  ::prctl(PR_SET_TIMERSLACK, kTimerSlack);  // A caller's, which may be seconds, is inherited.
  take_usual_turns();
  ::unsetenv("TZ");  // NOLINT(concurrency-mt-unsafe): no thread exists yet.
}

bool was_stdout_closed() noexcept { return is_stdout_lost; }

void enter_root() noexcept { static_cast<void>(!::chdir("/")); }

}  // namespace dlm_freeze
