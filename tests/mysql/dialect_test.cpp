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
  // Whatever is not known to be idle: an event runs as "Connect".
  for (const std::string command : {"Connect", "Execute", "Fetch", "Anything"}) {
    auto event = running("CALL nightly()", 60);
    event.command = command;
    EXPECT_TRUE(blocks(event, LockKind::flush_tables, mariadb("10.11.19"))) << command;
  }
  for (const std::string command : {"Sleep", "Daemon", "Binlog Dump", "Binlog Dump GTID"}) {
    auto waiting = running("SELECT 1 INTO @a", 60);
    waiting.command = command;
    EXPECT_FALSE(blocks(waiting, LockKind::flush_tables, oracle("8.0.46"))) << command;
  }
  // MariaDB's lock waits for those too.
  for (const std::string text : {"SELECT a FROM t FOR UPDATE", "SELECT f(1)", "SELECT NEXTVAL(s)"})
    EXPECT_TRUE(blocks(running(text, 60), LockKind::flush_tables, mariadb("10.11.19"))) << text;
}

TEST(Blockers, AreNoThreadsOfTheServer) {
  auto applier = running("UPDATE t SET a = 1", 50402);
  applier.user = "system user";
  applier.command = "Slave_SQL";
  auto group = running("Group replication applier module", 13);
  group.user = "system user";
  group.host = "";
  for (const Statement& statement : {applier, group}) {
    EXPECT_TRUE(is_system_thread(statement));
    EXPECT_FALSE(holds_up(statement, LockKind::flush_tables, oracle("9.7.4"), seconds(2)));
  }
  EXPECT_FALSE(is_system_thread(running("SELECT 1", 1)));
  for (const char* const name : {"system user", "event_scheduler"}) {
    auto account = running("UPDATE t SET a = 1", 60);
    account.user = name;
    account.host = "localhost";
    EXPECT_FALSE(is_system_thread(account)) << name;
  }
}

TEST(Reading, IsWhatSurelyChangesNothing) {
  for (const std::string text :
       {"SELECT 1", "/* report */ (SELECT a FROM t)", "SELECT COUNT(*), max (a) FROM t WHERE b IN (1, 2)",
        "WITH x AS (SELECT 1) SELECT * FROM x", "SHOW TABLES", "select 'into update f(x)' from t -- call f()\n",
        "SELECT SLEEP(60) FROM t_InnoDB"})
    EXPECT_TRUE(only_reads(text)) << text;
  for (const std::string text :
       {"", "UPDATE t SET a = 1", "SELECT a FROM t FOR UPDATE", "SELECT a FROM t LOCK IN SHARE MODE", "SELECT wf()",
        "SELECT db.wf (1)", "SELECT `wf`(1)", "SELECT a INTO @x FROM t", "SELECT 1 /*! INTO @x */", "DO wf()",
        "WITH x AS (SELECT 1) DELETE FROM t", "SELECT NEXT VALUE FOR s", "CALL p()", "SELECT /* ( */ wf/**/(1)",
        "SELECT '\\'' , wf(1)"})
    EXPECT_FALSE(only_reads(text)) << text;
}

TEST(Grants, AreFoundAsWholeGlobalPrivileges) {
  const auto grants = [](const std::vector<std::string>& lines, bool roles_active = false) {
    return grants_any(lines, {"RELOAD", "FLUSH_TABLES"}, roles_active);
  };
  EXPECT_TRUE(grants({"GRANT PROCESS, RELOAD ON *.* TO `a`@`%`"}));
  EXPECT_TRUE(grants({"GRANT ALL PRIVILEGES ON *.* TO `root`@`localhost` WITH GRANT OPTION"}));
  EXPECT_TRUE(grants({"GRANT USAGE ON *.* TO `a`@`%`", "GRANT FLUSH_TABLES ON *.* TO `a`@`%`"}));
  EXPECT_FALSE(grants({"GRANT USAGE ON *.* TO `a`@`%`", "GRANT ALL PRIVILEGES ON `RELOAD`.* TO `a`@`%`"}));
  EXPECT_FALSE(grants({"GRANT RELOADING ON *.* TO `a`@`%`"}));
  const std::vector<std::string> by_role = {"GRANT USAGE ON *.* TO `a`@`%`", "GRANT `backup`@`%` TO `a`@`%`"};
  EXPECT_FALSE(grants(by_role)) << "granted, and not active";
  EXPECT_TRUE(grants(by_role, true));
}

TEST(SessionSettings, OfEveryVersionAreOneStatement) {
  const auto settings = session_settings(seconds(0));
  ASSERT_FALSE(settings.empty());
  EXPECT_FALSE(settings[0].is_optional);
  EXPECT_THAT(settings[0].statement, HasSubstr("sql_mode = ''"));
  EXPECT_THAT(settings[0].statement, HasSubstr("lock_wait_timeout = 1,"));
  for (std::size_t i = 1; i < settings.size(); ++i) EXPECT_TRUE(settings[i].is_optional) << settings[i].statement;
}

TEST(Quoting, KeepsWhatItQuotesALiteral) { EXPECT_EQ(string_literal("a'b\\c"), "'a''b\\\\c'"); }

TEST(Tag, IsInTheFirstHundredCharactersOfTheStatement) {
  const std::string tag = statement_tag("00000000-0000-0000-0000-000000000000");
  for (const LockKind lock : {LockKind::flush_tables, LockKind::backup_stage}) {
    EXPECT_THAT(lock_statement(lock, tag).substr(0, 100), HasSubstr(tag));
  }
}

}  // namespace
}  // namespace dlm_freeze::mysql
