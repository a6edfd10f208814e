// SPDX-License-Identifier: Apache-2.0
#include "commands/hold_evidence.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/commands/held_session.hpp"

namespace dlm_freeze {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

TEST(HoldEvidence, ReadsWhatAHistorySaysAndLeavesOutWhatIsDamaged) {
  SessionRecord record = held("a", milliseconds(10), milliseconds(2000));
  record.time_namespace = "time:[1]";
  const std::string line = record.to_json().dump_line();
  const History history = parse_history(line + "{\"version\": 1}\n\n" + line.substr(0, line.size() / 2) + "\n" + line);
  const auto& records = history.sessions;
  ASSERT_EQ(records.size(), 2U);
  EXPECT_EQ(records[0].hold_ended_boot, record.hold_ended_boot) << "of another time namespace, but in itself good";
  EXPECT_EQ(records[0].group_id, kGroup);
  EXPECT_EQ(history.before_damage, 1U);
  EXPECT_EQ(parse_history(line + "\n" + line).before_damage, 0U);
}

TEST(HoldEvidence, LeavesOutARecordWithAMemberOfAnotherType) {
  const std::string line = held("a", milliseconds(10), milliseconds(2000)).to_json().dump_line();
  const auto with = [&](const std::string& from, const std::string& to) {
    const std::size_t at = line.find(from);
    return at == std::string::npos ? "" : std::string(line).replace(at, from.size(), to);
  };
  for (const std::string& damaged :
       {with(R"("problems":[])", R"("problems":[{}])"), with(R"("witness":[)", R"("witness":1,"x":[)"),
        with(R"("session_id":"session of a")", R"("session_id":1)")}) {
    ASSERT_NE(damaged, "");
    EXPECT_EQ(parse_history(damaged).sessions.size(), 0U) << damaged;
  }
}

TEST(HoldEvidence, TakesNoErrorOfAClockThatIsNone) {
  const std::string line = held("a", milliseconds(10), milliseconds(2000)).to_json().dump_line();
  const std::string key = "\"held_clock_error_us\":";
  const std::size_t at = line.find(key + "500");
  ASSERT_NE(at, std::string::npos);
  for (const char* error : {"-1", "9223372036854775807", "36028797018963967"}) {
    const History history = parse_history(std::string(line).replace(at, key.size() + 3, key + error));
    ASSERT_EQ(history.sessions.size(), 1U);
    EXPECT_EQ(judge_hold(history.sessions[0]).proof, CutProof::unknown) << error;
  }
}

TEST(HoldEvidence, TakesNoPartOfAList) {
  const auto json = Json::parse(R"({"Snapshots": [], "NextToken": "more"})");
  const auto part = parse_snapshots(*json);
  ASSERT_FALSE(part);
  EXPECT_THAT(part.error().message, HasSubstr("NextToken"));
}

TEST(HoldEvidence, ReadsWhatAwsPrints) {
  const auto parsed = [](const char* text) {
    const auto json = Json::parse(text);
    EXPECT_TRUE(json);
    return parse_snapshots(*json);
  };
  const auto snapshots = parsed(
      R"({"Snapshots": [{"SnapshotId": "snap-1", "VolumeId": "vol-a", "State": "pending", "Encrypted": false,
                         "StartTime": "2026-11-30T02:15:00.123000+00:00"}]})");
  ASSERT_TRUE(snapshots) << snapshots.error().message;
  EXPECT_EQ(snapshots->at(0).started_at, kMoment + milliseconds(123));
  EXPECT_EQ(snapshots->at(0).state, "pending");
  EXPECT_THAT(parsed("{}").error().message, HasSubstr("Snapshots"));
  EXPECT_THAT(parsed(R"({"Snapshots": [{"SnapshotId": "snap-1", "VolumeId": "vol-a", "State": "pending",
                                       "StartTime": "yesterday"}]})")
                  .error()
                  .message,
              HasSubstr("StartTime"));
  EXPECT_THAT(parsed(R"({"Snapshots": [{"SnapshotId": "snap-1"}]})").error().message, HasSubstr("VolumeId"));
}

}  // namespace
}  // namespace dlm_freeze
