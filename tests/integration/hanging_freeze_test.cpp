// SPDX-License-Identifier: Apache-2.0
// A FIFREEZE that does not return. Built from a filesystem in an image whose backing filesystem
// somebody else has frozen, and which the configuration excludes, so that the agent has no way to
// know.
#include <gmock/gmock.h>
#include <signal.h>
#include <unistd.h>

#include "harness/host_test.hpp"

namespace dlm_freeze::integration {
namespace {

using testing::HasSubstr;

class HangingFreeze : public HostTest {
 protected:
  void SetUp() override {
    HostTest::SetUp();
    if (IsSkipped()) return;
    other_ = &add("ext4", "/srv/other");
    backing_ = &add("ext4", "/srv/backing");
    hanging_ = &add({.type = "ext4", .mount_point = "/srv/hanging", .image_directory = "/srv/backing/images"});
    configure(R"({"quiescers": [], "auto_thaw_seconds": 20, "filesystems": {"exclude": ["/srv/backing"]}})");
  }

  /// From now on whatever has to be written to the image waits until `backing` is thawed.
  void freeze_backing() {
    hanging_->sync();
    backing_->sync();
    backing_->freeze();
  }

  /// Until the other one is frozen; the two belong to one level, so the freezer is in the FIFREEZE
  /// that hangs.
  void wait_until_freezing() {
    ASSERT_TRUE(eventually([&] { return frozen(*other_); }, std::chrono::seconds(3)));
  }

  /// What has to hold once the foreign freeze is over.
  void expect_all_undone_when_backing_is_thawed() {
    EXPECT_TRUE(backing_->thaw()) << "somebody thawed what was not theirs";
    EXPECT_TRUE(writable(*hanging_, std::chrono::seconds(1)));
    sleep_for(Milliseconds(100));
    EXPECT_TRUE(writable(*hanging_)) << "it was frozen after the fact";
    EXPECT_TRUE(all_gone());
    expect(0, {"pre-script"});
    EXPECT_TRUE(frozen(*hanging_));
    expect(0, {"post-script"});
  }

  const Filesystem* other_ = nullptr;
  const Filesystem* backing_ = nullptr;
  const Filesystem* hanging_ = nullptr;
};

TEST_F(HangingFreeze, IsAnswered201WithinTheBudgetAndUndoneAsSoonAsItReturns) {
  freeze_backing();
  const auto pre = expect(201, {"pre-script", "--timeout", "2"});
  EXPECT_LT(pre.run_time(), std::chrono::seconds(3));
  EXPECT_THAT(pre.err, HasSubstr("/srv/hanging"));
  EXPECT_TRUE(writable(*other_));
  expect_all_undone_when_backing_is_thawed();
}

TEST_F(HangingFreeze, WithDirtyDataIsAnsweredInTheSameWay) {
  hanging_->sync();
  backing_->sync();
  backing_->freeze();
  const pid_t parent = ::getpid();
  const pid_t scribbler = check(::fork(), "fork");
  if (scribbler == 0) {
    die_with_parent(parent);
    write_text("/srv/hanging/dirty", std::string(std::size_t{1} << 20, 'x'));
    ::_exit(0);
  }
  ASSERT_TRUE(reap(scribbler, std::chrono::seconds(2)));
  const auto pre = expect(201, {"pre-script", "--timeout", "2"});
  EXPECT_LT(pre.run_time(), std::chrono::seconds(3));
  EXPECT_THAT(pre.err, HasSubstr("the write-back of /srv/hanging has not returned"));
  EXPECT_TRUE(writable(*other_));
  expect_all_undone_when_backing_is_thawed();
}

TEST_F(HangingFreeze, KeepsNothingElseFrozenBeyondTheDeadline) {
  freeze_backing();
  const Writer writer(*other_);
  const auto pre = start({"pre-script", "--timeout", "10", "--auto-thaw", "1"});
  const auto result = pre->wait();
  EXPECT_EQ(result.exit_code, 201) << result.text();
  EXPECT_LT(result.run_time(), std::chrono::seconds(3));
  EXPECT_LT(writer.stall_at(result.started + Milliseconds(700)).end, result.started + Milliseconds(1300));
  expect_all_undone_when_backing_is_thawed();
}

TEST_F(HangingFreeze, BlocksTheNextPreScriptWithAClearAnswer) {
  freeze_backing();
  expect(201, {"pre-script", "--timeout", "1"});
  const auto second = run({"pre-script", "--timeout", "1"});
  EXPECT_TRUE(second.exit_code == 201 || second.exit_code == 204) << second.text();
  EXPECT_LT(second.run_time(), std::chrono::seconds(2));
  EXPECT_TRUE(writable(*other_));
  const auto post = run({"post-script", "--timeout", "1"});
  EXPECT_TRUE(post.exit_code == 202 || post.exit_code == 205) << post.text();
  EXPECT_LT(post.run_time(), std::chrono::seconds(2));
  expect_all_undone_when_backing_is_thawed();
}

TEST_F(HangingFreeze, SurvivesTheDeathOfPreScript) {
  freeze_backing();
  const auto pre = start({"pre-script", "--timeout", "10"});
  wait_until_freezing();
  pre->kill_group();
  EXPECT_TRUE(writable(*other_, std::chrono::seconds(1)));
  expect_all_undone_when_backing_is_thawed();
}

TEST_F(HangingFreeze, SurvivesTheDeathOfTheWatchdog) {
  freeze_backing();
  const auto pre = start({"pre-script", "--timeout", "5"});
  wait_until_freezing();
  process("dlm-watchdog").signal(SIGKILL);
  EXPECT_TRUE(writable(*other_, std::chrono::seconds(1)));
  const auto result = pre->wait();
  EXPECT_EQ(result.exit_code, 201) << result.text();
  EXPECT_LT(result.run_time(), std::chrono::seconds(6));
  expect_all_undone_when_backing_is_thawed();
}

TEST_F(HangingFreeze, SurvivesTheDeathOfTheSentinel) {
  freeze_backing();
  const auto pre = start({"pre-script", "--timeout", "2"});
  wait_until_freezing();
  process("dlm-sentinel").signal(SIGKILL);
  const auto result = pre->wait();
  EXPECT_EQ(result.exit_code, 201) << result.text();
  EXPECT_TRUE(writable(*other_));
  expect_all_undone_when_backing_is_thawed();
}

TEST_F(HangingFreeze, SurvivesTheDeathOfTheFreezer) {
  freeze_backing();
  const auto pre = start({"pre-script", "--timeout", "5"});
  wait_until_freezing();
  // Its thread in FIFREEZE lives until the call returns, and then does not run another instruction.
  process("dlm-freezer").signal(SIGKILL);
  const auto result = pre->wait();
  EXPECT_EQ(result.exit_code, 201) << result.text();
  EXPECT_LT(result.run_time(), std::chrono::seconds(6));
  EXPECT_TRUE(writable(*other_));
  expect_all_undone_when_backing_is_thawed();
}

TEST_F(HangingFreeze, SurvivesTheDeathOfWatchdogAndSentinelAtOnce) {
  freeze_backing();
  const auto pre = start({"pre-script", "--timeout", "3"});
  wait_until_freezing();
  std::vector<AgentProcess> both;
  both.push_back(process("dlm-watchdog"));
  both.push_back(process("dlm-sentinel"));
  kill_at_once(both);
  const auto result = pre->wait();
  EXPECT_EQ(result.exit_code, 201) << result.text();
  EXPECT_LT(result.run_time(), std::chrono::seconds(4));
  EXPECT_TRUE(writable(*other_));
  expect_all_undone_when_backing_is_thawed();
}

TEST_F(HangingFreeze, SurvivesTheDeathOfAllAtOnceUntilTheNextCommand) {
  freeze_backing();
  const auto pre = start({"pre-script", "--timeout", "10"});
  wait_until_freezing();
  const auto all = processes();
  EXPECT_EQ(all.size(), 4U);
  kill_at_once(all);
  const auto post = run({"post-script", "--timeout", "2"});
  EXPECT_EQ(post.exit_code, 202) << post.text();
  EXPECT_LT(post.run_time(), std::chrono::seconds(3));
  EXPECT_TRUE(writable(*other_));
  EXPECT_TRUE(backing_->thaw());
  // Killed inside FIFREEZE: it is frozen as soon as the call returns, and there is nobody left but
  // the next command.
  const auto again = run({"pre-script"});
  EXPECT_TRUE(again.exit_code == 0 || again.exit_code == 204) << again.text();
  run({"post-script"});
  EXPECT_TRUE(writable(*hanging_));
}

}  // namespace
}  // namespace dlm_freeze::integration
