// SPDX-License-Identifier: Apache-2.0
#include "base/process_handle.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <string>

#include "fakes/older_kernel.hpp"
#include "fakes/processes.hpp"

namespace dlm_freeze {
namespace {

using fakes::eventually;
using fakes::in_child;

enum class Kernel { this_one, older };

/// What a test does is done in a child, for which the kernel may be an older one.
class ProcessHandles : public testing::TestWithParam<Kernel> {
 protected:
  [[nodiscard]] static bool be_on_that_kernel() {
    if (GetParam() == Kernel::this_one) return true;
    return fakes::deny_new_calls() && ::syscall(SYS_pidfd_open, ::getpid(), 0) == -1 && errno == ENOSYS;
  }
};

pid_t sleeper() {
  return fakes::start_child([] {
    for (;;) ::pause();
    return 0;
  });
}

/// How a child changed, as waitid(2) has it in si_code: CLD_STOPPED and so on.
int change_of(pid_t child, int options) {
  siginfo_t info{};
  return ::waitid(P_PID, static_cast<id_t>(child), &info, options) == 0 ? info.si_code : -1;
}

TEST_P(ProcessHandles, SendWhateverSignal) {
  EXPECT_EQ(in_child([] {
              if (!be_on_that_kernel()) return 9;
              const pid_t process = sleeper();
              const ProcessHandle handle = ProcessHandle::of(process);
              if (!handle.send(SIGSTOP) || change_of(process, WSTOPPED) != CLD_STOPPED) return 1;
              if (!handle.send(SIGCONT) || change_of(process, WCONTINUED) != CLD_CONTINUED) return 2;
              if (!handle.send(SIGKILL) || change_of(process, WEXITED) != CLD_KILLED) return 3;
              return 0;
            }),
            0);
}

TEST_P(ProcessHandles, SendMoreOftenThanASocketHasRoomFor) {
  EXPECT_EQ(in_child([] {
              if (!be_on_that_kernel()) return 9;
              const pid_t process = sleeper();
              const ProcessHandle handle = ProcessHandle::of(process);
              for (int i = 0; i < 3000; ++i) handle.send(SIGURG);
              handle.send(SIGTERM);
              int status = 0;
              ::waitpid(process, &status, 0);
              return WTERMSIG(status) == SIGTERM ? 0 : 1;
            }),
            0);
}

TEST_P(ProcessHandles, AreOfUseToProcessesForkedSince) {
  EXPECT_EQ(in_child([] {
              if (!be_on_that_kernel()) return 9;
              const pid_t process = sleeper();
              const ProcessHandle handle = ProcessHandle::of(process);
              if (in_child([&] { return handle.send(SIGKILL) ? 0 : 1; }) != 0) return 1;
              return change_of(process, WEXITED) == CLD_KILLED ? 0 : 2;
            }),
            0);
}

TEST_P(ProcessHandles, DisturbNobodyWhenTheyGo) {
  EXPECT_EQ(in_child([] {
              if (!be_on_that_kernel()) return 9;
              const pid_t process = sleeper();
              ::kill(process, SIGSTOP);
              if (change_of(process, WSTOPPED) != CLD_STOPPED) return 1;
              for (int i = 0; i < 3; ++i) {
                const ProcessHandle handle = ProcessHandle::of(process);
                if (i == 1) handle.send(SIGSTOP);
              }
              siginfo_t info{};
              if (::waitid(P_PID, static_cast<id_t>(process), &info, WEXITED | WCONTINUED | WNOHANG) != 0) return 2;
              if (info.si_pid != 0) return 3;
              ::kill(process, SIGKILL);
              return 0;
            }),
            0);
}

/// Makes the next process of this namespace be number `pid`.
bool number_next(pid_t pid) {
  const int file = ::open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC);
  const std::string text = std::to_string(pid - 1);
  const bool is_set = file >= 0 && ::write(file, text.data(), text.size()) > 0;
  ::close(file);
  return is_set;
}

TEST_P(ProcessHandles, ReachNobodyElseWhoIsGivenTheNumber) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs a process namespace of its own";
  constexpr int kCannot = 77;
  const int status = in_child([] {
    if (!be_on_that_kernel()) return 9;
    if (::unshare(CLONE_NEWPID) != 0) return kCannot;
    return in_child([] {
      const pid_t process = sleeper();
      const ProcessHandle handle = ProcessHandle::of(process);
      ::kill(process, SIGKILL);
      ::waitpid(process, nullptr, 0);
      if (!number_next(process)) return kCannot;
      const pid_t other = sleeper();
      if (other != process) return 1;
      handle.send(SIGKILL);
      siginfo_t info{};
      // What was sent has arrived: a signal that is sent later would end it only then.
      ::kill(other, SIGTERM);
      if (::waitid(P_PID, static_cast<id_t>(other), &info, WEXITED) != 0) return 2;
      return info.si_status == SIGTERM ? 0 : 3;
    });
  });
  if (status == kCannot) GTEST_SKIP() << "process numbers cannot be chosen here";
  EXPECT_EQ(status, 0);
}

TEST_P(ProcessHandles, AreOfNobodyWithoutADescriptor) {
  EXPECT_EQ(in_child([] {
              if (!be_on_that_kernel()) return 9;
              const pid_t process = sleeper();
              const rlimit none = {0, 0};
              ::setrlimit(RLIMIT_NOFILE, &none);
              const ProcessHandle handle = ProcessHandle::of(process);
              const bool is_of_none = errno == EMFILE && !handle.send(SIGKILL);
              ::kill(process, SIGTERM);
              int status = 0;
              ::waitpid(process, &status, 0);
              return is_of_none && WTERMSIG(status) == SIGTERM ? 0 : 1;
            }),
            0);
}

std::string name_of(const testing::TestParamInfo<Kernel>& kernel) {
  return kernel.param == Kernel::this_one ? "ThisKernel" : "AnOlderKernel";
}
INSTANTIATE_TEST_SUITE_P(On, ProcessHandles, testing::Values(Kernel::this_one, Kernel::older), name_of);

}  // namespace
}  // namespace dlm_freeze
