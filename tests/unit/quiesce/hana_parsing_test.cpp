// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <random>
#include <string>

#include "fakes/scratch.hpp"
#include "quiesce/hana/client.hpp"
#include "quiesce/hana/statements.hpp"
#include "quiesce/hana/systems.hpp"

namespace dlm_freeze::hana {
namespace {

using testing::IsEmpty;

constexpr HanaVersion kOne{1, 122};
constexpr HanaVersion kTwo{2, 59};

TEST(HanaStatements, HaveAFormForTheWholeSystem) {
  EXPECT_EQ(create_snapshot_statement(kTwo, "dlm-freeze 1"),
            "BACKUP DATA FOR FULL SYSTEM CREATE SNAPSHOT COMMENT 'dlm-freeze 1'");
  EXPECT_EQ(close_snapshot_statement(kTwo, "42", true, "x"),
            "BACKUP DATA FOR FULL SYSTEM CLOSE SNAPSHOT BACKUP_ID 42 SUCCESSFUL 'x'");
  EXPECT_EQ(close_snapshot_statement(kTwo, "42", false, "it's"),
            "BACKUP DATA FOR FULL SYSTEM CLOSE SNAPSHOT BACKUP_ID 42 UNSUCCESSFUL 'it''s'");
}

TEST(HanaStatements, HaveAnotherFormBeforeTwo) {
  EXPECT_EQ(create_snapshot_statement(kOne, "c"), "BACKUP DATA CREATE SNAPSHOT COMMENT 'c'");
  EXPECT_EQ(close_snapshot_statement(kOne, "42", true, "x"), "BACKUP DATA CLOSE SNAPSHOT BACKUP_ID 42 SUCCESSFUL 'x'");
}

TEST(HanaVersions, HaveASystemDatabaseFromTwoRevisionTen) {
  EXPECT_FALSE(parse_version("\"1.00.122.33.1574851\"")->has_system_database());
  EXPECT_FALSE(parse_version("\"2.00.002.00.1\"")->has_system_database());
  EXPECT_TRUE(parse_version("\"2.00.010.00.1\"")->has_system_database());
  EXPECT_TRUE(parse_version("2.00.059.00.1636471\n")->has_system_database());
  EXPECT_TRUE(parse_version("3.00.000")->has_system_database());
}

TEST(HanaVersions, AreFoundBelowWhatALoginPrints) {
  const auto version = parse_version("Welcome to host 10.1.2\nuptime 3.5 days\n\n\"2.00.059.00.1636471\"\n");
  ASSERT_TRUE(version);
  EXPECT_EQ(version->major, 2);
  EXPECT_EQ(version->revision, 59);
  EXPECT_FALSE(parse_version("no version here 1.2\n"));
  EXPECT_FALSE(parse_version(""));
}

TEST(HanaSnapshots, AreFoundBelowWhatALoginPrints) {
  const auto snapshots = parse_snapshots("hello, world\n1636471234567,\"prepared\"\r\n 17 , running\nx,\"prepared\"\n");
  ASSERT_EQ(snapshots.size(), 2U);
  EXPECT_EQ(snapshots[0].backup_id, "1636471234567");
  EXPECT_EQ(snapshots[0].state, "prepared");
  EXPECT_EQ(snapshots[1].backup_id, "17");
  EXPECT_EQ(snapshots[1].state, "running");
  EXPECT_THAT(parse_snapshots("\n"), IsEmpty());
  EXPECT_THAT(parse_snapshots("1,2,3\n123\n123456789012345678901234567890,\"prepared\"\n"), IsEmpty());
}

TEST(HanaParts, AreRowsOfTwoQuotedTexts) {
  const auto parts =
      parse_parts("hello, world\n\"HDB\",\"NO\"\n\"A,B\" , \"STARTING\"\r\n\"\",\"NO\"\n\"X\"\n17,\"NO\"\n");
  ASSERT_EQ(parts.size(), 2U);
  EXPECT_EQ(parts[0].name, "HDB");
  EXPECT_EQ(parts[0].state, "NO");
  EXPECT_EQ(parts[1].name, "A,B");
  EXPECT_EQ(parts[1].state, "STARTING");
}

TEST(HanaAnswers, EndWithAMarkEach) {
  const auto answers = parse_answers(
      "Welcome\n\"2.00.059.00.1\"\n\ndlm-freeze: hdbsql has ended with 0\n* 258: insufficient privilege\n\n"
      "dlm-freeze: hdbsql has ended with 3\nno such library\n\ndlm-freeze: hdbsql has ended with 127\nleft over");
  ASSERT_EQ(answers.size(), 3U);
  EXPECT_FALSE(answers[0].error);
  EXPECT_EQ(parse_version(answers[0].output)->revision, 59);
  ASSERT_TRUE(answers[1].error);
  EXPECT_TRUE(answers[1].refused_by_server());
  ASSERT_TRUE(answers[2].error);
  EXPECT_EQ(answers[2].error->text, "hdbsql exited with status 127 (no such library)");
  EXPECT_FALSE(answers[2].refused_by_server());
  EXPECT_THAT(parse_answers(""), IsEmpty());
  EXPECT_THAT(parse_answers("dlm-freeze: hdbsql has ended with what\n"), IsEmpty());
}

TEST(HanaErrors, HaveACodeAndAText) {
  const auto error = parse_error("hello\n* 10: authentication failed SQLSTATE: 28000\n");
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code, 10);
  EXPECT_EQ(error->text, "10: authentication failed SQLSTATE: 28000");
  EXPECT_EQ(parse_error("* -10709: Connection failed")->code, -10709);
  EXPECT_FALSE(parse_error("* a list\n* of things: 1\n17,\"prepared\"\n"));
  EXPECT_FALSE(parse_error(""));
}

TEST(HanaOutput, MayBeAnythingAtAll) {
  std::mt19937 random(20);
  const std::string letters = "\"\"\"'',,**:: \n\n\r.-0123456789prepared\x80\xff";
  for (int round = 0; round < 20000; ++round) {
    std::string text;
    for (std::size_t left = random() % 80; left > 0; --left) text += letters[random() % letters.size()];
    for (const HanaSnapshot& snapshot : parse_snapshots(text))
      ASSERT_EQ(snapshot.backup_id.find_first_not_of("0123456789"), std::string::npos) << text;
    static_cast<void>(parse_version(text));
    static_cast<void>(parse_parts(text));
    static_cast<void>(parse_answers(text));
    static_cast<void>(parse_error(text));
  }
}

class HanaSystems : public testing::Test {
 protected:
  [[nodiscard]] std::string sap() const { return scratch_ / "sap"; }
  [[nodiscard]] HanaSystem system() const { return find_hana_systems(sap()).at(0); }

  fakes::Scratch scratch_;
};

TEST_F(HanaSystems, AreFoundByTheirInstanceDirectories) {
  for (const char* directory : {"sap/HDB/HDB00/exe", "sap/P01/HDB02", "sap/P01/ASCS01", "sap/hostctrl/HDB00",
                                "sap/XYZ/SYS", "sap/trans", "sap/1AB/HDB00", "sap/QAS/HDB0x"})
    std::filesystem::create_directories(scratch_ / directory);
  const auto systems = find_hana_systems(sap());
  ASSERT_EQ(systems.size(), 2U);
  EXPECT_EQ(systems[0].sid, "HDB");
  EXPECT_EQ(systems[0].number, "00");
  EXPECT_EQ(systems[0].administrator(), "hdbadm");
  EXPECT_EQ(systems[1].administrator(), "p01adm");
  EXPECT_EQ(systems[1].instance_directory(), sap() + "/P01/HDB02");
  EXPECT_THAT(find_hana_systems(scratch_ / "nowhere"), IsEmpty());
}

TEST_F(HanaSystems, KeepTheirDataWhereGlobalIniSays) {
  std::filesystem::create_directories(scratch_ / "sap/HDB/HDB00");
  std::filesystem::create_directories(scratch_ / "d");
  scratch_.write(
      "sap/HDB/SYS/global/hdb/custom/config/global.ini",
      "# x\n[persistence]\nbasepath_datavolumes = " + (scratch_ / "d") +
          "\nbasepath_logvolumes=$(DIR_GLOBAL)/hdb/mylog/$(SAPSYSTEMNAME)\n[other]\nbasepath_datavolumes=/\n");
  std::filesystem::create_directories(scratch_ / "sap/HDB/SYS/global/hdb/mylog/HDB");
  const auto locations = locations_of(system(), scratch_ / "hana");
  ASSERT_EQ(locations.size(), 2U);
  EXPECT_EQ(locations[0].path, scratch_ / "d");
  EXPECT_TRUE(locations[0].may_be_frozen);
  EXPECT_EQ(locations[1].what, "log");
  EXPECT_EQ(locations[1].path, scratch_ / "sap/HDB/SYS/global/hdb/mylog/HDB");
  EXPECT_FALSE(locations[1].may_be_frozen);
}

TEST_F(HanaSystems, AreSecondariesWhereGlobalIniSays) {
  std::filesystem::create_directories(scratch_ / "sap/HDB/HDB00");
  EXPECT_EQ(replication_mode(system()), "") << "there is none";
  for (const auto& [lines, mode] :
       {std::pair("mode = primary\nactual_mode = primary\nsite_id = 1\n", ""),
        std::pair("mode = syncmem\noperation_mode = logreplay\nsite_id = 2\n", "syncmem"),
        std::pair("mode = sync\nactual_mode=async\n", "async"), std::pair("mode = sync\nactual_mode=primary\n", ""),
        std::pair("mode = none\n", ""), std::pair("[other]\nmode = sync\n", "")}) {
    scratch_.write("sap/HDB/SYS/global/hdb/custom/config/global.ini",
                   std::string("[persistence]\nmode = sync\n[system_replication]\n") + lines);
    EXPECT_EQ(replication_mode(system()), mode) << lines;
  }
}

TEST_F(HanaSystems, KeepTheirDataInTheStandardPlacesWithoutIt) {
  std::filesystem::create_directories(scratch_ / "sap/HDB/HDB00");
  EXPECT_THAT(locations_of(system(), scratch_ / "hana"), IsEmpty());
  std::filesystem::create_directories(scratch_ / "sap/HDB/SYS/global/hdb/data");
  EXPECT_EQ(locations_of(system(), scratch_ / "hana").at(0).path, scratch_ / "sap/HDB/SYS/global/hdb/data");
  std::filesystem::create_directories(scratch_ / "hana/data/HDB");
  std::filesystem::create_directories(scratch_ / "hana/log/HDB");
  EXPECT_EQ(locations_of(system(), scratch_ / "hana").at(0).path, scratch_ / "hana/data/HDB");
  EXPECT_EQ(locations_of(system(), scratch_ / "hana").at(1).path, scratch_ / "hana/log/HDB");
}

TEST_F(HanaSystems, RunWhenAProcessOfTheDatabaseDoes) {
  std::filesystem::create_directories(scratch_ / "sap/HDB/HDB00");
  const std::string proc = scratch_ / "proc";
  EXPECT_FALSE(is_running(system(), proc));
  scratch_.write("proc/17/comm", "sapstartsrv\n");
  scratch_.write("proc/self/comm", "hdbnameserver\n");
  EXPECT_FALSE(is_running(system(), proc));
  scratch_.write("proc/18/comm", "hdbrsutil\n");
  EXPECT_FALSE(is_running(system(), proc)) << "it outlives a stop";
  scratch_.write("proc/18/comm", "hdbnameserver\n");
  EXPECT_TRUE(is_running(system(), proc));
  if (::geteuid() != 0) return;
  ASSERT_EQ(::chown((proc + "/18").c_str(), 1, 1), 0) << "another system's";
  EXPECT_FALSE(is_running(system(), proc));
}

TEST_F(HanaSystems, BringTheirOwnHdbsql) {
  std::filesystem::create_directories(scratch_ / "sap/HDB/HDB00");
  EXPECT_EQ(find_hdbsql(system()), ::access("/usr/sap/hdbclient/hdbsql", X_OK) == 0 ? "/usr/sap/hdbclient/hdbsql" : "");
  const std::string client = scratch_.script("sap/HDB/hdbclient/hdbsql", "exit 0");
  EXPECT_EQ(find_hdbsql(system()), client);
  const std::string own = scratch_.script("sap/HDB/HDB00/exe/hdbsql", "exit 0");
  EXPECT_EQ(find_hdbsql(system()), own);
}

}  // namespace
}  // namespace dlm_freeze::hana
