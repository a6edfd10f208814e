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
  const auto records = parse_history(line + "{\"version\": 1}\n\n" + line.substr(0, line.size() / 2) + "\n" + line);
  ASSERT_EQ(records.size(), 2U);
  EXPECT_EQ(records[0].hold_ended_boot, record.hold_ended_boot) << "of another time namespace, but in itself good";
  EXPECT_EQ(records[0].group_id, kGroup);
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
