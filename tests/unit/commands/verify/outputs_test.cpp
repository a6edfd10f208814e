// SPDX-License-Identifier: Apache-2.0
// What the programs of a host print, as verify reads it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "commands/verify/database_copy.hpp"
#include "commands/verify/filesystem_check.hpp"
#include "commands/verify/innodb_files.hpp"
#include "commands/verify/mount_info.hpp"
#include "commands/verify/mysql_output.hpp"
#include "commands/verify/postgresql_output.hpp"

namespace dlm_freeze {
namespace {

using testing::HasSubstr;

constexpr const char* kLogHead = "xfs_logprint:\n    log tail: 47 head: 51 state: <DIRTY>\n\n";
constexpr const char* kSuperblock =
    "TRANS: tid:0x803f75e2  #items:2  trans:0x803f75e2  q:0x559e7f5e6e40\n"
    "BUF: cnt:2 total:2 a:0x559e7f5d83e0 len:24 a:0x559e7f5d8460 len:384 \n"
    "\tBUF:  #regs:2   start blkno:0x0   len:1   bmap size:1   flags:0x9000\n"
    "\tSUPER Block Buffer:\n";
constexpr const char* kInode =
    "INO: cnt:3 total:3 a:0x5566ed606d90 len:56 a:0x5566ed619660 len:176 a:0x5566ed606ba0 len:8 \n"
    "\tINODE: #regs:3   ino:0x84  flags:0x3   dsize:6\n";
constexpr const char* kFreeSpace =
    "BUF: cnt:2 total:2 a:0x5566ed619720 len:24 a:0x5566ed6197a0 len:128 \n"
    "\tBUF:  #regs:2   start blkno:0x28001   len:1   bmap size:1   flags:0x2800\n"
    "\tAGF Buffer: (XAGF)\n";

TEST(XfsLog, OfAFrozenFilesystemHasRecordsOfItsSuperblockAlone) {
  EXPECT_TRUE(read_xfs_log(std::string(kLogHead) + kSuperblock + kSuperblock).has_only_superblock);
  EXPECT_TRUE(read_xfs_log("    log tail: 2 head: 2 state: <CLEAN>\n").has_only_superblock);
  EXPECT_FALSE(read_xfs_log(std::string(kLogHead) + kSuperblock + kInode).has_only_superblock);
  EXPECT_FALSE(read_xfs_log(std::string(kLogHead) + kFreeSpace + kSuperblock).has_only_superblock);
  EXPECT_FALSE(read_xfs_log(std::string(kLogHead) + kSuperblock + kFreeSpace).has_only_superblock);
}

TEST(XfsLog, IsNotWhatSaysNothingOfALog) {
  EXPECT_FALSE(read_xfs_log("").is_output);
  EXPECT_FALSE(read_xfs_log("xfs_logprint: cannot open /dev/loop1\n").is_output);
  EXPECT_TRUE(read_xfs_log(kLogHead).is_output);
}

TEST(MountInfo, SaysWhetherTheFilesystemItselfIsReadOnly) {
  const std::string text =
      "36 35 98:0 /mnt1 /mnt2 ro,noatime master:1 - ext3 /dev/root rw,errors=continue\n"
      "37 35 98:1 / /mnt3 ro - xfs /dev/nvme1n1 ro,attr2\n";
  ASSERT_TRUE(mount_info(text, "36"));
  EXPECT_FALSE(mount_info(text, "36")->is_read_only) << "only that mount of it is";
  EXPECT_TRUE(mount_info(text, "37")->is_read_only);
  EXPECT_EQ(mount_info(text, "37")->source, "/dev/nvme1n1");
  EXPECT_EQ(mount_info(text, "37")->type, "xfs");
  EXPECT_FALSE(mount_info(text, "3"));
}

TEST(MysqlVersions, AreOfOneSeriesByTheirFirstTwoNumbersAndMaker) {
  EXPECT_EQ(version_told("mariadbd  Ver 10.11.6-MariaDB-0+deb12u1 for debian-linux-gnu on x86_64 (Debian 12)\n"),
            "10.11.6-MariaDB-0+deb12u1");
  EXPECT_EQ(version_told("no such program"), "");
  EXPECT_FALSE(is_other_series("10.11.6-MariaDB-log", "10.11.19-MariaDB"));
  EXPECT_TRUE(is_other_series("10.11.6-MariaDB", "10.6.11-MariaDB"));
  EXPECT_TRUE(is_other_series("10.11.6-MariaDB", "10.11.6"));
  EXPECT_FALSE(is_other_series("8.0.36", "8.0.40"));
  EXPECT_TRUE(is_other_series("8.0.36", "8.4.0"));
  EXPECT_TRUE(is_other_series("8.0.36", ""));
}

Finding finding(const std::vector<const char*>& lines, std::size_t tables) {
  TableAnswers answers;
  for (const char* line : lines) answers.take(line);
  return answers.finding(tables);
}

TEST(TableAnswers, AreGoodOnlyIfEachTableIs) {
  EXPECT_EQ(finding({"a.b\tcheck\tstatus\tOK", "a.c\tcheck\tstatus\tOK"}, 2).proof, Proof::good);
  EXPECT_EQ(
      finding({"a.b\tcheck\twarning\t1 client is using or hasn't closed the table properly", "a.b\tcheck\tstatus\tOK"},
              1)
          .proof,
      Proof::good);
  EXPECT_EQ(finding({"a.b\tcheck\tstatus\tOK"}, 2).proof, Proof::unchecked) << "one gave no answer";
  const Finding corrupt =
      finding({"a.b\tcheck\terror\tFound 3 keys of 4", "a.b\tcheck\terror\tCorrupt", "a.c\tcheck\tstatus\tOK"}, 2);
  EXPECT_EQ(corrupt.proof, Proof::bad);
  EXPECT_EQ(corrupt.why, "a.b (Found 3 keys of 4)");
  EXPECT_EQ(finding({"a.b\tcheck\tstatus\tOperation failed"}, 1).proof, Proof::bad);
  EXPECT_EQ(
      finding({"a.b\tcheck\tError\tTable 'a.b' doesn't exist in engine", "a.b\tcheck\tstatus\tOperation failed"}, 1)
          .proof,
      Proof::bad);
  EXPECT_EQ(finding({"ERROR 2013 (HY000) at line 3: Lost connection to server during query"}, 1).proof, Proof::bad);
  EXPECT_EQ(finding({"a.b\tcheck\tnote\tThe storage engine for the table doesn't support check"}, 1).proof,
            Proof::unchecked);
}

TEST(ControlData, HasLabelsAndValues) {
  const ControlData data = read_control_data(
      "pg_control version number:            1300\n"
      "Latest checkpoint's REDO location:    0/17D93E0\nLatest checkpoint's REDO WAL file:    "
      "000000010000000000000001\n");
  EXPECT_EQ(data.at("Latest checkpoint's REDO location"), "0/17D93E0");
  EXPECT_EQ(data.at("pg_control version number"), "1300");
}

TEST(Lsn, IsANumberOfTwoParts) {
  EXPECT_EQ(lsn_number("0/17D93E0"), 0x17D93E0U);
  EXPECT_EQ(lsn_number("16/B374D848"), 0x16B374D848U);
  for (const char* none : {"", "/", "1", "1/", "/1", "x/1", "1/1 ", "100000000/1"})
    EXPECT_FALSE(lsn_number(none)) << none;
}

TEST(PostgresqlVersion, IsItsFirstNumber) {
  EXPECT_EQ(major_version("15.14 (Debian 15.14-0+deb12u1)"), "15");
  EXPECT_EQ(major_version("18beta1"), "18");
  EXPECT_EQ(major_version(""), "");
}

TEST(TableAnswers, OfAnEngineThatIsNotThereAreUnchecked) {
  TableAnswers answers;
  answers.take("shop.a\tcheck\tError\tUnknown storage engine 'ARCHIVE'");
  answers.take("shop.a\tcheck\terror\tCorrupt");
  answers.take("shop.b\\tc\tcheck\tstatus\tOK");
  EXPECT_EQ(answers.finding(2).proof, Proof::unchecked);
  EXPECT_THAT(answers.finding(2).why, HasSubstr("no engine for shop.a"));
}

TEST(MysqlOutput, NamesTablesByTheFilesOfTheirDefinitions) {
  EXPECT_EQ(definition_of("shop/orders"), "shop/orders.frm");
  EXPECT_EQ(definition_of("shop/orders#P#p0"), "shop/orders.frm");
  EXPECT_EQ(definition_of("shop/orders#p#p0#sp#s1"), "shop/orders.frm");
  EXPECT_EQ(text_of_hexadecimal("610A62"), "a\nb");
  EXPECT_EQ(text_of_hexadecimal("61f"), std::nullopt);
  EXPECT_EQ(text_of_hexadecimal("ERROR 1"), std::nullopt);
}

TEST(InnodbFiles, AreToldByTheirNames) {
  for (const char* name : {"orders.ibd", "ibdata1", "ibdata2", "undo001", "undo_001", "more.ibu", "mysql.ibd"})
    EXPECT_TRUE(is_innodb_file(name)) << name;
  for (const char* name : {"#sql-ib12.ibd", "ibtmp1", "ib_logfile0", "ib_buffer_pool", "undo_log.txt", "undo", "a.frm"})
    EXPECT_FALSE(is_innodb_file(name)) << name;
}

}  // namespace
}  // namespace dlm_freeze
