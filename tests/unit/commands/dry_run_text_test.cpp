// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/text.hpp"
#include "commands/dry_run_report.hpp"
#include "planned_host.hpp"

namespace dlm_freeze {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr std::size_t kAgentShows = 2'500;

/// A host with a root and `count` data volumes of a filesystem each, every third of which cannot be frozen where `bad`.
class Report {
 public:
  Report(int count, const std::string& name, bool bad = false)
      : host("nvme0n1 259:0 serial=vol0a\n", "1 0 259:0 / / rw - ext4 /dev/nvme0n1 rw\n") {
    std::string mounts = "1 0 259:0 / / rw - ext4 /dev/nvme0n1 rw\n2 1 0:5 / /proc rw - proc proc rw\n";
    for (int i = 1; i <= count; ++i) {
      const std::string n = std::to_string(i);
      std::string serial = "vol" + std::string(17 - n.size(), '0');
      serial += n;
      host.devices.add({.name = "nvme" + n + "n1", .number = "8:" + n, .serial = serial});
      mounts += std::to_string(i + 2) + " 1 8:" + n + " / /nowhere/" + name + n +
                (bad && i % 3 == 0 ? " rw - vfat" : " rw - xfs") + " /dev/nvme" + n + "n1 rw\n";
    }
    host.replan(mounts);
  }

  [[nodiscard]] DryRunText text() {
    const VolumeReport volumes = host.report();
    const Consistency judged = judge_consistency(host.plan, host.settings, readiness, volumes, "");
    return to_text(
        {host.plan, host.settings, std::chrono::seconds(60), readiness, volumes, estimate, judged, hazards, notes});
  }

  /// As the agent shows it.
  [[nodiscard]] std::string whole() {
    const DryRunText parts = text();
    std::string all = parts.head;
    for (const LogLine& line : parts.lines) all += std::string(level_word(line.level)) + ": " + line.text + "\n";
    return all + parts.tail;
  }

  PlannedHost host;
  Readiness readiness;
  FreezeEstimate estimate{.dirty_bytes = 1 << 20,
                          .bytes_per_second = 1e8,
                          .basis = "as given",
                          .seconds = 0.1,
                          .budget = std::chrono::seconds(8)};
  std::vector<Hazard> hazards;
  std::vector<LogLine> notes;
};

TEST(DryRunText, BeginsWithTheAnswerAndEndsWithWhatWasDone) {
  Report report(2, "data");
  const std::string text = report.whole();
  EXPECT_THAT(text,
              StartsWith("Consistent: yes, for vol-00000000000000001, vol-00000000000000002; crash-consistent for "
                         "vol-0a (boot).\n\n  VOLUME "));
  EXPECT_THAT(text, testing::EndsWith("1 mount without a block device is left out (--all). 2 filesystems would be "
                                      "frozen, 0 databases quiesced. Nothing was changed.\n"));
  EXPECT_THAT(text, Not(HasSubstr("MOUNT POINT")));
  EXPECT_THAT(text, Not(HasSubstr("/proc")));
}

TEST(DryRunText, FitsOnAHostWithThirtyFilesystemsAndThreeDatabases) {
  Report report(30, "data");
  for (const char* name : {"shop", "warehouse", "pg15"}) {
    report.host.add_database(name, {{"data", std::string("/nowhere/data1/") + name},
                                    {"binary log", std::string("/nowhere/data2/") + name},
                                    {"server log", std::string("/nowhere/data3/") + name, true, DataRole::log}});
  }
  const std::string text = report.whole();
  EXPECT_LE(text.size(), kAgentShows) << text;
  EXPECT_THAT(text,
              AllOf(HasSubstr("\n  shop "), HasSubstr("\n  warehouse "), HasSubstr("\n  pg15 "),
                    HasSubstr("quiescing, freeze"), HasSubstr("data /nowhere/data1/pg15 (vol-00000000000000001)"),
                    HasSubstr("Write-back: "), HasSubstr("30 filesystems would be frozen, 3 databases quiesced.")));
}

TEST(DryRunText, FitsHoweverLongTheNamesAre) {
  Report report(60, std::string(200, 'x'), true);
  for (int i = 0; i < 60; ++i) {
    const std::string name = std::string(100, 'd') + std::to_string(i);
    report.host.add_database(name, {{"data", "/elsewhere/" + name}}, i % 2 == 0);
    report.notes.push_back({LogLevel::warn, name + ": not frozen: " + std::string(300, 'y')});
    report.hazards.push_back({"watchdog", name, std::string(200, 'z'), "do something"});
    report.readiness.findings.push_back({name, failure(name + " is required and does not run")});
    report.host.plan.freeze.unmatched.push_back("/" + name);
  }
  const std::string text = report.whole();
  EXPECT_LE(text.size(), kAgentShows) << text;
  EXPECT_THAT(text, StartsWith("Consistent: no, pre-script would fail: ddd"));
  EXPECT_THAT(text, AllOf(HasSubstr(" more: "), HasSubstr("NOT covered"), HasSubstr("WARN: "), HasSubstr("To do:")));
}

TEST(DryRunText, ShowsWhatIsWorstWhereNotAllFits) {
  Report report(60, "data", true);
  const std::string text = report.whole();
  EXPECT_LE(text.size(), kAgentShows);
  EXPECT_LT(text.find("NOT covered"), text.find(" frozen "));
  EXPECT_THAT(text, testing::ContainsRegex("\n  vol-[0-9]+ +1.0 MiB +frozen ")) << "of each state there are some";
  EXPECT_THAT(text, testing::ContainsRegex("\n  and [0-9]+ more: [0-9]+ NOT covered, [0-9]+ frozen"));
}

TEST(DryRunText, HasEverythingWhereThatIsAskedFor) {
  Report report(60, "data");
  report.host.settings.all = true;
  report.host.add_database("shop", {{"data", "/nowhere/data7/shop"}});
  report.notes.assign(20, {LogLevel::warn, "a warning"});
  const std::string text = report.whole();
  EXPECT_THAT(text, AllOf(StartsWith("Consistent: "), HasSubstr("MOUNT POINT"), HasSubstr("\n  -      /proc "),
                          HasSubstr("FROZEN"), HasSubstr("/nowhere/data60 "), Not(HasSubstr("(--all)"))));
  EXPECT_EQ(report.text().lines.size(), 20U);
}

TEST(DryRunText, SaysWhatProtectsADatabase) {
  Report report(2, "data");
  report.host.add_database("both", {{"data", "/nowhere/data1/x"}});
  report.host.add_database("part", {{"data", "/nowhere/data1/y"}, {"wal", "/elsewhere"}});
  report.host.add_database("none", {{"data", "/elsewhere"}});
  report.host.add_database("gone", {{"data", "/nowhere/data1/z"}}, false);
  EXPECT_THAT(report.whole(),
              AllOf(testing::ContainsRegex("both +found +quiescing, freeze +data /nowhere/data1/x \\(vol-0+1\\)"),
                    testing::ContainsRegex("part +found +quiescing, freeze of 1 of 2 "),
                    testing::ContainsRegex("none +found +quiescing ALONE +data /elsewhere \\(vol-0a\\)"),
                    testing::ContainsRegex("gone +absent, required +- ")));
}

TEST(DryRunText, PutsWarningsFirst) {
  Report report(1, "data");
  report.notes = {{LogLevel::info, "mode backup"}, {LogLevel::warn, "not frozen"}};
  report.hazards = {{"clock", "the clock", "is wrong", "set it"}};
  const auto lines = report.text().lines;
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_EQ(lines[1].text, "the clock: is wrong; set it");
  EXPECT_EQ(lines[2].level, LogLevel::info);
}

TEST(DryRunText, CannotBeForgedByAName) {
  Report report(1, "a\\012Consistent:yes");
  EXPECT_THAT(report.whole(), Not(HasSubstr("\nConsistent")));
}

TEST(DryRunJson, HasAllOfIt) {
  Report report(3, "data", true);
  report.hazards = {{"clock", "the clock", "is wrong", "set it"}};
  const VolumeReport volumes = report.host.report();
  const Json json = to_json({report.host.plan,
                             report.host.settings,
                             std::chrono::seconds(60),
                             {},
                             volumes,
                             report.estimate,
                             judge_consistency(report.host.plan, report.host.settings, {}, volumes, ""),
                             report.hazards,
                             {}});
  EXPECT_EQ(*json.find("consistency")->find("answer")->as_string(), "partly");
  EXPECT_EQ(json.find("volumes")->as_array()->size(), 4U);
  EXPECT_EQ(*json.find("volumes")->as_array()->at(0).find("state")->as_string(), "not_covered");
  EXPECT_EQ(json.find("mounts")->as_array()->size(), 5U);
  EXPECT_EQ(json.find("hazards")->as_array()->size(), 1U);
  EXPECT_EQ(*json.find("auto_thaw_seconds")->as_integer(), 60);
}

}  // namespace
}  // namespace dlm_freeze
