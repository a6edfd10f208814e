// SPDX-License-Identifier: Apache-2.0
#include "quiesce/mysql/dialect.hpp"

#include <gmock/gmock.h>

namespace dlm_freeze::mysql {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

ServerVersion mariadb(const std::string& number) { return ServerVersion::parse(number + "-MariaDB-0+deb12u1-log"); }
ServerVersion oracle(const std::string& number) { return ServerVersion::parse(number); }

TEST(ServerVersion, IsParsedFromWhatTheServerSays) {
  const auto version = ServerVersion::parse("10.11.19-MariaDB-0+deb12u1-log");
  EXPECT_TRUE(version.is_mariadb());
  EXPECT_TRUE(version.at_least(10, 11, 19));
  EXPECT_FALSE(version.at_least(10, 11, 20));
  EXPECT_FALSE(version.at_least(11, 0));
  const auto percona = ServerVersion::parse("8.0.36-28");
  EXPECT_FALSE(percona.is_mariadb());
  EXPECT_TRUE(percona.at_least(8, 0, 36));
  EXPECT_FALSE(ServerVersion::parse("").at_least(1, 0));
}

TEST(Lock, IsBackupStageOnAMariadbThatHasItElseFlushTables) {
  EXPECT_EQ(choose_lock("auto", mariadb("10.4.1")), LockKind::backup_stage);
  EXPECT_EQ(choose_lock("auto", mariadb("10.4.0")), LockKind::flush_tables);
  EXPECT_EQ(choose_lock("auto", oracle("8.4.6")), LockKind::flush_tables);
  EXPECT_EQ(choose_lock("none", oracle("8.4.6")), LockKind::none);
  EXPECT_FALSE(supports(LockKind::backup_stage, oracle("8.4.6")));
}

TEST(Statements, DifferByVersion) {
  EXPECT_EQ(binary_log_status_statement(oracle("8.0.46")), "SHOW MASTER STATUS");
  EXPECT_EQ(binary_log_status_statement(oracle("8.4.6")), "SHOW BINARY LOG STATUS");
  EXPECT_EQ(binary_log_status_statement(mariadb("11.4.2")), "SHOW MASTER STATUS");
  EXPECT_EQ(replica_status_statement(oracle("5.7.44")), "SHOW SLAVE STATUS");
  EXPECT_EQ(replica_status_statement(oracle("9.7.4")), "SHOW REPLICA STATUS");
  EXPECT_EQ(applier_statement(oracle("9.7.4"), false, "o'ne"), "STOP REPLICA SQL_THREAD FOR CHANNEL 'o''ne'");
  EXPECT_EQ(applier_statement(mariadb("10.11.19"), true, ""), "START SLAVE '' SQL_THREAD");
}

Statement running(const std::string& text, std::int64_t age) {
  return {.session = 7, .user = "app", .host = "localhost", .command = "Query", .seconds = age, .text = text};
}

TEST(Blockers, AreLongStatementsThatTheLockWouldWaitFor) {
  const auto blocks = [](const Statement& statement, LockKind lock, const ServerVersion& version) {
    return holds_up(statement, lock, version, seconds(2));
  };
  const auto select = running("/* report */ (SELECT 1)", 60);
  const auto update = running("UPDATE t SET a = 1", 60);
  EXPECT_TRUE(blocks(select, LockKind::flush_tables, oracle("8.0.46")));
  EXPECT_TRUE(blocks(select, LockKind::flush_tables, mariadb("10.3.39")));
  EXPECT_FALSE(blocks(select, LockKind::flush_tables, mariadb("10.11.19")));
  EXPECT_TRUE(blocks(update, LockKind::flush_tables, mariadb("10.11.19")));
  EXPECT_FALSE(blocks(update, LockKind::backup_stage, mariadb("10.11.19")));
  EXPECT_FALSE(blocks(running("UPDATE t SET a = 1", 1), LockKind::flush_tables, oracle("8.0.46")));
  auto idle = running("", 9000);
  idle.command = "Sleep";
  EXPECT_FALSE(blocks(idle, LockKind::flush_tables, oracle("8.0.46")));
  auto applier = running("UPDATE t SET a = 1", 60);
  applier.user = "system user";
  applier.command = "Slave_SQL";
  EXPECT_TRUE(blocks(applier, LockKind::flush_tables, mariadb("10.11.19")));
}

TEST(Grants, AreFoundAsWholeGlobalPrivileges) {
  const std::vector<std::string_view> reload = {"RELOAD", "FLUSH_TABLES"};
  EXPECT_TRUE(grants_any({"GRANT PROCESS, RELOAD ON *.* TO `a`@`%`"}, reload));
  EXPECT_TRUE(grants_any({"GRANT ALL PRIVILEGES ON *.* TO `root`@`localhost` WITH GRANT OPTION"}, reload));
  EXPECT_TRUE(grants_any({"GRANT USAGE ON *.* TO `a`@`%`", "GRANT FLUSH_TABLES ON *.* TO `a`@`%`"}, reload));
  EXPECT_FALSE(grants_any({"GRANT USAGE ON *.* TO `a`@`%`", "GRANT ALL PRIVILEGES ON `RELOAD`.* TO `a`@`%`"}, reload));
  EXPECT_FALSE(grants_any({"GRANT RELOADING ON *.* TO `a`@`%`"}, reload));
  EXPECT_TRUE(grants_any({"GRANT USAGE ON *.* TO `a`@`%`", "GRANT `backup`@`%` TO `a`@`%`"}, reload));
}

TEST(Quoting, KeepsWhatItQuotesALiteral) { EXPECT_EQ(quoted("a'b\\c"), "'a''b\\\\c'"); }

TEST(Tag, IsInTheFirstHundredCharactersOfTheStatement) {
  const std::string tag = statement_tag("00000000-0000-0000-0000-000000000000");
  for (const LockKind lock : {LockKind::flush_tables, LockKind::backup_stage}) {
    EXPECT_THAT(lock_statement(lock, tag).substr(0, 100), HasSubstr(tag));
  }
}

}  // namespace
}  // namespace dlm_freeze::mysql
