// SPDX-License-Identifier: Apache-2.0
#include "commands/verify_cut.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <random>

#include "unit/commands/held_session.hpp"

namespace dlm_freeze {
namespace {

using std::chrono::hours;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;
using testing::StartsWith;

/// Three hosts whose holds are a second and more in common.
struct Set {
  std::vector<HostHistory> histories = {{{{held("a", milliseconds(10), milliseconds(2000))}}, "a.jsonl"},
                                        {{{held("b", milliseconds(40), milliseconds(1900))}}, "b.jsonl"},
                                        {{{held("c", milliseconds(20), milliseconds(2100))}}, "c.jsonl"}};
  std::vector<Snapshot> snapshots = {snapshot("a", milliseconds(900)), snapshot("b", milliseconds(910)),
                                     snapshot("c", milliseconds(920))};

  SessionRecord& of(std::size_t host) { return histories[host].sessions.back(); }
  [[nodiscard]] Cut judge(const std::string& group = kGroup) const {
    const auto cut = judge_cut(histories, snapshots, group);
    EXPECT_TRUE(cut) << cut.error().message;
    return cut ? *cut : Cut();
  }
};

TEST(VerifyCut, IsProvenWhereAllHoldsContainAllSnapshots) {
  const Cut cut = Set().judge();
  EXPECT_EQ(cut.proof, CutProof::proven) << cut.why;
  // b is the last to be held, at 40 ms with 0.5 ms and a whole millisecond, and its snapshot is the nearest to that.
  EXPECT_EQ(cut.decided_by, "b");
  EXPECT_EQ(cut.margin, microseconds(910'000 - 100'000 - 41'500));
  for (const CutHost& host : cut.hosts) EXPECT_EQ(host.proof, CutProof::proven) << host.host;
}

TEST(VerifyCut, HasTheOverlapAsItsMarginWhereThatIsLess) {
  Set set;
  set.of(0) = held("a", milliseconds(0), milliseconds(1000));
  set.of(1) = held("b", milliseconds(900), milliseconds(1900));
  set.snapshots = {snapshot("a", milliseconds(500)), snapshot("b", milliseconds(1400)),
                   snapshot("c", milliseconds(900))};
  const Cut cut = set.judge();
  EXPECT_EQ(cut.proof, CutProof::proven);
  EXPECT_EQ(cut.margin, microseconds(999'500 - 901'500));
  EXPECT_EQ(cut.decided_by, "b");
}

TEST(VerifyCut, IsDisprovenWhereOneWasHeldOnlyAfterAnotherWasReleased) {
  Set set;
  set.of(2) = held("c", milliseconds(2000), milliseconds(3000));
  set.snapshots[2] = snapshot("c", milliseconds(2500));
  const Cut cut = set.judge();
  EXPECT_EQ(cut.proof, CutProof::disproven);
  EXPECT_EQ(cut.decided_by, "c");
  EXPECT_EQ(cut.why, "was held only after b had been released");
  EXPECT_EQ(cut.margin, microseconds(1'899'500 - 2'001'500));
}

TEST(VerifyCut, IsUnknownWhereTheClocksDoNotTellWhichWasFirst) {
  Set set;
  set.of(2) = held("c", milliseconds(1950), milliseconds(3000));
  set.of(2).held_clock_error = milliseconds(80);
  set.snapshots[2] = snapshot("c", milliseconds(2500));
  const Cut cut = set.judge();
  EXPECT_EQ(cut.proof, CutProof::unknown);
  EXPECT_EQ(cut.decided_by, "c");
  EXPECT_LT(cut.margin, microseconds(0));
}

/// What keeps a set from being proven: how to break it, and what is said of which host.
struct Fault {
  const char* name;
  CutProof proof;
  const char* why;
  std::function<void(Set&)> plant;
};

class VerifyCutFaults : public testing::TestWithParam<Fault> {};

TEST_P(VerifyCutFaults, AreNeverProven) {
  Set set;
  GetParam().plant(set);
  const Cut cut = set.judge();
  EXPECT_EQ(cut.proof, GetParam().proof) << cut.why;
  EXPECT_THAT(cut.why, HasSubstr(GetParam().why));
  EXPECT_THAT(cut.decided_by, StartsWith("b"));
  EXPECT_EQ(cut.hosts[1].proof, GetParam().proof);
}

INSTANTIATE_TEST_SUITE_P(
    All, VerifyCutFaults,
    testing::Values(
        Fault{"RolledBack", CutProof::disproven, "was not held: rolled_back",
              [](Set& set) {
                set.of(1).end = SessionEnd::rolled_back;
                set.of(1).held_at = {};
              }},
        Fault{"Written", CutProof::disproven, "something wrote to vol-b",
              [](Set& set) { set.of(1).witness[0].result = "written"; }},
        Fault{"SnapshotBefore", CutProof::disproven, "snap-b of vol-b was taken before it was held",
              [](Set& set) { set.snapshots[1] = snapshot("b", milliseconds(-100)); }},
        Fault{"SnapshotAfter", CutProof::disproven, "was taken after it was released",
              [](Set& set) { set.snapshots[1] = snapshot("b", milliseconds(2100)); }},
        Fault{"SnapshotAtTheBeginning", CutProof::unknown, "too near",
              [](Set& set) { set.snapshots[1] = snapshot("b", milliseconds(100)); }},
        Fault{"SnapshotAtTheEnd", CutProof::unknown, "too near",
              [](Set& set) { set.snapshots[1] = snapshot("b", milliseconds(1850)); }},
        Fault{"NoSnapshot", CutProof::unknown, "no snapshot of vol-b",
              [](Set& set) { set.snapshots.erase(set.snapshots.begin() + 1); }},
        Fault{"TwoSnapshots", CutProof::unknown, "2 snapshots of vol-b",
              [](Set& set) { set.snapshots.push_back(snapshot("b", milliseconds(905))); }},
        Fault{"FailedSnapshot", CutProof::unknown, "has failed", [](Set& set) { set.snapshots[1].state = "error"; }},
        Fault{"PendingSnapshot", CutProof::unknown, "snap-b of vol-b is not completed yet",
              [](Set& set) { set.snapshots[1].state = "pending"; }},
        Fault{"SnapshotInTheRecycleBin", CutProof::unknown, "'recoverable'",
              [](Set& set) { set.snapshots[1].state = "recoverable"; }},
        Fault{"TwoAccounts", CutProof::unknown, "two accounts",
              [](Set& set) {
                set.histories[1].sessions.insert(set.histories[1].sessions.begin(), set.of(1));
                set.histories[1].sessions.front().problems = {"db was lost"};
              }},
        Fault{"LaterLineIsDamaged", CutProof::unknown, "cannot be read",
              [](Set& set) { set.histories[1].before_damage = 1; }},
        Fault{"NoSessionId", CutProof::unknown, "which session", [](Set& set) { set.of(1).session_id.clear(); }},
        Fault{"Expired", CutProof::unknown, "auto_thawed", [](Set& set) { set.of(1).end = SessionEnd::auto_thawed; }},
        Fault{"Killed", CutProof::unknown, "watchdog_lost",
              [](Set& set) { set.of(1).end = SessionEnd::watchdog_lost; }},
        Fault{"ThawedByOthers", CutProof::unknown, "/data was not held: lost",
              [](Set& set) {
                set.of(1).filesystems[0].state = "lost";
                set.of(1).hold_ended_at = {};
              }},
        Fault{"Problem", CutProof::unknown, "db was lost", [](Set& set) { set.of(1).problems = {"db was lost"}; }},
        Fault{"NotEnded", CutProof::unknown, "has not ended", [](Set& set) { set.of(1).phase = Phase::held; }},
        Fault{"NothingFrozen", CutProof::unknown, "no filesystem was frozen",
              [](Set& set) { set.of(1).filesystems.clear(); }},
        Fault{"UnknownVolume", CutProof::unknown, "on which volume",
              [](Set& set) { set.of(1).filesystems[0].volumes.clear(); }},
        Fault{"NotAllVolumes", CutProof::unknown, "no snapshot of nvme2n1",
              [](Set& set) { set.of(1).filesystems[0].volumes.push_back("nvme2n1"); }},
        Fault{"ClockNotKept", CutProof::unknown, "no time service",
              [](Set& set) { set.of(1).held_clock_error.reset(); }},
        Fault{"ClockNotKeptAtTheEnd", CutProof::unknown, "no time service",
              [](Set& set) { set.of(1).hold_ended_clock_error.reset(); }},
        Fault{"ClockSet", CutProof::unknown, "was set", [](Set& set) { set.of(1).hold_ended_at += milliseconds(20); }},
        Fault{"NoBootClock", CutProof::unknown, "no setting of the clock", [](Set& set) { set.of(1).held_boot = {}; }},
        Fault{"OtherGroup", CutProof::unknown, "has no session", [](Set& set) { set.of(1).group_id = "other"; }}),
    [](const auto& fault) { return std::string(fault.param.name); });

TEST(VerifyCut, IsNeverProvenWhereAClockWasSetDuringTheHold) {
  std::mt19937 random(20261130);
  for (int round = 0; round < 100; ++round) {
    Set set;
    const milliseconds step(4 + random() % 100'000);
    set.of(1).hold_ended_at += round % 2 == 0 ? step : -step;
    EXPECT_NE(set.judge().proof, CutProof::proven) << step.count();
  }
}

TEST(VerifyCut, TakesTheSessionThatWasHeldWherePreScriptWasRepeated) {
  Set set;
  SessionRecord failed = held("b", milliseconds(0), milliseconds(0));
  failed.session_id = "the failed one";
  failed.end = SessionEnd::rolled_back;
  failed.held_at = {};
  auto& sessions = set.histories[1].sessions;
  sessions.insert(sessions.begin(), failed);
  EXPECT_EQ(set.judge().proof, CutProof::proven);
  sessions.push_back(failed);
  EXPECT_EQ(set.judge().proof, CutProof::proven);
}

TEST(VerifyCut, IsNotProvenByOneHistoryGivenTwice) {
  Set set;
  set.histories[1] = set.histories[0];
  EXPECT_EQ(set.judge().proof, CutProof::unknown);
}

TEST(VerifyCut, IsOfTheLatestGroupUnlessOneIsNamed) {
  Set set;
  SessionRecord later = held("a", milliseconds(0), milliseconds(1000));
  later.session_id = later.group_id = "later";
  later.started_at += hours(1);
  set.histories[0].sessions.push_back(later);
  EXPECT_EQ(set.judge("").group_id, "later");
  EXPECT_EQ(set.judge("").proof, CutProof::unknown);
  EXPECT_EQ(set.judge(kGroup).proof, CutProof::proven);
  for (HostHistory& history : set.histories) {
    for (SessionRecord& session : history.sessions) session.group_id.clear();
  }
  const auto none = judge_cut(set.histories, set.snapshots, "");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().kind, ErrorKind::not_ready);
}

}  // namespace
}  // namespace dlm_freeze
