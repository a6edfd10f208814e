// SPDX-License-Identifier: Apache-2.0
#include "record/session_record.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <string>

namespace dlm_freeze {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

const WallTime kMoment = std::chrono::system_clock::from_time_t(1'795'452'002) + milliseconds(123);
const BootClock::time_point kBoot = BootClock::time_point(std::chrono::nanoseconds(123'456'789'012));

SessionRecord full_record() {
  SessionRecord record;
  record.phase = Phase::ended;
  record.session_id = "294521c7-0ee9-4f2a-8fe0-9d45253b259b";
  record.execution_id = "11111111-2222-3333-4444-555555555555";
  record.group_id = "shards-1";
  record.host = "db1";
  record.hold_wanted_at = kMoment + milliseconds(5);
  record.boot_id = "boot";
  record.started_at = kMoment;
  record.started_boot = kBoot;
  record.held_at = kMoment + milliseconds(10);
  record.held_boot = kBoot + milliseconds(10);
  record.held_clock_error = std::chrono::microseconds(250);
  record.hold_ended_at = kMoment + milliseconds(20);
  record.hold_ended_boot = kBoot + milliseconds(20);
  record.deadline_at = kMoment + std::chrono::seconds(60);
  record.deadline_boot = kBoot + std::chrono::seconds(60);
  record.stage_seconds = {{"plan", 0.001}, {"freeze", 2}};
  record.stall_seconds = 0.25;
  record.to_put_back = {{"/sys/class/bdi/7:0/strict_limit", "0"}};
  record.filesystems = {{"/data", "259:1", "thawed", 1.5, false, 0.125, {"vol-1", "nvme2n1"}},
                        {"/M\xc3\xbcller x", "259:2", "thaw_failed", 0, true, 0, {}}};
  record.quiescers = {
      {{"command", "db", false, Json::Object{{"freeze", Json::Array{"/bin/true"}}}}, true, {{"position", "154"}}}};
  record.witness = {{"vol-1", "written", "", 8}, {"vol-2", "not_provable", "swap is on it", 0}};
  record.end = SessionEnd::auto_thawed;
  record.ended_at = kMoment + std::chrono::seconds(60);
  record.ended_boot = kBoot + std::chrono::seconds(60);
  record.ended_by = "None";
  record.problems = {"one", "two"};
  record.reported = true;
  record.history_file = "/var/lib/history";
  record.metrics_file = "/var/lib/metrics";
  record.inventory = "/var/lib/custom";
  return record;
}

SessionRecord read_back(const SessionRecord& record) {
  const auto json = Json::parse(record.to_json().dump());
  EXPECT_TRUE(json);
  const auto again = SessionRecord::from_json(*json);
  EXPECT_TRUE(again) << again.error().message;
  return again ? *again : SessionRecord();
}

TEST(SessionRecord, IsReadBackAsItWasWritten) {
  const SessionRecord record = full_record();
  const SessionRecord again = read_back(record);
  EXPECT_EQ(again.phase, record.phase);
  EXPECT_EQ(again.execution_id, record.execution_id);
  EXPECT_EQ(again.session_id, record.session_id);
  EXPECT_EQ(again.group_id, record.group_id);
  EXPECT_EQ(again.host, record.host);
  EXPECT_EQ(again.hold_wanted_at, record.hold_wanted_at);
  EXPECT_EQ(again.held_clock_error, record.held_clock_error);
  EXPECT_EQ(again.hold_ended_at, record.hold_ended_at);
  EXPECT_EQ(again.hold_ended_boot, record.hold_ended_boot);
  EXPECT_FALSE(again.hold_ended_clock_error);
  ASSERT_EQ(again.witness.size(), 2U);
  EXPECT_EQ(again.witness[0].device, "vol-1");
  EXPECT_EQ(again.witness[0].sectors, 8);
  EXPECT_EQ(again.witness[1].result, "not_provable");
  EXPECT_EQ(again.witness[1].why, "swap is on it");
  EXPECT_EQ(again.boot_id, record.boot_id);
  EXPECT_EQ(again.started_at, record.started_at);
  EXPECT_EQ(again.held_at, record.held_at);
  EXPECT_EQ(again.deadline_at, record.deadline_at);
  EXPECT_EQ(again.started_boot, record.started_boot);
  EXPECT_EQ(again.held_boot, record.held_boot);
  EXPECT_EQ(again.deadline_boot, record.deadline_boot);
  EXPECT_EQ(again.ended_boot, record.ended_boot);
  EXPECT_EQ(again.stage_seconds, record.stage_seconds);
  ASSERT_EQ(again.filesystems.size(), 2U);
  EXPECT_EQ(again.filesystems[0].mount_point, "/data");
  EXPECT_EQ(again.filesystems[0].device, "259:1");
  EXPECT_EQ(again.filesystems[0].state, "thawed");
  EXPECT_EQ(again.filesystems[0].frozen_seconds, 1.5);
  EXPECT_EQ(again.filesystems[0].freeze_seconds, 0.125);
  EXPECT_EQ(again.filesystems[0].volumes, record.filesystems[0].volumes);
  EXPECT_EQ(again.stall_seconds, 0.25);
  ASSERT_EQ(again.to_put_back.size(), 1U);
  EXPECT_EQ(again.to_put_back[0].path, "/sys/class/bdi/7:0/strict_limit");
  EXPECT_EQ(again.to_put_back[0].value, "0");
  EXPECT_FALSE(again.filesystems[0].may_be_frozen);
  EXPECT_EQ(again.filesystems[1].mount_point, record.filesystems[1].mount_point);
  EXPECT_TRUE(again.filesystems[1].may_be_frozen);
  ASSERT_EQ(again.quiescers.size(), 1U);
  EXPECT_EQ(again.quiescers[0].config.type, "command");
  EXPECT_EQ(again.quiescers[0].config.name, "db");
  EXPECT_EQ(again.quiescers[0].config.options.dump_line(), record.quiescers[0].config.options.dump_line());
  EXPECT_TRUE(again.quiescers[0].quiesced);
  ASSERT_EQ(again.quiescers[0].facts.size(), 1U);
  EXPECT_EQ(again.quiescers[0].facts[0].key, "position");
  EXPECT_EQ(again.quiescers[0].facts[0].value, "154");
  EXPECT_EQ(again.end, record.end);
  EXPECT_EQ(again.ended_at, record.ended_at);
  EXPECT_EQ(again.ended_by, record.ended_by);
  EXPECT_EQ(again.problems, record.problems);
  EXPECT_EQ(again.reported, record.reported);
  EXPECT_EQ(again.history_file, record.history_file);
  EXPECT_EQ(again.metrics_file, record.metrics_file);
  EXPECT_EQ(again.inventory, record.inventory);
}

TEST(SessionRecord, OfAVersionWithoutHistoryIsReadToo) {
  const Json json = full_record().to_json().without({"history_file", "metrics_file", "inventory"});
  const auto record = SessionRecord::from_json(json);
  ASSERT_TRUE(record) << record.error().message;
  EXPECT_EQ(record->history_file, "");
}

TEST(SessionRecord, IsReadBackInEveryPhaseAndAfterEveryEnd) {
  for (const Phase phase : {Phase::preparing, Phase::freezing, Phase::held, Phase::ending, Phase::ended}) {
    SessionRecord record;
    record.phase = phase;
    EXPECT_EQ(read_back(record).phase, phase);
  }
  for (const SessionEnd end : {SessionEnd::none, SessionEnd::completed, SessionEnd::auto_thawed,
                               SessionEnd::rolled_back, SessionEnd::watchdog_lost}) {
    SessionRecord record;
    record.end = end;
    EXPECT_EQ(read_back(record).end, end);
  }
}

TEST(SessionRecord, ShowsTimesToPeopleToo) {
  const Json json = full_record().to_json();
  EXPECT_EQ(*json.find("started_at")->as_string(), "2026-11-23T16:40:02Z");
  EXPECT_TRUE(std::holds_alternative<std::nullptr_t>(SessionRecord().to_json().find("held_at")->value()));
}

TEST(SessionRecord, IsReadFromAVersionThatDidNotKnowTheBootClock) {
  const Json json =
      full_record().to_json().without({"started_boot_ns", "held_boot_ns", "deadline_boot_ns", "ended_boot_ns"});
  auto record = SessionRecord::from_json(json);
  ASSERT_TRUE(record) << record.error().message;
  record->deadline_at = std::chrono::system_clock::now() + std::chrono::seconds(30);
  record->held_at = std::chrono::system_clock::now() - std::chrono::seconds(30);
  EXPECT_GT(record->left_until_deadline(), std::chrono::seconds(20));
  EXPECT_LT(record->left_until_deadline(), std::chrono::seconds(31));
  EXPECT_GT(record->since_held(), std::chrono::seconds(29));
}

TEST(SessionRecord, MeasuresByTheBootClockWhereverTheWallClockIsSetTo) {
  for (const auto jump : {std::chrono::hours(-1), std::chrono::hours(1)}) {
    SessionRecord record;
    record.held_at = std::chrono::system_clock::now() + jump;
    record.held_boot = BootClock::now() - std::chrono::seconds(5);
    record.deadline_at = std::chrono::system_clock::now() + jump;
    record.deadline_boot = BootClock::now() + std::chrono::seconds(30);
    EXPECT_GT(record.left_until_deadline(), std::chrono::seconds(20));
    EXPECT_LT(record.left_until_deadline(), std::chrono::seconds(31));
    EXPECT_GE(record.since_held(), std::chrono::seconds(5));
    EXPECT_LT(record.since_held(), std::chrono::seconds(25));
  }
}

TEST(SessionRecord, KnowsNoNegativeSpans) {
  SessionRecord record;
  record.held_at = std::chrono::system_clock::now() + std::chrono::hours(1);
  EXPECT_EQ(record.since_held(), std::chrono::seconds(0));
  EXPECT_EQ(record.left_until_deadline(), std::chrono::seconds(0));
  record.held_boot = BootClock::now() + std::chrono::hours(1);
  record.deadline_boot = BootClock::now() - std::chrono::hours(1);
  EXPECT_EQ(record.since_held(), std::chrono::seconds(0));
  EXPECT_EQ(record.left_until_deadline(), std::chrono::seconds(0));
  record.filesystems = {{"/data", "259:1", "thawed", -1.5, false, 0, {}}};
  EXPECT_EQ(read_back(record).filesystems[0].frozen_seconds, 0);
}

TEST(SessionRecord, SurvivesAMountPointThatIsNotUtf8) {
  SessionRecord record;
  record.filesystems = {{"/latin1-\xfc", "259:1", "frozen", 0, true, 0, {}}};
  EXPECT_EQ(read_back(record).filesystems[0].device, "259:1");
}

/// The record without the member `key`, or with another value for it.
Json with(const std::string& key, const Json* value) {
  Json::Object changed;
  const Json json = full_record().to_json();
  for (const auto& [name, member] : *json.as_object()) {
    if (name != key) changed.emplace_back(name, member);
  }
  if (value != nullptr) changed.emplace_back(key, *value);
  return Json(std::move(changed));
}

/// What an earlier version did not write.
bool came_later(const std::string& key) {
  return key == "time_namespace" || key == "session_id" || key == "group_id" || key == "host" ||
         key.starts_with("hold_") || key.ends_with("_error_us") || key.ends_with("_boot_ns");
}

TEST(SessionRecord, IsDamagedWithoutAnyOfItsMembers) {
  const Json json = full_record().to_json();
  for (const auto& [key, value] : *json.as_object()) {
    // The first stand beside a number of milliseconds, for people.
    if (key.ends_with("_at") || key.ends_with("_file") || came_later(key)) continue;
    if (key == "earlier" || key == "witness" || key == "inventory") continue;
    if (key == "stall_seconds" || key == "to_put_back") continue;
    EXPECT_FALSE(SessionRecord::from_json(with(key, nullptr))) << key;
  }
}

TEST(SessionRecord, IsDamagedWithAMemberOfAnotherType) {
  const Json wrong = Json::Array{Json::Object{{"unexpected", 1}}};
  const Json json = full_record().to_json();
  for (const auto& [key, value] : *json.as_object()) {
    if (key.ends_with("_at") || key.ends_with("_file") || came_later(key) || key == "problems") continue;
    if (key == "inventory" || key == "stall_seconds") continue;
    EXPECT_FALSE(SessionRecord::from_json(with(key, &wrong))) << key;
  }
}

TEST(SessionRecord, NamesWhatIsWrong) {
  EXPECT_THAT(SessionRecord::from_json(with("boot_id", nullptr)).error().message,
              HasSubstr("'boot_id' is missing or wrong"));
  const Json unknown = "sleeping";
  EXPECT_THAT(SessionRecord::from_json(with("phase", &unknown)).error().message,
              HasSubstr("'sleeping', which is not known"));
}

TEST(SessionRecord, IsRefusedWhenItIsNoObject) {
  EXPECT_FALSE(SessionRecord::from_json(Json(1)));
  EXPECT_FALSE(SessionRecord::from_json(Json()));
  EXPECT_FALSE(SessionRecord::from_json(Json::Array()));
}

TEST(SessionRecord, IsRefusedWhenItIsOfAFutureVersion) {
  const Json version = 2;
  const auto record = SessionRecord::from_json(with("version", &version));
  ASSERT_FALSE(record);
  EXPECT_THAT(record.error().message, HasSubstr("of version 2; this program knows version 1"));
}

TEST(SessionRecord, IsRefusedForItsVersionAlsoWhereNothingElseIsKnown) {
  const auto record = SessionRecord::from_json(Json::Object{{"version", 7}, {"phase", "dreaming"}});
  ASSERT_FALSE(record);
  EXPECT_THAT(record.error().message, HasSubstr("of version 7"));
}

TEST(SessionRecord, HasTimesThatOneCanCalculateWithHoweverDamagedItIs) {
  for (const std::int64_t count :
       {std::numeric_limits<std::int64_t>::max(), std::numeric_limits<std::int64_t>::min()}) {
    const Json value = count;
    const auto record = SessionRecord::from_json(with("deadline_at_ms", &value));
    ASSERT_TRUE(record) << record.error().message;
    const auto left = record->deadline_at - std::chrono::system_clock::now();
    EXPECT_EQ(left > left.zero(), count > 0);
    EXPECT_FALSE(format_utc(record->deadline_at).empty());
  }
}

TEST(SessionRecord, MayHaveMembersThatAreNotKnown) {
  const Json value = 1;
  EXPECT_TRUE(SessionRecord::from_json(with("later", &value)));
}

TEST(SessionRecord, CutShortAnywhereIsAnErrorAndNoCrash) {
  const std::string text = full_record().to_json().dump();
  for (std::size_t length = 0; length + 2 < text.size(); ++length) {
    const auto json = Json::parse(std::string_view(text).substr(0, length));
    EXPECT_FALSE(json) << length;
  }
}

TEST(SessionRecord, HasLeftoversAsLongAsSomebodyHasToUndoThem) {
  SessionRecord record = full_record();
  EXPECT_TRUE(record.has_leftovers());
  record.filesystems[1].may_be_frozen = false;
  EXPECT_TRUE(record.has_leftovers());
  record.quiescers[0].quiesced = false;
  EXPECT_FALSE(record.has_leftovers());
}

TEST(SessionRecord, IsAnOrphanInItsOwnBootOnly) {
  SessionRecord record = full_record();
  record.phase = Phase::held;
  EXPECT_TRUE(record.is_orphan("boot"));
  EXPECT_FALSE(record.is_orphan("another boot"));
  record.phase = Phase::ended;
  EXPECT_FALSE(record.is_orphan("boot"));
}

TEST(SessionRecord, MayBeOfThisBootWhereAnIdIsNotKnown) {
  SessionRecord record = full_record();
  record.phase = Phase::held;
  record.started_boot = BootClock::now() - std::chrono::seconds(1);
  EXPECT_TRUE(record.is_of_boot(""));
  EXPECT_TRUE(record.is_orphan(""));
  record.started_boot = BootClock::now() + std::chrono::hours(1);
  EXPECT_FALSE(record.is_of_boot("")) << "it has yet to begin";
  record.boot_id = "";
  EXPECT_FALSE(record.is_of_boot("boot"));
  record.started_boot = BootClock::time_point();
  EXPECT_TRUE(record.is_of_boot("boot")) << "another time namespace's clock is not known";
}

TEST(BootId, IsThatOfTheKernel) {
  EXPECT_EQ(current_boot_id().size(), 36U);
  EXPECT_EQ(current_boot_id(), current_boot_id());
}

TEST(SessionRecord, TakesNoBootClockOfAnotherTimeNamespaceForItsOwn) {
  SessionRecord record = full_record();
  record.deadline_at = std::chrono::system_clock::now() + std::chrono::seconds(30);
  record.time_namespace = current_time_namespace();
  EXPECT_EQ(read_back(record).deadline_boot, record.deadline_boot);
  record.time_namespace = "time:[1]";
  const SessionRecord again = read_back(record);
  EXPECT_EQ(again.deadline_boot, BootClock::time_point());
  EXPECT_GT(again.left_until_deadline(), std::chrono::seconds(20));
  EXPECT_EQ(again.past_deadline(), BootClock::duration::zero());
}

TEST(SessionRecord, KnowsTheSessionsBeforeIt) {
  SessionRecord first;
  first.execution_id = "a";
  first.end = SessionEnd::auto_thawed;
  first.ended_at = WallTime(std::chrono::milliseconds(1'700'000'000'123));
  SessionRecord second;
  second.execution_id = "b";
  second.end = SessionEnd::completed;
  second.ended_by = "c";
  second.problems = {"lost"};
  second.reported = true;
  second.earlier = first.earlier_for_next();
  SessionRecord third;
  third.execution_id = "d";
  third.earlier = second.earlier_for_next();
  const auto read = SessionRecord::from_json(third.to_json());
  ASSERT_TRUE(read) << read.error().message;
  ASSERT_EQ(read->earlier.size(), 2U);
  const EarlierSession* found = read->earlier_of("a");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->end, SessionEnd::auto_thawed);
  EXPECT_EQ(found->ended_at, first.ended_at);
  EXPECT_FALSE(found->had_problems || found->reported);
  EXPECT_EQ(read->earlier_of("b"), read->earlier_of("c")) << "who ended it is as good as who started it";
  EXPECT_TRUE(read->earlier_of("b")->had_problems && read->earlier_of("b")->reported);
  for (const char* unknown : {"d", "e", "None"}) EXPECT_EQ(read->earlier_of(unknown), nullptr) << unknown;
}

TEST(SessionRecord, TakesNoIdForKnownByWhichWhoHasNoneEndedASession) {
  SessionRecord first;
  first.execution_id = "None";
  first.ended_by = "c";
  SessionRecord second;
  second.execution_id = "None";
  second.earlier = first.earlier_for_next();
  EXPECT_EQ(second.earlier_of("c"), nullptr);
  second.execution_id = "d";
  EXPECT_NE(second.earlier_of("c"), nullptr);
}

TEST(SessionRecord, ForgetsTheOldestAndThoseWithoutAnId) {
  SessionRecord record;
  for (int i = 0; i < 100; ++i) {
    SessionRecord next;
    next.execution_id = i % 2 == 0 ? std::to_string(i) : "None";
    next.ended_by = i % 2 == 0 ? "" : "None";
    next.earlier = record.earlier_for_next();
    record = next;
  }
  EXPECT_EQ(record.earlier.size(), 16U);
  EXPECT_EQ(record.earlier.front().execution_id, "98");
}

}  // namespace
}  // namespace dlm_freeze
