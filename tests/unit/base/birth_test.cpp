// SPDX-License-Identifier: Apache-2.0
#include "base/birth.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <string>

#include "fakes/processes.hpp"
#include "fakes/scratch.hpp"

namespace dlm_freeze {
namespace {

using fakes::in_child;

bool is_null(int fd) {
  struct stat info {};
  struct stat null {};
  return ::fstat(fd, &info) == 0 && ::stat("/dev/null", &null) == 0 && info.st_rdev == null.st_rdev;
}

TEST(Birth, FillsStdioWhereTheCallerClosedIt) {
  for (unsigned closed = 0; closed < 8; ++closed) {
    EXPECT_EQ(in_child([closed] {
                const int zero = ::fcntl(::open("/dev/zero", O_RDWR), F_DUPFD, 10);
                for (int fd = 0; fd < 3; ++fd) {
                  if ((closed & (1U << fd)) != 0) {
                    ::close(fd);
                  } else {
                    ::dup2(zero, fd);
                  }
                }
                be_born_clean();
                for (int fd = 0; fd < 3; ++fd) {
                  if (::fcntl(fd, F_GETFD) != 0) return 10 + fd;
                  if (is_null(fd) != ((closed & (1U << fd)) != 0)) return 20 + fd;
                }
                return 0;
              }),
              0)
        << closed;
  }
}

TEST(Birth, TakesSomethingElseWhereThereIsNoNullDevice) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs chroot";
  const fakes::Scratch scratch;
  EXPECT_EQ(in_child([&] {
              if (::chroot(scratch.path().c_str()) != 0 || ::chdir("/") != 0) return 1;
              ::close(STDOUT_FILENO);
              be_born_clean();
              return ::write(STDOUT_FILENO, "x", 1) == -1 && ::fcntl(STDOUT_FILENO, F_GETFD) >= 0 ? 0 : 2;
            }),
            0);
}

TEST(Birth, HearsOfItsChildrenWhateverTheCallerIgnored) {
  EXPECT_EQ(in_child([] {
              for (int signal = 1; signal < NSIG; ++signal) ::signal(signal, SIG_IGN);
              be_born_clean();
              const pid_t child = ::fork();
              if (child == 0) ::_exit(7);
              int status = 0;
              if (::waitpid(child, &status, 0) != child || WEXITSTATUS(status) != 7) return 1;
              for (int signal = 1; signal < NSIG; ++signal) {
                struct sigaction action {};
                const bool should_be_ignored = signal == SIGPIPE || signal == SIGXFSZ;
                if (::sigaction(signal, nullptr, &action) != 0) continue;
                if ((action.sa_handler == SIG_IGN) != should_be_ignored) return signal;
              }
              return 0;
            }),
            0);
}

TEST(Birth, BlocksNoSignal) {
  EXPECT_EQ(in_child([] {
              sigset_t set;
              ::sigfillset(&set);
              ::sigprocmask(SIG_SETMASK, &set, nullptr);
              be_born_clean();
              ::sigprocmask(SIG_SETMASK, nullptr, &set);
              for (int signal = 1; signal < NSIG; ++signal) {
                if (::sigismember(&set, signal) == 1) return signal;
              }
              return 0;
            }),
            0);
}

TEST(Birth, WidensTheLimitsThatItMay) {
  for (const auto resource : {RLIMIT_FSIZE, RLIMIT_CPU, RLIMIT_AS, RLIMIT_DATA, RLIMIT_MEMLOCK, RLIMIT_NPROC}) {
    EXPECT_EQ(in_child([resource] {
                rlimit limit{};
                ::getrlimit(resource, &limit);
                const rlim_t hard = limit.rlim_max;
                limit.rlim_cur = std::min<rlim_t>(hard, rlim_t{1} << 40);  // Nothing that would hurt this process.
                ::setrlimit(resource, &limit);
                be_born_clean();
                ::getrlimit(resource, &limit);
                return limit.rlim_cur >= hard ? 0 : 1;
              }),
              0)
        << resource;
  }
}

TEST(Birth, IsNotKilledWhereItMayWriteNothing) {
  const fakes::Scratch scratch;
  const std::string path = scratch / "file";
  EXPECT_EQ(in_child([&] {
              const rlimit none = {0, 0};
              ::setrlimit(RLIMIT_FSIZE, &none);
              be_born_clean();
              const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT, 0600);
              // Root with CAP_SYS_RESOURCE is free of it; who is not gets an error.
              return ::write(fd, "x", 1) == 1 || errno == EFBIG ? 0 : 1;
            }),
            0);
}

TEST(Birth, CreatesNothingThatOthersCanRead) {
  EXPECT_EQ(in_child([] {
              ::umask(0);
              be_born_clean();
              return ::umask(0) == 077 ? 0 : 1;
            }),
            0);
}

TEST(Birth, RunsAsAnyProgramDoesWhateverItsCallersTurn) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root may have more than it inherits";
  constexpr int kIoIdle = 3 << 13;
  constexpr int kWhoProcess = 1;
  EXPECT_EQ(in_child([] {
              cpu_set_t allowed;
              ::sched_getaffinity(0, sizeof allowed, &allowed);
              const sched_param none{};
              if (::setpriority(PRIO_PROCESS, 0, 15) != 0 || ::sched_setscheduler(0, SCHED_IDLE, &none) != 0) return 1;
              if (::syscall(SYS_ioprio_set, kWhoProcess, 0, kIoIdle) != 0) return 2;
              cpu_set_t one;
              CPU_ZERO(&one);
              for (std::size_t cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; ++cpu) {
                if (CPU_ISSET(cpu, &allowed)) CPU_SET(cpu, &one);
              }
              if (::sched_setaffinity(0, sizeof one, &one) != 0) return 3;
              be_born_clean();
              if (::sched_getscheduler(0) != SCHED_OTHER || ::getpriority(PRIO_PROCESS, 0) != 0) return 4;
              if (::syscall(SYS_ioprio_get, kWhoProcess, 0) == kIoIdle) return 5;
              ::sched_getaffinity(0, sizeof one, &one);
              return CPU_COUNT(&one) >= CPU_COUNT(&allowed) ? 0 : 6;
            }),
            0);
}

TEST(Birth, RunsInNoRealTimeThatItsCallerHas) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root may have more than it inherits";
  EXPECT_EQ(in_child([] {
              const sched_param urgent = {.sched_priority = 10};
              if (::sched_setscheduler(0, SCHED_RR, &urgent) != 0) return 0;  // A cgroup without a share of it.
              be_born_clean();
              return ::sched_getscheduler(0) == SCHED_OTHER ? 0 : 1;
            }),
            0);
}

TEST(Birth, LeavesTheWorkingDirectoryOnRequest) {
  EXPECT_EQ(in_child([] {
              if (::chdir("/tmp") != 0) return 1;
              be_born_clean();
              std::array<char, 16> path{};
              if (::getcwd(path.data(), path.size()) == nullptr || std::string(path.data()) != "/tmp") return 2;
              enter_root();
              return ::getcwd(path.data(), path.size()) != nullptr && std::string(path.data()) == "/" ? 0 : 3;
            }),
            0);
}

}  // namespace
}  // namespace dlm_freeze
