// SPDX-License-Identifier: Apache-2.0
#include "quiesce/coverage.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace dlm_freeze {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

/// /frozen is; everything else lies on the root filesystem.
Coverage coverage_of(const std::string& path) {
  if (path.starts_with("/frozen")) return {true, "/frozen", ""};
  if (path.starts_with("/nfs")) return {false, "/nfs", "no block device"};
  return {false, "/", "the root filesystem"};
}

std::vector<std::string> lines_of(const CoverageReport& report) {
  std::vector<std::string> lines;
  for (const LogLine& line : report.lines) {
    EXPECT_EQ(line.level, LogLevel::warn);
    lines.push_back(line.text);
  }
  return lines;
}

TEST(CoverageReport, IsEmptyWhereAllDataIsFrozen) {
  const auto report = report_coverage({{"data", "/frozen/data"},
                                       {"temporary files", "/tmp", true, DataRole::temporary},
                                       {"server log", "/var/log/db", true, DataRole::log},
                                       {"journal", "/srv/journal", false}},
                                      coverage_of, "");
  EXPECT_TRUE(report.all_frozen());
  EXPECT_THAT(lines_of(report), IsEmpty());
}

TEST(CoverageReport, NamesDataByFilesystem) {
  const auto report =
      report_coverage({{"data", "/frozen/data"}, {"tables", "/opt/a"}, {"redo log", "/nfs/redo"}, {"tables", "/opt/b"}},
                      coverage_of, "the lock alone protects it");
  EXPECT_FALSE(report.all_frozen());
  EXPECT_THAT(report.unfrozen, ElementsAre("/opt/a", "/nfs/redo")) << "one of each filesystem";
  EXPECT_THAT(
      lines_of(report),
      ElementsAre("not frozen: tables /opt/a, tables /opt/b on / (the root filesystem); the lock alone protects it",
                  "not frozen: redo log /nfs/redo on /nfs (no block device); the lock alone protects it"));
}

TEST(CoverageReport, IsShortForManyTables) {
  std::vector<DataLocation> locations;
  locations.reserve(1000);
  for (int i = 0; i < 1000; ++i) locations.push_back({"tables", "/opt/" + std::to_string(i)});
  const auto lines = lines_of(report_coverage(locations, coverage_of, ""));
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_THAT(lines[0], testing::HasSubstr("/opt/4 and 995 more on / ("));
}

TEST(CoverageReport, NamesALogThatIsFrozen) {
  EXPECT_THAT(
      lines_of(report_coverage({{"server log", "/frozen/log", true, DataRole::log}}, coverage_of, "")),
      ElementsAre("its server log (/frozen/log) lies on a filesystem that is frozen: every process that logs blocks "
                  "until the thaw"));
}

}  // namespace
}  // namespace dlm_freeze
