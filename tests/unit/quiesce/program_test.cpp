// SPDX-License-Identifier: Apache-2.0
#include "dlm_freeze/quiesce/program.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>

#include "dlm_freeze/base/unique_fd.hpp"
#include "fakes/processes.hpp"
#include "fakes/scratch.hpp"

namespace dlm_freeze {
namespace {

using fakes::content_of;
using fakes::eventually;
using fakes::Scratch;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class Programs : public testing::Test {
 protected:
  Programs() { fakes::adopt_orphans(); }
  ~Programs() override { fakes::kill_descendants(); }

  [[nodiscard]] Result<ProgramResult> run(const std::string& body, Deadline deadline = Deadline::in(fakes::kSoon),
                                          int cancel_fd = -1) const {
    return run_program({{scratch_.script("program", body), "one", "two words"}, {"PATH=/usr/bin:/bin", "NAME=value"}},
                       deadline, cancel_fd);
  }
  [[nodiscard]] std::string output_of(const std::string& body) const {
    const auto result = run(body);
    return result ? result->output : result.error().message;
  }

  /// Waits until the script has written its process id, and gives it.
  [[nodiscard]] static pid_t pid_in(const std::string& path) {
    EXPECT_TRUE(eventually([&] { return content_of(path).ends_with('\n'); })) << path;
    return std::atoi(content_of(path).c_str());
  }
  [[nodiscard]] static bool is_gone(pid_t pid) {
    return eventually([&] {
      fakes::reap_all();
      return ::kill(pid, 0) != 0;
    });
  }

  Scratch scratch_;
};

TEST_F(Programs, GiveTheirExitStatus) {
  EXPECT_EQ(run("exit 0")->exit_status, 0);
  EXPECT_EQ(run("exit 7")->exit_status, 7);
  EXPECT_EQ(run("kill -TERM $$")->exit_status, 128 + SIGTERM);
}

TEST_F(Programs, GiveWhatTheyPrintOnBothStreams) { EXPECT_EQ(output_of("echo out; echo err >&2"), "out\nerr\n"); }

TEST_F(Programs, GetTheirArgumentsAsTheyAre) {
  EXPECT_EQ(output_of(R"(printf '%s|' "$@")"), "one|two words|");
  const auto result = run_program({{"/bin/echo", "$HOME", "`id`", "; rm"}, {}}, Deadline::in(fakes::kSoon), -1);
  EXPECT_EQ(result->output, "$HOME `id` ; rm\n") << "no shell";
}

TEST_F(Programs, HaveNoEnvironmentButTheirs) {
  const auto result = run_program({{"/usr/bin/env"}, {"A=1", "B=two words"}}, Deadline::in(fakes::kSoon), -1);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->output, "A=1\nB=two words\n");
}

TEST_F(Programs, ReadNothingAndRunInTheRoot) {
  EXPECT_EQ(output_of("wc -c; pwd"), "0\n/\n");
  EXPECT_EQ(output_of("readlink /proc/self/fd/0"), "/dev/null\n");
}

TEST_F(Programs, HaveNoOtherDescriptors) {
  const UniqueFd own(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  ::close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);  // Whatever the test itself was started with.
  EXPECT_EQ(output_of("ls /proc/self/fd | wc -l"), "4\n") << "0, 1, 2 and the directory itself";
}

TEST_F(Programs, BeginWithDefaultSignals) {
  const auto old = ::signal(SIGPIPE, SIG_IGN);
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  const std::string signals = output_of("grep -E 'SigBlk|SigIgn' /proc/self/status");
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  ::signal(SIGPIPE, old);
  EXPECT_EQ(signals, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

TEST_F(Programs, RunInAProcessGroupOfTheirOwn) {
  const std::string group = output_of("ps -o pgid= -p $$ | tr -d ' '; echo $$");
  const std::size_t line = group.find('\n');
  EXPECT_EQ(group.substr(0, line + 1), group.substr(line + 1));
}

TEST_F(Programs, ThatCannotBeExecutedSaySo) {
  const auto absent = run_program({{"/nowhere/program"}, {}}, Deadline::in(fakes::kSoon), -1);
  ASSERT_TRUE(absent);
  EXPECT_EQ(absent->exit_status, 127);
  EXPECT_EQ(absent->output, "cannot be executed\n");
}

TEST_F(Programs, MayPrintMoreThanIsKept) {
  const auto result = run("head -c 1000000 /dev/zero; exit 3");
  ASSERT_TRUE(result);
  EXPECT_EQ(result->exit_status, 3);
  EXPECT_EQ(result->output.size(), 16U * 1024U);
}

TEST_F(Programs, AreKilledWithTheirWholeGroupAtTheDeadline) {
  const std::string pids = scratch_ / "pids";
  const auto begin = BootClock::now();
  const auto result =
      run("sleep 1000 & echo $! >" + pids + "; sleep 1000 | sleep 1000", Deadline::in(milliseconds(500)));
  EXPECT_LT(BootClock::now() - begin, fakes::kSoon);
  EXPECT_GE(BootClock::now() - begin, milliseconds(500));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().message, scratch_ / "program did not end in time and was killed");
  EXPECT_TRUE(is_gone(pid_in(pids)));
  EXPECT_TRUE(fakes::all_gone());
}

TEST_F(Programs, AreKilledWhenTheyAreCancelled) {
  const UniqueFd cancel(::eventfd(0, EFD_CLOEXEC));
  std::thread canceller([&] {
    static_cast<void>(pid_in(scratch_ / "pid"));
    ::eventfd_write(cancel.get(), 1);
  });
  const auto result = run("echo $$ >" + (scratch_ / "pid") + "; sleep 1000", Deadline::in(seconds(600)), cancel.get());
  canceller.join();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().message, scratch_ / "program was ended before it was done");
  EXPECT_TRUE(fakes::all_gone());
}

TEST_F(Programs, ThatIgnoreSigtermAreKilledAllTheSame) {
  EXPECT_FALSE(run("trap '' TERM INT HUP; sleep 1000; sleep 1000", Deadline::in(milliseconds(100))));
  EXPECT_TRUE(fakes::all_gone());
}

TEST_F(Programs, DoNotWaitForADaemonThatTheyLeaveBehind) {
  const auto begin = BootClock::now();
  const auto result = run("sleep 1000 & echo done");
  EXPECT_LT(BootClock::now() - begin, seconds(15));
  ASSERT_TRUE(result);
  EXPECT_EQ(result->output, "done\n");
  EXPECT_FALSE(fakes::descendants().empty());
}

TEST_F(Programs, GiveTheLastThingTheyPrintBeforeTheyEnd) {
  for (int i = 0; i < 20; ++i) ASSERT_EQ(output_of("echo first; echo last"), "first\nlast\n");
}

TEST_F(Programs, LeaveNoDescriptorsOpen) {
  static_cast<void>(run("exit 0"));
  const std::size_t before = fakes::open_descriptors();
  static_cast<void>(run("exit 0"));
  static_cast<void>(run("sleep 1000", Deadline::in(milliseconds(50))));
  EXPECT_EQ(fakes::open_descriptors(), before);
}

TEST_F(Programs, DieWithTheProcessThatRunsThem) {
  const pid_t runner = fakes::start_child([&] {
    static_cast<void>(run("echo $$ >" + (scratch_ / "pid") + "; exec sleep 1000"));
    return 0;
  });
  const pid_t program = pid_in(scratch_ / "pid");
  ::kill(runner, SIGKILL);
  EXPECT_EQ(fakes::status_of(runner), 128 + SIGKILL);
  EXPECT_TRUE(is_gone(program));
}

TEST(LastLine, IsTheLastThatIsNotBlank) {
  EXPECT_EQ(last_line("one\ntwo\n"), "two");
  EXPECT_EQ(last_line("one\ntwo \t\r\n\n  \n"), "two");
  EXPECT_EQ(last_line("one"), "one");
  EXPECT_EQ(last_line("\n\none\n"), "one");
  EXPECT_EQ(last_line(""), "");
  EXPECT_EQ(last_line(" \n\n"), "");
}

}  // namespace
}  // namespace dlm_freeze
