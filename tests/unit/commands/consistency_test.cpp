// SPDX-License-Identifier: Apache-2.0
#include "commands/consistency.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "planned_host.hpp"

namespace dlm_freeze {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;
using Answer = Consistency::Answer;

constexpr const char* kDevices =
    "nvme0n1 259:0 serial=vol0a\n"
    "nvme1n1 259:1 serial=vol0b\n"
    "nvme2n1 259:2 serial=vol0c\n";
constexpr const char* kMounts =
    "1 0 259:0 / / rw - ext4 /dev/nvme0n1 rw\n"
    "2 1 259:1 / /nowhere/b rw - xfs /dev/nvme1n1 rw\n"
    "3 1 259:2 / /nowhere/c rw - xfs /dev/nvme2n1 rw\n";

class Consistencies : public testing::Test {
 protected:
  [[nodiscard]] Consistency judged(const std::string& late = "") const {
    return judge_consistency(host_.plan, host_.settings, readiness_, host_.report(), late);
  }

  PlannedHost host_{kDevices, kMounts};
  Readiness readiness_;
};

TEST_F(Consistencies, AreWholeWhereAllThatCanBeWrittenIsFrozenButTheRoot) {
  EXPECT_EQ(judged().answer, Answer::yes);
  EXPECT_EQ(judged().text(), "Consistent: yes, for vol-0b, vol-0c; crash-consistent for vol-0a (boot).");
}

TEST_F(Consistencies, AreInPartWhereAVolumeIsLeftOut) {
  host_.settings.filesystems.exclude = {"/nowhere/c"};
  host_.replan(kMounts);
  EXPECT_EQ(judged().answer, Answer::partly);
  EXPECT_EQ(judged().text(),
            "Consistent: yes, for vol-0b; no for vol-0c, because /nowhere/c is not frozen: excluded by the "
            "configuration; crash-consistent for vol-0a (boot).");
}

TEST_F(Consistencies, AreNoneWherePreScriptWouldFail) {
  readiness_.findings = {{"privilege", {}}, {"host", failure("this is not the host")}, {"x", failure("another")}};
  EXPECT_EQ(judged().answer, Answer::no);
  EXPECT_EQ(judged().text(), "Consistent: no, pre-script would fail: this is not the host.");
}

TEST_F(Consistencies, AreNoneWhereNothingIsHeld) {
  PlannedHost host("nvme0n1 259:0 serial=vol0a\n", "1 0 259:0 / / rw - ext4 /dev/nvme0n1 rw\n");
  const auto judged = judge_consistency(host.plan, host.settings, {}, host.report(), "");
  EXPECT_EQ(judged.answer, Answer::no);
  EXPECT_EQ(
      judged.text(),
      "Consistent: no, there is nothing to freeze and no database to quiesce; crash-consistent for vol-0a (boot).");
}

TEST_F(Consistencies, DependOnDatabasesThatWereNotAsked) {
  host_.add_database("shop", {{"data", "/nowhere/b/shop"}});
  EXPECT_EQ(judged().answer, Answer::yes);
  EXPECT_THAT(judged().text(), HasSubstr("; provided that the databases can be quiesced (--probe asks them)."));
  host_.settings.probe = true;
  EXPECT_THAT(judged().text(), Not(HasSubstr("provided")));
}

TEST_F(Consistencies, DependOnWhereTheDataLiesUntilADatabaseWasAsked) {
  host_.add_database("shop", {});
  host_.add_database("local", {{"data", "/nowhere/b/local"}});
  host_.add_database("logs", {{"server log", "/nowhere/b/log", true, DataRole::log}});
  EXPECT_EQ(judged().answer, Answer::yes);
  EXPECT_THAT(judged().text(), HasSubstr(", and that the data of shop, logs lies on what is frozen (dry-run does not "
                                         "know where it is)."));
  host_.settings.probe = true;
  EXPECT_THAT(judged().text(), Not(HasSubstr("lies on"))) << "its quiescer knows, or warns";
}

TEST_F(Consistencies, DependOnTheQuiescingAloneWhereNothingIsFrozen) {
  PlannedHost host("nvme0n1 259:0 serial=vol0a\n", "1 0 259:0 / / rw - ext4 /dev/nvme0n1 rw\n");
  host.add_database("shop", {});
  EXPECT_THAT(judge_consistency(host.plan, host.settings, {}, host.report(), "").text(),
              AllOf(StartsWith("Consistent: yes, for 1 database alone, since nothing is frozen; "),
                    HasSubstr(", and that quiescing alone protects the data of shop (dry-run does not know")));
}

TEST_F(Consistencies, AreInPartWhereAPartOfAVolumeIsNotMounted) {
  host_.devices.add_partition("nvme2n1", "nvme2n1p1", "259:4");
  host_.devices.add_partition("nvme2n1", "nvme2n1p2", "259:5");
  host_.replan(
      "1 0 259:0 / / rw - ext4 /dev/nvme0n1 rw\n"
      "2 1 259:1 / /nowhere/b rw - xfs /dev/nvme1n1 rw\n"
      "3 1 259:4 / /nowhere/c rw - xfs /dev/nvme2n1p1 rw\n");
  EXPECT_EQ(judged().answer, Answer::partly);
  EXPECT_EQ(judged().text(),
            "Consistent: yes, for vol-0b; partly, for vol-0c (not mounted: nvme2n1p2); crash-consistent for vol-0a "
            "(boot).");
  host_.replan(
      "1 0 259:0 / / rw - ext4 /dev/nvme0n1 rw\n"
      "3 1 259:4 / /nowhere/c rw - xfs /dev/nvme2n1p1 rw\n");
  EXPECT_THAT(judged().text(), StartsWith("Consistent: partly, for vol-0c (not mounted: nvme2n1p2); crash-consistent"));
}

TEST_F(Consistencies, AreNotTheRootsWhereADatabaseLiesThere) {
  host_.add_database("shop", {{"data", "/nowhere/else"}});
  EXPECT_EQ(judged().answer, Answer::partly);
  EXPECT_THAT(
      judged().text(),
      HasSubstr("; no for vol-0a, because / is not frozen: / and /boot are never frozen; only the data of shop is "
                "protected, by quiescing"));
}

TEST_F(Consistencies, AreNotADatabasesWhoseDataLiesOnNoVolume) {
  const std::string mounts = std::string(kMounts) + "4 1 0:40 / /nowhere/nfs rw - nfs4 server:/x rw\n";
  host_.replan(mounts);
  host_.add_database("shop", {{"data", "/nowhere/b/shop"}, {"binary log", "/nowhere/nfs/log"}});
  EXPECT_EQ(judged().answer, Answer::partly);
  EXPECT_THAT(judged().text(),
              HasSubstr("; no for shop, because its binary log (/nowhere/nfs/log) is not frozen: nfs4"));
}

TEST_F(Consistencies, AreNotADatabasesThatWarns) {
  host_.add_database("shop", {{"data", "/nowhere/b/shop"}});
  host_.settings.probe = true;
  readiness_.findings = {{"shop", failure("a check of that name, not its probe")}};
  readiness_.findings[0].result = {};
  readiness_.findings.push_back(
      {"shop", {}, true, {{LogLevel::info, "fine"}, {LogLevel::warn, "its logs wait", false}}});
  EXPECT_EQ(judged().answer, Answer::yes) << "whoever waits is no gap";
  readiness_.findings[1].notes.push_back({LogLevel::warn, "shop: tables are not locked"});
  EXPECT_EQ(judged().answer, Answer::partly);
  EXPECT_THAT(judged().text(), HasSubstr("; no for shop, because tables are not locked"));
  readiness_.findings[1].notes.clear();
  host_.plan.quiescers[0].notes = {{LogLevel::warn, "shop: nobody knows where it lies"}};
  EXPECT_EQ(judged().answer, Answer::partly) << "said when it was looked for";
}

TEST_F(Consistencies, AreNotKnownOfWhatIsNotMounted) {
  host_.devices.add({.name = "nvme3n1", .number = "259:9", .serial = "vol0d"});
  EXPECT_EQ(judged().answer, Answer::partly);
  EXPECT_THAT(judged().text(), HasSubstr("; unknown for vol-0d (nothing mounted)."));
}

TEST_F(Consistencies, LackWhatTheConfigurationNamesAndIsNotMounted) {
  host_.settings.filesystems.include = {"/nowhere/b", "/nowhere/gone"};
  host_.settings.filesystems.exclude = {"/nowhere/too"};
  host_.replan(kMounts);
  EXPECT_THAT(judged().text(), HasSubstr("no for /nowhere/gone, because filesystems.include names it"));
  EXPECT_THAT(judged().text(), Not(HasSubstr("/nowhere/too")));
}

TEST_F(Consistencies, LackWhatOtherNamespacesMayHave) {
  host_.plan.all_processes_seen = false;
  EXPECT_EQ(judged().answer, Answer::partly);
  EXPECT_THAT(judged().text(), HasSubstr("no for what is mounted in other mount namespaces only"));
}

TEST_F(Consistencies, LackWhatCannotBeOpened) {
  host_.plan.unopened = {{makedev(259, 1), "cannot open /nowhere/b: Input/output error"}};
  EXPECT_EQ(judged().answer, Answer::partly);
  EXPECT_THAT(judged().text(), HasSubstr("yes, for vol-0c; no for vol-0b, because "));
}

TEST_F(Consistencies, DependOnWhatAnEarlierSessionLeftBehind) {
  readiness_.leftovers = "pre-script can undo what the session of execution None left behind";
  EXPECT_EQ(judged().answer, Answer::partly);
  EXPECT_THAT(judged().text(), HasSubstr("; provided that pre-script can undo what the session of execution None"));
}

TEST_F(Consistencies, DependOnTheWriteBack) {
  EXPECT_EQ(judged("the write-back ends in time").answer, Answer::partly);
  EXPECT_THAT(judged("the write-back ends in time: it needs about 9 s, and has 8").text(),
              HasSubstr("; provided that the write-back ends in time: it needs about 9 s, and has 8."));
}

TEST_F(Consistencies, DependOnWhatOnlyRootSees) {
  readiness_.sees_all = false;
  EXPECT_THAT(judged().text(), HasSubstr("; provided that this run saw everything (it was not run as root)."));
}

TEST_F(Consistencies, AreSaidInFewWordsOfManyVolumes) {
  std::string devices;
  std::string mounts = "1 0 259:0 / / rw - ext4 /dev/nvme0n1 rw\n";
  for (int i = 1; i <= 60; ++i) {
    const std::string n = std::to_string(i);
    devices += "nvme" + n + "n1 8:" + n + " serial=vol0123456789abcde" + n + "\n";
    mounts += std::to_string(i + 1) + " 1 8:" + n + " / /nowhere/" + std::string(100, 'x') + n +
              (i % 2 == 0 ? " rw - vfat" : " rw - ext4") + " /dev/nvme" + n + "n1 rw\n";
  }
  PlannedHost host(devices, mounts);
  const auto text = judge_consistency(host.plan, host.settings, {}, host.report(), "").text();
  EXPECT_LT(text.size(), 900U);
  EXPECT_THAT(text, StartsWith("Consistent: yes, for vol-"));
  EXPECT_THAT(text, AllOf(HasSubstr(" and 25 more; no for vol-"), HasSubstr("; no for 28 more; ")));
}

}  // namespace
}  // namespace dlm_freeze
