// SPDX-License-Identifier: Apache-2.0
// The death, by any signal, of the processes that hold a session. (While a FIFREEZE hangs:
// hanging_freeze_test.cpp. At any moment of pre-script: kill_sweep_test.cpp.)
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/mount.h>
#include <unistd.h>

#include <optional>
#include <stdexcept>

#include "harness/host_test.hpp"

namespace dlm_freeze::integration {
namespace {

using testing::AllOf;
using testing::AnyOf;
using testing::HasSubstr;
using testing::Optional;

class WhileHeld : public HostTest {
 protected:
  void SetUp() override {
    HostTest::SetUp();
    if (IsSkipped()) return;
    ext4_ = &add("ext4", "/srv/ext4");
    xfs_ = &add("xfs", "/srv/xfs");
  }

  void hold(const std::string& auto_thaw = "20") {
    expect(0, {"pre-script", "--auto-thaw", auto_thaw});
    if (!frozen(*ext4_) || !frozen(*xfs_)) throw std::runtime_error("no session to go on with");
    watchdog_ = process("dlm-watchdog");
    sentinel_ = process("dlm-sentinel");
  }

  [[nodiscard]] bool all_writable(Milliseconds limit = Milliseconds(500)) {
    return writable(*ext4_, limit) && writable(*xfs_, limit);
  }

  [[nodiscard]] bool new_sentinel_comes(pid_t old) const {
    return eventually(
        [&] {
          const auto now = agent_process(binary(), "dlm-sentinel");
          return now.has_value() && now->pid() != old;
        },
        std::chrono::seconds(1));
  }

  void expect_next_session_works() {
    expect(0, {"pre-script"});
    EXPECT_TRUE(frozen(*ext4_));
    expect(0, {"post-script"});
    EXPECT_TRUE(all_writable());
  }

  const Filesystem* ext4_ = nullptr;
  const Filesystem* xfs_ = nullptr;
  std::optional<AgentProcess> watchdog_;
  std::optional<AgentProcess> sentinel_;
};

TEST_F(WhileHeld, TheWatchdogsDeathThawsAtOnceAndPostScriptAnswers202) {
  hold();
  watchdog_->signal(SIGKILL);
  EXPECT_TRUE(all_writable());
  EXPECT_TRUE(all_gone());
  const auto post = expect(202, {"post-script"});
  EXPECT_THAT(post.err, AllOf(HasSubstr("watchdog"), HasSubstr("Return Error Code: 202")));
  expect(205, {"post-script"});
  expect_next_session_works();
}

TEST_F(WhileHeld, TheSentinelsDeathBringsANewOneAndNothingElse) {
  hold();
  for (int round = 0; round < 3; ++round) {
    const auto old = process("dlm-sentinel");
    old.signal(SIGKILL);
    EXPECT_TRUE(new_sentinel_comes(old.pid()));
    EXPECT_TRUE(frozen(*ext4_));
  }
  expect(0, {"post-script"});
  EXPECT_TRUE(all_writable());
}

TEST_F(WhileHeld, TheSentinelsDeathAndThenTheWatchdogsThaws) {
  hold();
  sentinel_->signal(SIGKILL);
  ASSERT_TRUE(new_sentinel_comes(sentinel_->pid()));
  watchdog_->signal(SIGKILL);
  EXPECT_TRUE(all_writable());
  expect(202, {"post-script"});
  expect_next_session_works();
}

TEST_F(WhileHeld, TheWatchdogsDeathAndThenTheSentinelsThaws) {
  hold();
  watchdog_->signal(SIGKILL);
  EXPECT_TRUE(all_writable());
  sentinel_->signal(SIGKILL);
  expect(202, {"post-script"});
  expect_next_session_works();
}

TEST_F(WhileHeld, TheDeathOfBothAtTheSameInstantIsMendedByPostScript) {
  hold();
  kill_at_once(processes());
  EXPECT_TRUE(all_gone());
  EXPECT_TRUE(frozen(*ext4_)) << "somebody unknown thawed it";
  const auto post = expect(202, {"post-script"});
  EXPECT_THAT(post.err, HasSubstr("watchdog"));
  EXPECT_TRUE(all_writable());
  expect(205, {"post-script"});
  expect_next_session_works();
}

TEST_F(WhileHeld, TheDeathOfBothAtTheSameInstantIsMendedByTheNextPreScript) {
  hold();
  kill_at_once(processes());
  EXPECT_TRUE(frozen(*ext4_));
  expect(0, {"pre-script"});
  EXPECT_TRUE(frozen(*ext4_));
  EXPECT_TRUE(frozen(*xfs_));
  expect(0, {"post-script"});
  EXPECT_TRUE(all_writable());
}

TEST_F(WhileHeld, TheDeathOfBothIsMendedByPostScriptAlsoWhereTheMountPointHasGone) {
  hold();
  unmount_lazily("/srv/ext4");
  kill_at_once(processes());
  // The mount the record names is gone, but the device can be mounted again by whoever finds it.
  ext4_->mount_also("/srv/elsewhere");
  expect(202, {"post-script"});
  EXPECT_TRUE(writable(*xfs_));
  EXPECT_TRUE(writable(*ext4_));
}

TEST_F(WhileHeld, TheDeathOfBothIsMendedWhereTheIdOfTheBootCannotBeRead) {
  for (const auto& [of_pre, of_post] : {std::pair(true, false), std::pair(false, true), std::pair(true, true)}) {
    const auto hide = [](bool is_hidden) {
      if (is_hidden)
        check(::mount("proc", "/proc", "proc", 0, "subset=pid"), "mount /proc without what is not a process");
    };
    hide(of_pre);
    expect(0, {"pre-script"});
    ASSERT_TRUE(frozen(*ext4_));
    kill_at_once(processes());
    if (of_pre) check(::umount2("/proc", MNT_DETACH), "unmount");
    hide(of_post);
    expect(202, {"post-script"});
    if (of_post) check(::umount2("/proc", MNT_DETACH), "unmount");
    EXPECT_TRUE(all_writable());
  }
}

TEST_F(WhileHeld, TheDeathOfBothIsNotMendedWhereAnotherMountHidesTheFilesystemAndPostScriptSaysSo) {
  hold();
  kill_at_once(processes());
  check(::mount("tmpfs", "/srv/ext4", "tmpfs", 0, nullptr), "mount over it");
  EXPECT_THAT(expect(202, {"post-script"}).err,
              testing::HasSubstr("what is mounted over /srv/ext4 hides it: unmount that, and repeat post-script"));
  EXPECT_TRUE(writable(*xfs_));
  check(::umount2("/srv/ext4", 0), "unmount");
  run({"post-script"});
  EXPECT_TRUE(all_writable());
}

TEST_F(WhileHeld, SigtermToTheWatchdogThawsAtOnceAndCountsAsAutoThaw) {
  hold();
  watchdog_->signal(SIGTERM);
  EXPECT_TRUE(all_writable(Milliseconds(200)));
  EXPECT_TRUE(all_gone());
  expect(203, {"post-script"});
  expect_next_session_works();
}

TEST_F(WhileHeld, SigtermToTheSentinelChangesNothing) {
  hold();
  sentinel_->signal(SIGTERM);
  EXPECT_TRUE(frozen(*ext4_));
  expect(0, {"post-script"});
  EXPECT_TRUE(all_writable());
}

TEST_F(WhileHeld, OtherSignalsThatCanBeBlockedDoNotKillTheWatchdog) {
  hold();
  for (const int signal : {SIGHUP, SIGPIPE, SIGUSR1, SIGQUIT, SIGALRM, SIGSEGV, SIGABRT}) {
    watchdog_->signal(signal);
  }
  EXPECT_TRUE(frozen(*ext4_));
  expect(0, {"post-script"});
  EXPECT_TRUE(all_writable());
}

TEST_F(WhileHeld, AStoppedWatchdogIsReplacedByTheSentinelSoonAfterTheDeadline) {
  const Writer writer(*ext4_);
  hold("1");
  const auto held = Clock::now();
  watchdog_->signal(SIGSTOP);
  EXPECT_TRUE(all_writable(Milliseconds(3000)));
  EXPECT_LT(Clock::now() - held, Milliseconds(2500));
  const Stall stall = writer.stall_at(held);
  EXPECT_GE(stall.end - stall.begin, Milliseconds(900)) << "before the deadline";
  EXPECT_TRUE(all_gone());
  const auto post = expect(203, {"post-script"});
  EXPECT_THAT(post.err, HasSubstr("watchdog"));
  expect_next_session_works();
}

TEST_F(WhileHeld, AStoppedWatchdogDoesNotKeepPostScriptFromThawing) {
  hold("4");
  watchdog_->signal(SIGSTOP);
  const auto post = run({"post-script", "--timeout", "1"});
  EXPECT_EQ(post.exit_code, 202) << post.text();
  EXPECT_LT(post.run_time(), std::chrono::seconds(2));
  EXPECT_TRUE(all_writable(std::chrono::seconds(5))) << "frozen beyond the deadline";
  watchdog_->signal(SIGCONT);
  EXPECT_TRUE(all_gone());
}

TEST_F(WhileHeld, AStoppedSentinelDoesNotKeepPostScriptWaiting) {
  hold();
  sentinel_->signal(SIGSTOP);
  const auto post = expect(0, {"post-script"});
  EXPECT_LT(post.run_time(), std::chrono::seconds(1));
  EXPECT_TRUE(all_writable());
  sentinel_->signal(SIGCONT);
  EXPECT_TRUE(all_gone());
}

TEST_F(WhileHeld, BothStoppedAreMendedWhenTheyGoOn) {
  hold("1");
  sentinel_->signal(SIGSTOP);
  watchdog_->signal(SIGSTOP);
  sleep_for(Milliseconds(1500));
  watchdog_->signal(SIGCONT);
  sentinel_->signal(SIGCONT);
  EXPECT_TRUE(all_writable());
  EXPECT_TRUE(all_gone());
  // The watchdog was late, and either thawed itself or was found late by the sentinel.
  const auto post = run({"post-script"});
  EXPECT_THAT(post.exit_code, Optional(AnyOf(202, 203))) << post.text();
}

TEST_F(WhileHeld, TheKillOfPreScriptsGroupAndSessionReachesNeitherWatchdogNorSentinel) {
  hold();
  for (const pid_t process : {watchdog_->pid(), sentinel_->pid()}) {
    EXPECT_NE(::getpgid(process), ::getpgid(0));
    EXPECT_NE(::getsid(process), ::getsid(0));
  }
  expect(0, {"post-script"});
}

TEST_F(WhileHeld, TheKillOfPostScriptHalfWayLeavesNothingFrozen) {
  for (int round = 0; round < 12; ++round) {
    // Killed after it had asked, perhaps even after it had said that all is well, only who has an id is known again.
    const std::string id = "11111111-2222-3333-4444-5555555555" + std::to_string(10 + round);
    hold();
    const auto post = start({"post-script", "--execution-id", id});
    sleep_for(std::chrono::microseconds(800 * round));
    post->kill_group();
    if (!post->wait().exit_code) expect(0, {"post-script", "--execution-id", id});
    EXPECT_TRUE(all_gone());
    EXPECT_TRUE(all_writable());
  }
}

}  // namespace
}  // namespace dlm_freeze::integration
