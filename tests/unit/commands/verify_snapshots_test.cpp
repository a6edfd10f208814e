// SPDX-License-Identifier: Apache-2.0
#include "commands/verify_snapshots.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "unit/commands/held_session.hpp"

namespace dlm_freeze {
namespace {

using std::chrono::hours;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using testing::HasSubstr;

/// What `aws ec2 describe-snapshots` prints of two runs of a policy, with members that do not matter here.
constexpr const char* kDescribed = R"({"Snapshots": [
  {"Description": "", "Encrypted": true, "OwnerId": "123456789012", "Progress": "100%", "SnapshotId": "snap-2b",
   "StartTime": "2026-11-30T02:15:00.960000+00:00", "State": "completed", "VolumeId": "vol-b", "VolumeSize": 100,
   "StorageTier": "standard", "Tags": [{"Key": "aws:dlm:lifecycle-policy-id", "Value": "policy-0"}]},
  {"SnapshotId": "snap-2a", "StartTime": "2026-11-30T02:15:00.900000+00:00", "State": "completed", "VolumeId": "vol-a"},
  {"SnapshotId": "snap-1a", "StartTime": "2026-11-29T02:15:01.100000+00:00", "State": "completed", "VolumeId": "vol-a"},
  {"SnapshotId": "snap-1b", "StartTime": "2026-11-29T02:15:01.200000+00:00", "State": "completed", "VolumeId": "vol-b"}
]})";

/// A host with two volumes, held at the same time on two days, and the snapshots of both runs.
struct Runs {
  History history = {
      {held("a", milliseconds(10), milliseconds(2000)), held("a", milliseconds(10), milliseconds(2000))}};
  std::vector<Snapshot> snapshots;

  Runs() {
    SessionRecord& first = history.sessions.front();
    first.session_id = "the first";
    for (WallTime* moment : {&first.started_at, &first.held_at, &first.hold_ended_at}) *moment -= hours(24);
    for (SessionRecord& session : history.sessions)
      session.filesystems.push_back({"/logs", "259:2", "thawed", 1, false, 0.001, {"vol-b"}});
    snapshots = *parse_snapshots(*Json::parse(kDescribed));
  }

  [[nodiscard]] SnapshotReport judge() const { return judge_snapshots(history, snapshots); }

  /// Of the one with that id, or of the volume of which one is missing.
  [[nodiscard]] JudgedSnapshot judged(const std::string& id, const std::string& volume = "") const {
    for (const JudgedSnapshot& one : judge().snapshots) {
      if (one.snapshot.id == id && (volume.empty() || one.snapshot.volume_id == volume)) return one;
    }
    ADD_FAILURE() << "nothing is said of " << id << volume;
    return {};
  }
};

TEST(VerifySnapshots, AreProvenInsideTheirHolds) {
  const Runs runs;
  const SnapshotReport report = runs.judge();
  EXPECT_EQ(report.proof, CutProof::proven) << report.why;
  ASSERT_EQ(report.snapshots.size(), 4U);
  EXPECT_EQ(report.snapshots.front().snapshot.id, "snap-1a");
  EXPECT_EQ(runs.judged("snap-1b").session->session_id, "the first");
  EXPECT_EQ(runs.judged("snap-2b").session->session_id, "session of a");
  // The end of the first hold is the nearest: 1.2 s + 100 ms before 2 s - 0.5 ms.
  EXPECT_EQ(report.margin, microseconds(1'999'500 - 1'300'000));
}

/// What keeps snapshots from being proven: how to break it, and what is said of which.
struct SnapshotFault {
  const char* name;
  CutProof proof;
  const char* id;  ///< Empty: of the one of vol-b that is missing.
  const char* why;
  std::function<void(Runs&)> plant;
};

class VerifySnapshotsFaults : public testing::TestWithParam<SnapshotFault> {};

TEST_P(VerifySnapshotsFaults, AreNeverProven) {
  Runs runs;
  GetParam().plant(runs);
  const std::string id = GetParam().id;
  const JudgedSnapshot judged = runs.judged(id, id.empty() ? "vol-b" : "");
  EXPECT_EQ(judged.proof, GetParam().proof) << judged.why;
  EXPECT_THAT(judged.why, HasSubstr(GetParam().why));
  const SnapshotReport report = runs.judge();
  EXPECT_EQ(report.proof, GetParam().proof) << report.why;
  EXPECT_THAT(report.why, HasSubstr(GetParam().why));
}

Snapshot& newest(Runs& runs) { return runs.snapshots.front(); }  // snap-2b
SessionRecord& latest(Runs& runs) { return runs.history.sessions.back(); }

INSTANTIATE_TEST_SUITE_P(
    All, VerifySnapshotsFaults,
    testing::Values(SnapshotFault{"Before", CutProof::disproven, "snap-2b", "in no hold: taken 10.",
                                  [](Runs& runs) { newest(runs).started_at = kMoment - milliseconds(10'000); }},
                    SnapshotFault{"After", CutProof::disproven, "snap-2b", "after this one",
                                  [](Runs& runs) { newest(runs).started_at = kMoment + hours(1); }},
                    SnapshotFault{"MissingBecauseOutside", CutProof::disproven, "", "missing",
                                  [](Runs& runs) {
                                    newest(runs).started_at = kMoment + hours(1);
                                    std::swap(newest(runs),
                                              runs.snapshots.back());  // so that it is not the first that is found
                                    runs.snapshots.pop_back();
                                  }},
                    SnapshotFault{"Missing", CutProof::disproven, "", "missing",
                                  [](Runs& runs) { runs.snapshots.erase(runs.snapshots.begin()); }},
                    SnapshotFault{"Failed", CutProof::disproven, "snap-2b", "has failed",
                                  [](Runs& runs) { newest(runs).state = "error"; }},
                    SnapshotFault{"Pending", CutProof::unknown, "snap-2b", "not completed yet",
                                  [](Runs& runs) { newest(runs).state = "pending"; }},
                    SnapshotFault{"InTheRecycleBin", CutProof::unknown, "snap-2b", "'recoverable'",
                                  [](Runs& runs) { newest(runs).state = "recoverable"; }},
                    SnapshotFault{"BeforeAllOnRecord", CutProof::unknown, "snap-0b", "before the first session",
                                  [](Runs& runs) {
                                    runs.snapshots.push_back({"snap-0b", "vol-b", "completed", kMoment - hours(48)});
                                  }},
                    SnapshotFault{"TwoAccounts", CutProof::unknown, "snap-2b", "two accounts",
                                  [](Runs& runs) {
                                    runs.history.sessions.push_back(latest(runs));
                                    latest(runs).problems = {"db was lost"};
                                    std::swap(latest(runs), runs.history.sessions[1]);
                                  }},
                    SnapshotFault{"Written", CutProof::disproven, "snap-2b", "something wrote to vol-a",
                                  [](Runs& runs) { latest(runs).witness[0].result = "written"; }},
                    SnapshotFault{"AtTheBeginning", CutProof::unknown, "snap-2b", "too near",
                                  [](Runs& runs) { newest(runs).started_at = kMoment + milliseconds(50); }},
                    SnapshotFault{"AtTheEnd", CutProof::unknown, "snap-2b", "too near",
                                  [](Runs& runs) { newest(runs).started_at = kMoment + milliseconds(2050); }},
                    SnapshotFault{"Expired", CutProof::unknown, "snap-2b", "auto_thawed",
                                  [](Runs& runs) { latest(runs).end = SessionEnd::auto_thawed; }},
                    SnapshotFault{"Killed", CutProof::unknown, "snap-2b", "watchdog_lost",
                                  [](Runs& runs) {
                                    latest(runs).end = SessionEnd::watchdog_lost;
                                    latest(runs).hold_ended_at = {};
                                  }},
                    SnapshotFault{"ClockNotKept", CutProof::unknown, "snap-2b", "no time service",
                                  [](Runs& runs) { latest(runs).held_clock_error.reset(); }},
                    SnapshotFault{"ClockSet", CutProof::unknown, "snap-2b", "was set",
                                  [](Runs& runs) { latest(runs).hold_ended_at += milliseconds(20); }},
                    SnapshotFault{
                        "OfAnotherVolume", CutProof::unknown, "snap-root", "no session on record has held this volume",
                        [](Runs& runs) {
                          runs.snapshots.push_back({"snap-root", "vol-root", "completed", kMoment + milliseconds(900)});
                        }},
                    SnapshotFault{"NeverHeld", CutProof::disproven, "snap-2b", "in no hold",
                                  [](Runs& runs) {
                                    latest(runs).held_at = {};
                                    latest(runs).end = SessionEnd::rolled_back;
                                  }}),
    [](const auto& fault) { return std::string(fault.param.name); });

TEST(VerifySnapshots, MayBeThereTwiceInOneHold) {
  Runs runs;
  runs.snapshots.push_back({"snap-again", "vol-b", "completed", kMoment + milliseconds(1000)});
  EXPECT_EQ(runs.judge().proof, CutProof::proven) << runs.judge().why;
}

TEST(VerifySnapshots, DoNotMissWhatIsOnNoEbsVolume) {
  Runs runs;
  runs.history.sessions.back().filesystems.push_back({"/local", "259:3", "thawed", 1, false, 0.001, {"nvme1n1"}});
  const JudgedSnapshot judged = runs.judged("", "nvme1n1");
  EXPECT_EQ(judged.proof, CutProof::unknown);
  EXPECT_THAT(judged.why, HasSubstr("no EBS volume"));
}

TEST(VerifySnapshots, AreNotAskedForOfSessionsThatHaveNone) {
  Runs runs;
  std::erase_if(runs.snapshots, [](const Snapshot& one) { return one.id.starts_with("snap-1"); });
  EXPECT_EQ(runs.judge().proof, CutProof::proven) << runs.judge().why;
}

TEST(VerifySnapshots, AreNotProvenWhereThereAreNone) {
  EXPECT_EQ(judge_snapshots(Runs().history, {}).proof, CutProof::unknown);
  EXPECT_EQ(judge_snapshots({}, Runs().snapshots).proof, CutProof::unknown);
}

}  // namespace
}  // namespace dlm_freeze
