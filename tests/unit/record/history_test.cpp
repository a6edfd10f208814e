// SPDX-License-Identifier: Apache-2.0
#include "record/history.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <string>

#include "fakes/scratch.hpp"

namespace dlm_freeze {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

class History : public testing::Test {
 protected:
  [[nodiscard]] SessionRecord ended(const std::string& execution_id) const {
    SessionRecord record;
    record.phase = Phase::ended;
    record.end = SessionEnd::completed;
    record.execution_id = execution_id;
    record.started_at = std::chrono::system_clock::from_time_t(1'795'452'002);
    record.ended_at = record.started_at + std::chrono::milliseconds(1500);
    record.stage_seconds = {{"plan", 0.001}, {"freeze", 0.25}};
    record.filesystems = {{"/data", "259:1", "thawed", 1.25, false, 0, {}},
                          {"/a \"b\\", "259:2", "thawed", 2, false, 0, {}}};
    record.history_file = file_;
    return record;
  }
  [[nodiscard]] std::vector<std::string> ids() const {
    const auto records = read_history(file_);
    EXPECT_TRUE(records) << records.error().message;
    std::vector<std::string> ids;
    for (const SessionRecord& record : *records) ids.push_back(record.execution_id);
    return ids;
  }

  fakes::Scratch scratch_;
  std::string file_ = scratch_ / "lib/history.jsonl";
};

TEST_F(History, IsEmptyBeforeTheFirstSession) { EXPECT_THAT(ids(), IsEmpty()); }

TEST_F(History, HasTheSessionsInTheOrderOfTheirEnd) {
  ASSERT_TRUE(remember(ended("first")));
  ASSERT_TRUE(remember(ended("second")));
  EXPECT_THAT(ids(), testing::ElementsAre("first", "second"));
  EXPECT_EQ(read_history(file_)->front().filesystems[1].frozen_seconds, 2);
}

TEST_F(History, IsReadByNobodyElse) {
  ASSERT_TRUE(remember(ended("one")));
  EXPECT_EQ(std::filesystem::status(file_).permissions() & std::filesystem::perms::others_all,
            std::filesystem::perms::none);
}

TEST_F(History, LeavesOutWhatIsDamaged) {
  ASSERT_TRUE(remember(ended("first")));
  std::filesystem::resize_file(file_, std::filesystem::file_size(file_) / 2);
  scratch_.write("lib/history.jsonl", fakes::content_of(file_) + "\n\nnot json\n{}\n");
  ASSERT_TRUE(remember(ended("second")));
  EXPECT_THAT(ids(), testing::ElementsAre("second"));
}

TEST_F(History, DoesNotGrowForEver) {
  SessionRecord large = ended("large");
  large.problems = {std::string(std::size_t{1} << 18, 'x')};
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(remember(large));
  ASSERT_TRUE(remember(ended("last")));
  EXPECT_EQ(ids().back(), "last");
  EXPECT_LE(ids().size(), 9U);
  EXPECT_GE(ids().size(), 4U);
  for (const auto& entry : std::filesystem::directory_iterator(scratch_ / "lib")) {
    EXPECT_LT(std::filesystem::file_size(entry), std::size_t{3} << 19) << entry;
  }
}

TEST_F(History, DoesNotFollowASymbolicLink) {
  std::filesystem::create_directory(scratch_ / "lib");
  std::filesystem::create_symlink(scratch_ / "elsewhere", file_);
  EXPECT_FALSE(remember(ended("one")));
  EXPECT_FALSE(std::filesystem::exists(scratch_ / "elsewhere"));
}

TEST_F(History, IsKeptNowhereWhenThatIsWanted) {
  SessionRecord record = ended("one");
  record.history_file.clear();
  EXPECT_TRUE(remember(record));
  EXPECT_FALSE(std::filesystem::exists(scratch_ / "lib"));
}

TEST(Metrics, SayHowTheSessionEnded) {
  SessionRecord record;
  record.end = SessionEnd::auto_thawed;
  record.ended_at = std::chrono::system_clock::from_time_t(1'795'452'002);
  record.problems = {"one"};
  record.stall_seconds = 0.125;
  record.filesystems = {{"/data", "", "", 1.25, false, 0.0625, {}}, {"/a \"b\\\n\xff", "", "", 2, false, 0, {}}};
  record.stage_seconds = {{"freeze", 0.25}};
  const std::string text = metrics_of(record);
  for (const char* line :
       {"# TYPE dlm_freeze_last_session_outcome gauge\n",
        "dlm_freeze_last_session_ended_timestamp_seconds 1795452002.000\n",
        "dlm_freeze_last_session_outcome{outcome=\"auto_thawed\"} 1.000\n",
        "dlm_freeze_last_session_outcome{outcome=\"completed\"} 0.000\n", "dlm_freeze_last_session_problems 1.000\n",
        "dlm_freeze_last_session_frozen_seconds{mount_point=\"/data\"} 1.250\n",
        "dlm_freeze_last_session_frozen_seconds{mount_point=\"/a \\\"b\\\\134\\\\012\\\\377\"} 2.000\n",
        "dlm_freeze_last_session_freeze_seconds{mount_point=\"/data\"} 0.062\n",
        "dlm_freeze_last_session_stall_seconds 0.125\n",
        "dlm_freeze_last_session_stage_seconds{stage=\"freeze\"} 0.250\n"}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
}

TEST_F(History, HasMetricsBesideItThatEverybodyMayRead) {
  SessionRecord record = ended("one");
  record.metrics_file = scratch_ / "dlm_freeze.prom";
  ASSERT_TRUE(remember(record));
  ASSERT_TRUE(remember(record)) << "replaces it";
  EXPECT_EQ(fakes::content_of(record.metrics_file), metrics_of(record));
  struct stat info {};
  ASSERT_EQ(::stat(record.metrics_file.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0644U);
  EXPECT_EQ(ids().size(), 2U);
}

TEST_F(History, IsWrittenAlsoWhereTheMetricsCannotBe) {
  SessionRecord record = ended("one");
  record.metrics_file = scratch_ / "absent/dlm_freeze.prom";
  const auto remembered = remember(record);
  ASSERT_FALSE(remembered);
  EXPECT_THAT(remembered.error().message, HasSubstr("absent"));
  EXPECT_EQ(ids().size(), 1U);
}

}  // namespace
}  // namespace dlm_freeze
