// SPDX-License-Identifier: Apache-2.0
#include "base/privileges.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>

#include "dlm_freeze/base/unique_fd.hpp"
#include "fakes/processes.hpp"
#include "fakes/scratch.hpp"

namespace dlm_freeze {
namespace {

using fakes::in_child;

/// What follows `key` in a /proc/PID/status.
std::string field(const std::string& status, const std::string& key) {
  const std::size_t begin = status.find(key + ":\t");
  if (begin == std::string::npos) return "";
  const std::size_t value = begin + key.size() + 2;
  return status.substr(value, status.find('\n', value) - value);
}

std::string own(const std::string& key) { return field(fakes::content_of("/proc/thread-self/status"), key); }

/// The same of a program that this process executes.
std::string of_a_program(const std::string& key) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> output(::popen("cat /proc/self/status", "r"), &::pclose);
  std::string text(4096, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), output.get()));
  return field(text, key);
}

constexpr const char* kSysAdmin = "0000000000200000";
constexpr const char* kNone = "0000000000000000";

class Capabilities : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "only root has some";
  }
};

TEST_F(Capabilities, AreOutOfEffectButThoseThatAreUsed) {
  EXPECT_EQ(in_child([] {
              const std::string all = own("CapPrm");
              use_capabilities({CAP_SYS_ADMIN});
              if (own("CapEff") != kSysAdmin || own("CapPrm") != all) return 1;
              std::string of_thread;
              std::thread([&] { of_thread = own("CapEff"); }).join();
              if (of_thread != kSysAdmin) return 2;
              return of_a_program("CapEff") == all ? 0 : 3;
            }),
            0);
}

TEST_F(Capabilities, OutOfEffectAreTakenBackByOneThread) {
  EXPECT_EQ(in_child([] {
              use_capabilities({});
              std::string of_thread;
              std::thread([&] {
                use_capability_again(CAP_SYS_ADMIN);
                of_thread = own("CapEff");
              }).join();
              return of_thread == kSysAdmin && own("CapEff") != kSysAdmin ? 0 : 1;
            }),
            0);
}

TEST_F(Capabilities, OutOfEffectLeaveAProgramItsParentDeathSignal) {
  EXPECT_EQ(in_child([] {
              use_capabilities({CAP_KILL});
              const pid_t parent = fakes::start_child([] {
                const pid_t self = ::getpid();
                const pid_t program = ::fork();
                if (program == 0) {
                  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
                  if (::getppid() == self) ::execl("/bin/sleep", "sleep", "60", nullptr);
                  ::_exit(1);
                }
                const std::string name = "/proc/" + std::to_string(program) + "/comm";
                return fakes::eventually([&] { return fakes::content_of(name) == "sleep\n"; }) ? 0 : 1;
              });
              fakes::adopt_orphans();
              if (fakes::status_of(parent) != 0) return 1;
              return fakes::all_gone() ? 0 : 2;
            }),
            0);
}

TEST_F(Capabilities, AreGivenUpForGoodSoThatNoProgramHasThemEither) {
  EXPECT_EQ(in_child([] {
              keep_capabilities_for_good({CAP_SYS_ADMIN});
              if (own("CapEff") != kSysAdmin || own("CapBnd") != kSysAdmin) return 1;
              if (own("NoNewPrivs") != "1") return 2;
              return of_a_program("CapEff") == kSysAdmin ? 0 : 3;
            }),
            0);
}

TEST_F(Capabilities, ThatThisProcessLacksAreNotHadByKeepingThem) {
  EXPECT_EQ(in_child([] {
              keep_capabilities_for_good({CAP_SYS_ADMIN});
              keep_capabilities_for_good({CAP_KILL});
              return own("CapEff") == kNone ? 0 : 1;
            }),
            0);
}

/// 0 when only what is allowed can be done.
int try_calls() {
  char byte = 0;
  if (::socket(AF_UNIX, SOCK_STREAM, 0) != -1 || errno != EPERM) return 1;
  if (::open("/dev/null", O_RDONLY) != -1 || errno != EPERM) return 2;
  if (::fork() != -1 || errno != EPERM) return 3;
  if (::execl("/bin/true", "true", nullptr) != -1 || errno != EPERM) return 4;
  if (::ioctl(STDIN_FILENO, FIONREAD, &byte) != -1 || errno != EPERM) return 5;
  const std::string large(std::size_t{10} << 20, 'x');
  return large.back() == 'x' && ::write(-1, "x", 1) == -1 && errno == EBADF ? 0 : 6;
}

TEST(SystemCalls, AreDeniedButThoseThatAreAllowed) {
  EXPECT_EQ(in_child([] {
              if (!allow_calls(calls_of_freezing())) return ::geteuid() == 0 ? 9 : 0;
              if (::socket(AF_UNIX, SOCK_STREAM, 0) >= 0) return 0;  // A build with a sanitizer.
              return try_calls();
            }),
            0);
}

TEST(SystemCalls, AreDeniedToThreadsThatAreThereAlready) {
  EXPECT_EQ(in_child([] {
              std::atomic<int> turn{0};
              int found = 8;
              std::thread other([&] {
                turn = 1;
                turn.notify_one();
                turn.wait(1);
                found = try_calls();
              });
              turn.wait(0);
              keep_capabilities_for_good({});
              const bool allowed = allow_calls(calls_of_freezing()).has_value();
              const bool is_denied = ::socket(AF_UNIX, SOCK_STREAM, 0) == -1;
              turn = 2;
              turn.notify_one();
              other.join();
              if (!allowed) return 9;
              return is_denied ? found : 0;
            }),
            0);
}

TEST(SystemCalls, OfKeepingASessionExecuteMountAndTraceNothing) {
  EXPECT_EQ(in_child([] {
              keep_capabilities_for_good({CAP_SYS_ADMIN});
              if (!allow_calls(calls_of_keeping())) return 9;
              if (::socket(AF_INET, SOCK_STREAM, 0) >= 0 && ::unshare(0) == 0) return 0;  // A build with a sanitizer.
              if (::execl("/bin/true", "true", nullptr) != -1 || errno != EPERM) return 1;
              if (::unshare(CLONE_NEWNS) != -1 || errno != EPERM) return 2;
              if (::mount("none", "/nonexistent", "tmpfs", 0, nullptr) != -1 || errno != EPERM) return 3;
              if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != -1 || errno != EPERM) return 4;
              return ::setuid(::getuid()) == -1 && errno == EPERM ? 0 : 5;
            }),
            0);
}

TEST(SystemCalls, OfKeepingASessionOpenFilesStartThreadsAndProcesses) {
  EXPECT_EQ(in_child([] {
              keep_capabilities_for_good({});
              if (!allow_calls(calls_of_keeping())) return 9;
              const UniqueFd file(::open("/dev/null", O_RDONLY | O_CLOEXEC));
              const UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
              if (!file || !socket) return 1;
              int found = 0;
              std::thread([&] { found = 1; }).join();
              if (found != 1) return 2;
              return in_child([] { return 0; }) == 0 ? 0 : 3;
            }),
            0);
}

TEST(SystemCalls, OfTheCLibraryForMemoryThreadsAndTimeAreAllowed) {
  EXPECT_EQ(in_child([] {
              keep_capabilities_for_good({});
              std::atomic<int> turn{0};
              std::thread other([&] { turn.wait(0); });  // It ends, and its stack is given back, under the filter.
              if (!allow_calls(calls_of_freezing())) return 9;
              std::this_thread::sleep_for(std::chrono::milliseconds(1));
              auto memory = std::make_unique<std::string>(std::size_t{50} << 20, 'x');
              memory.reset();
              turn = 1;
              turn.notify_all();
              other.join();
              return 0;
            }),
            0);
}

TEST(SystemCalls, OfAContainerAreThoseOfPrograms) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root may deny them without giving up to gain rights";
  EXPECT_EQ(in_child([] {
              if (!deny_calls_in_container()) return 9;
              const auto is_denied = [](auto result) { return static_cast<long>(result) == -1 && errno == EPERM; };
              if (!is_denied(::unshare(CLONE_NEWUSER)) || !is_denied(::unshare(CLONE_FS))) return 1;
              if (!is_denied(::mount("none", "/nowhere", "tmpfs", 0, nullptr))) return 2;
              if (!is_denied(::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr))) return 3;
              if (!is_denied(::syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, nullptr, nullptr, nullptr, nullptr)))
                return 4;
              if (!is_denied(::syscall(SYS_keyctl, 0, 0, 0, 0, 0)) || !is_denied(::syscall(SYS_bpf, 0, nullptr, 0)))
                return 5;
              if (::syscall(SYS_clone3, nullptr, 0) != -1 || errno != ENOSYS) return 6;
              // And what a program is made of is there.
              std::thread([] {}).join();
              return of_a_program("Seccomp") == "2" ? 0 : 8;
            }),
            0);
}

}  // namespace
}  // namespace dlm_freeze
