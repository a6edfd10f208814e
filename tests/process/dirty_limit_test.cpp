// SPDX-License-Identifier: Apache-2.0
// A limit on the dirty memory of a device: who takes it away.
#include <gmock/gmock.h>
#include <signal.h>

#include "process/session_test.hpp"
#include "session/limits.hpp"

namespace dlm_freeze {
namespace {

using testing::IsEmpty;

class LimitedSession : public SessionTest {
 protected:
  void SetUp() override {
    add_filesystem();
    add_database();
    add_dirty_device();
  }
  void expect_lifted() {
    ASSERT_TRUE(is_over());
    EXPECT_FALSE(is_limited());
    EXPECT_THAT(record().to_put_back, IsEmpty());
  }
};

TEST_F(LimitedSession, IsLimitedFromPrepareUntilAllIsFrozen) {
  go(Step::started);
  EXPECT_FALSE(is_limited());
  prepare();
  EXPECT_TRUE(is_limited());
  EXPECT_FALSE(record().to_put_back.empty());
  quiesce();
  freeze();
  commit();
  EXPECT_FALSE(is_limited());
  EXPECT_THAT(record().to_put_back, IsEmpty());
  leave();
  EXPECT_EQ(post_script(), EndRequest::heard);
  expect_lifted();
}

TEST_F(LimitedSession, WritesBackASecondTime) {
  go(Step::prepared);
  EXPECT_EQ(kernel_.begun(0, Call::sync), 2);
  EXPECT_THAT(roll_back(), IsEmpty());
  leave();
}

TEST_F(LimitedSession, IsNotLimitedAfterARollBack) {
  go(Step::quiesced);
  EXPECT_TRUE(is_limited());
  EXPECT_THAT(roll_back(), IsEmpty());
  leave();
  expect_lifted();
}

TEST_F(LimitedSession, IsNotLimitedAfterTheDeathOfPreScript) {
  as_pre_script_that_dies([&] { go(Step::quiesced); });
  expect_lifted();
}

TEST_F(LimitedSession, IsNotLimitedAfterTheDeathOfTheWatchdog) {
  go(Step::quiesced);
  EXPECT_TRUE(is_limited());
  ::kill(watchdog(), SIGKILL);
  EXPECT_TRUE(fakes::eventually([&] { return !is_limited(); })) << "the sentinel";
  EXPECT_THAT(roll_back(), IsEmpty());
  leave();
  expect_lifted();
}

TEST_F(LimitedSession, IsNotLimitedAfterTheDeathOfTheFreezer) {
  go(Step::quiesced);
  ::kill(freezer(), SIGKILL);
  EXPECT_FALSE(client().freeze(soon()));
  EXPECT_THAT(roll_back(), IsEmpty());
  leave();
  expect_lifted();
}

TEST_F(LimitedSession, IsNotLimitedAfterItsDeadline) {
  go(Step::quiesced, std::chrono::seconds(1));
  EXPECT_TRUE(is_limited());
  EXPECT_TRUE(fakes::eventually([&] { return !is_limited(); }, std::chrono::seconds(5)));
  EXPECT_THAT(roll_back(), IsEmpty());
  leave();
  expect_lifted();
}

TEST_F(LimitedSession, OfAStoppedWatchdogIsNotLimitedAfterARollBack) {
  go(Step::quiesced);
  ::kill(watchdog(), SIGSTOP);
  EXPECT_THAT(roll_back(), IsEmpty());
  leave();
  expect_lifted();
}

TEST_F(LimitedSession, IsNotLimitedWhereWatchdogAndSentinelDieAndPreScriptIsLeft) {
  go(Step::quiesced);
  fakes::kill_together({watchdog(), sentinel()});
  EXPECT_THAT(roll_back(), IsEmpty());
  EXPECT_FALSE(is_limited());
  leave();
  expect_lifted();
}

TEST_F(LimitedSession, ThatLostAllProcessesIsMendedByTheNext) {
  as_pre_script_that_dies([&] {
    go(Step::prepared);
    fakes::kill_together({watchdog(), sentinel(), freezer()});
  });
  ASSERT_TRUE(is_over());
  EXPECT_TRUE(is_limited());
  const auto lock = state().try_lock(StateDirectory::Lock::session);
  ASSERT_TRUE(lock && *lock);
  SessionRecord orphan = record();
  ASSERT_TRUE(orphan.is_orphan(current_boot_id()));
  QuiescerRegistry registry({&fakes::FakeDatabases::type()}, {}, "");
  recover_orphan(state(), orphan, registry, kernel_, soon());
  EXPECT_FALSE(is_limited());
  EXPECT_THAT(orphan.to_put_back, IsEmpty());
}

}  // namespace
}  // namespace dlm_freeze
