// SPDX-License-Identifier: Apache-2.0
#include "session/shared_state.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/sysmacros.h>

#include <chrono>
#include <optional>

#include "base/wait.hpp"
#include "fakes/fake_databases.hpp"
#include "fakes/fake_kernel.hpp"
#include "fakes/processes.hpp"
#include "fs/freezing.hpp"
#include "fs/thawer.hpp"
#include "session/recovery.hpp"

namespace dlm_freeze {
namespace {

using fakes::FakeKernel;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class SessionStates : public testing::Test {
 protected:
  SessionStates() {
    std::vector<FrozenFilesystems::Filesystem> all;
    for (unsigned i = 0; i < 2; ++i) {
      FakeKernel::Id id = 0;
      UniqueFd fd = kernel_.add(id);
      all.push_back({"/fs" + std::to_string(i), makedev(259, i), 0, std::move(fd)});
    }
    SessionPlan plan{.state = nullptr,
                     .lock = {},
                     .freezer_lock = {},
                     .filesystems = std::move(FrozenFilesystems::adopt(std::move(all), kernel_).value()),
                     .rcu = {},
                     .quiescers = {},
                     .execution_id = "None",
                     .auto_thaw = std::chrono::seconds(60),
                     .started_at = std::chrono::system_clock::now(),
                     .history_file = {},
                     .metrics_file = {},
                     .coverage = nullptr,
                     .syslog = nullptr};
    plan.quiescers.push_back({fakes::FakeDatabases::config(0, "db"), &fakes::FakeDatabases::type(), nullptr});
    plan_.emplace(std::move(plan));
    session_.emplace(std::move(SessionState::create(*plan_).value()));
  }
  void freeze() {
    Freezing freezing = std::move(Freezing::create(plan_->filesystems).value());
    while (freezing.begin_level()) ASSERT_TRUE(wait_readable(freezing.fd(), Deadline::in(std::chrono::minutes(1))));
  }
  [[nodiscard]] const SessionRecord& refreshed() {
    session_->refresh(*plan_);
    return session_->record;
  }

  FakeKernel kernel_;
  fakes::FakeDatabases databases_;
  std::optional<SessionPlan> plan_;
  std::optional<SessionState> session_;
};

TEST_F(SessionStates, BeginWithWhatIsPlanned) {
  const SessionRecord& record = refreshed();
  EXPECT_EQ(record.phase, Phase::preparing);
  EXPECT_EQ(record.boot_id, current_boot_id());
  ASSERT_EQ(record.filesystems.size(), 2U);
  EXPECT_EQ(record.filesystems[1].device, "259:1");
  EXPECT_EQ(record.filesystems[1].state, "idle");
  EXPECT_FALSE(record.has_leftovers());
  ASSERT_EQ(record.quiescers.size(), 1U);
  EXPECT_EQ(record.quiescers[0].config.name, "db");
}

TEST_F(SessionStates, SayThatWhatIsAboutToBeFrozenMayBe) {
  session_->record.phase = Phase::freezing;
  EXPECT_TRUE(refreshed().filesystems[0].may_be_frozen);
  session_->end(SessionEnd::rolled_back);
  EXPECT_FALSE(refreshed().filesystems[0].may_be_frozen);
}

TEST_F(SessionStates, FollowTheFilesystems) {
  kernel_.fail(1, FakeKernel::Call::freeze, EOPNOTSUPP);
  freeze();
  EXPECT_EQ(refreshed().filesystems[0].state, "frozen");
  EXPECT_TRUE(refreshed().filesystems[0].may_be_frozen);
  EXPECT_EQ(refreshed().filesystems[1].state, "unsupported");
  EXPECT_FALSE(refreshed().filesystems[1].may_be_frozen);
}

TEST_F(SessionStates, ShareWithForkedProcessesWhichDatabasesAreQuiesced) {
  EXPECT_EQ(fakes::in_child([&] {
              session_->set_quiesced(0, true);
              return 0;
            }),
            0);
  EXPECT_TRUE(session_->is_quiesced(0));
  EXPECT_TRUE(refreshed().quiescers[0].quiesced);
}

TEST_F(SessionStates, ShareWithForkedProcessesWhenTheHoldEnded) {
  freeze();
  session_->record.held_at = std::chrono::system_clock::now();
  const auto before = BootClock::now();
  EXPECT_EQ(refreshed().hold_ended_boot, BootClock::time_point());
  EXPECT_EQ(fakes::in_child([&] {
              session_->note_hold_end();
              return 0;
            }),
            0);
  const auto after = BootClock::now();
  session_->note_hold_end();  // Too late: it has ended.
  EXPECT_GE(refreshed().hold_ended_boot, before);
  EXPECT_LE(refreshed().hold_ended_boot, after);
  EXPECT_GE(refreshed().hold_ended_at, session_->record.held_at);
}

TEST_F(SessionStates, OfWhatWasNeverHeldHaveNoEndOfTheHold) {
  session_->note_hold_end();
  EXPECT_EQ(refreshed().hold_ended_at, WallTime());
}

TEST_F(SessionStates, DoNotKnowTheEndOfAHoldThatAnotherProgramCutShort) {
  freeze();
  session_->record.held_at = std::chrono::system_clock::now();
  kernel_.thaw_by_somebody_else(0);
  session_->note_hold_end();
  auto thawer = Thawer::create(plan_->filesystems, {}, Thawer::Role::owner);
  ASSERT_TRUE(thawer);
  EXPECT_TRUE(thawer->run(Deadline::in(fakes::kSoon)));
  EXPECT_EQ(refreshed().hold_ended_at, WallTime());
  EXPECT_EQ(refreshed().hold_ended_boot, BootClock::time_point());
}

TEST_F(SessionStates, LostWithTheirWatchdogProveNothing) {
  SessionRecord held = session_->record;
  held.phase = Phase::held;
  held.witness = {{"vol-1", "watched", "", 0}, {"vol-2", "not_provable", "swap is on it", 0}};
  mark_lost(held, SessionEnd::watchdog_lost);
  EXPECT_EQ(held.witness[0].result, "not_provable");
  EXPECT_EQ(held.witness[1].why, "swap is on it");
}

TEST_F(SessionStates, AreARecordAsText) {
  const auto json = Json::parse(session_->text(*plan_));
  ASSERT_TRUE(json);
  const auto record = SessionRecord::from_json(*json);
  ASSERT_TRUE(record) << record.error().message;
  EXPECT_EQ(record->execution_id, "None");
}

TEST_F(SessionStates, EndOnceAndAreNotMarkedAsLostThen) {
  SessionRecord& record = session_->record;
  record.phase = Phase::held;
  session_->end(SessionEnd::completed);
  EXPECT_EQ(record.phase, Phase::ended);
  mark_lost(record, SessionEnd::watchdog_lost);
  EXPECT_EQ(record.end, SessionEnd::completed);
  EXPECT_THAT(record.problems, IsEmpty());
}

TEST_F(SessionStates, AreMarkedAsLostByHowFarTheyHadCome) {
  SessionRecord held = session_->record;
  held.phase = Phase::held;
  mark_lost(held, SessionEnd::watchdog_lost);
  EXPECT_EQ(held.phase, Phase::ended);
  EXPECT_EQ(held.end, SessionEnd::watchdog_lost);
  SessionRecord freezing = session_->record;
  freezing.phase = Phase::freezing;
  mark_lost(freezing, SessionEnd::watchdog_lost);
  EXPECT_EQ(freezing.end, SessionEnd::rolled_back);
  EXPECT_THAT(freezing.problems, ElementsAre("the watchdog was lost"));
}

TEST_F(SessionStates, SayWhatTheStatesOfFilesystemsMean) {
  freeze();
  kernel_.thaw_by_somebody_else(0);
  kernel_.fail(1, FakeKernel::Call::thaw, EIO);
  auto thawer = Thawer::create(plan_->filesystems, {}, Thawer::Role::owner);
  ASSERT_TRUE(thawer);
  EXPECT_TRUE(thawer->run(Deadline::in(fakes::kSoon)));
  SessionRecord record;
  note_problems(record, plan_->filesystems);
  EXPECT_THAT(record.problems, ElementsAre("/fs0 was thawed by another program while it was held",
                                           HasSubstr("/fs1 could not be thawed: Input/output error")));
}

}  // namespace
}  // namespace dlm_freeze
