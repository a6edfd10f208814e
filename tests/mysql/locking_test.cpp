// SPDX-License-Identifier: Apache-2.0
// A lock that is not granted: the application is not held up for longer than the budget, and nothing stays behind.
#include <gmock/gmock.h>
#include <signal.h>

#include "mysql_test.hpp"

namespace dlm_freeze::integration {
namespace {

using std::chrono::seconds;
using testing::AnyOf;
using testing::HasSubstr;
using testing::Not;
using testing::Optional;

class MysqlLocking : public MysqlTest {
 protected:
  void SetUp() override {
    MysqlTest::SetUp();
    if (IsSkipped()) return;
    server_ = &start_server();
    make_tables(*server_);
    Client client = server_->connect();
    for (const char* const table : {"InnoDB", "MyISAM", "second"}) {
      client.query(std::string("INSERT INTO test.t_") + table + " VALUES (-1, ''), (-2, ''), (-3, '')");
    }
  }

  /// The longest that a writer waits while pre-script runs with this configuration and this exit code.
  Clock::duration stall(int code, const nlohmann::json& options, const std::string& table = "test.t_second",
                        const std::string& timeout = "6") {
    configure_mysql(options);
    TableWriter writer(*server_, table);
    sleep_for(Milliseconds(100));
    last_ = expect(code, {"pre-script", "--timeout", timeout});
    if (code == 0) expect(0, {"post-script"});
    const long then = writer.acknowledged();
    EXPECT_TRUE(eventually([&] { return writer.acknowledged() > then; }, seconds(1))) << "the site is down";
    writer.stop();
    server_->connect().query("DELETE FROM " + table + " WHERE id > 0");
    return writer.longest_wait();
  }

  Server* server_ = nullptr;
  RunResult last_;
};

TEST_F(MysqlLocking, BehindALongSelectIsNotTriedWhereItWouldWait) {
  const Background select(*server_, "SELECT SLEEP(60) FROM t_InnoDB");
  sleep_for(Milliseconds(2200));
  const bool waits = !is_mariadb();
  EXPECT_LT(stall(waits ? 206 : 0, {{"lock", "flush_tables"}, {"wait_seconds", 1}}), seconds(2));
  if (waits) {
    EXPECT_THAT(last_.err, HasSubstr("SLEEP(60)"));
  }
  EXPECT_LT(stall(waits ? 206 : 0, {{"wait_seconds", 1}}), seconds(2));
}

TEST_F(MysqlLocking, BehindALongSelectThatItDidNotSeeIsBoundedAndUndone) {
  const Background select(*server_, "SELECT SLEEP(60) FROM t_second");
  sleep_for(Milliseconds(200));
  EXPECT_LT(stall(is_mariadb() ? 0 : 206,
                  {{"lock", "flush_tables"}, {"long_query_seconds", 0}, {"lock_wait_seconds", 2}}, "test.t_InnoDB"),
            seconds(4));
  EXPECT_THAT(server_->statements_of_ours(), testing::IsEmpty());
}

TEST_F(MysqlLocking, EndsLongSelectsWhereThatIsWantedOnOracleMysql) {
  if (is_mariadb()) GTEST_SKIP() << "MariaDB's lock does not wait for them";
  const Background select(*server_, "SELECT SLEEP(60) FROM t_InnoDB");
  sleep_for(Milliseconds(2200));
  EXPECT_LT(stall(0, {{"wait_seconds", 0}, {"kill_long_queries", "select"}}), seconds(2));
}

TEST_F(MysqlLocking, BehindALongUpdateIsNotTriedWhereItWouldWait) {
  const Background update(*server_, "UPDATE t_InnoDB SET text = SLEEP(60)");
  sleep_for(Milliseconds(1200));
  EXPECT_LT(stall(206, {{"lock", "flush_tables"}, {"long_query_seconds", 1}, {"wait_seconds", 1}}), seconds(2));
  EXPECT_THAT(last_.err, HasSubstr("UPDATE t_InnoDB"));
  EXPECT_THAT(last_.err, HasSubstr("nothing was locked"));
  expect_nothing_left(*server_);
}

TEST_F(MysqlLocking, BehindALongUpdateThatItDidNotSeeIsBoundedAndUndone) {
  const Background update(*server_, "UPDATE t_InnoDB SET text = SLEEP(60)");
  sleep_for(Milliseconds(200));
  EXPECT_LT(stall(206, {{"lock", "flush_tables"}, {"long_query_seconds", 0}, {"lock_wait_seconds", 2}}), seconds(4));
  EXPECT_THAT(last_.err, HasSubstr("not granted in time"));
  expect_nothing_left(*server_);
  // The budget of pre-script is shorter than what the lock may wait.
  EXPECT_LT(stall(206, {{"lock", "flush_tables"}, {"long_query_seconds", 0}, {"lock_wait_seconds", 60}},
                  "test.t_second", "3"),
            seconds(4));
  expect_nothing_left(*server_);
}

TEST_F(MysqlLocking, BehindAnEventOrAFunctionThatWritesIsNotTried) {
  Client client = server_->connect();
  client.query("USE test");
  const auto expect_held_off = [&](const std::string& told) {
    EXPECT_LT(stall(206, {{"lock", "flush_tables"}, {"long_query_seconds", 1}, {"wait_seconds", 1}}), seconds(2));
    EXPECT_THAT(last_.err, HasSubstr(told));
    EXPECT_THAT(last_.err, HasSubstr("nothing was locked"));
  };
  client.query(
      "CREATE FUNCTION writes_slowly() RETURNS INT DETERMINISTIC MODIFIES SQL DATA BEGIN UPDATE t_InnoDB SET text = "
      "SLEEP(60) WHERE id = -1; RETURN 1; END");
  {
    const Background select(*server_, "SELECT writes_slowly()");
    sleep_for(Milliseconds(1200));
    expect_held_off("SLEEP(60) WHERE id = -1");  // What the function is at.
    // Nor is one that writes ended as if it only read.
    configure_mysql(
        {{"lock", "flush_tables"}, {"long_query_seconds", 1}, {"wait_seconds", 0}, {"kill_long_queries", "select"}});
    expect_refused(206, "SLEEP(60) WHERE id = -1");
  }
  client.query("SET GLOBAL event_scheduler = ON");
  client.query(
      "CREATE EVENT nightly ON SCHEDULE AT CURRENT_TIMESTAMP DO UPDATE t_InnoDB SET text = SLEEP(60) WHERE id = -2");
  const auto event = [&] {
    for (const auto& row : client.query("SHOW FULL PROCESSLIST")) {
      if (row.at(7).find("SLEEP(60) WHERE id = -2") != std::string::npos) return row.at(0);
    }
    return std::string();
  };
  ASSERT_TRUE(eventually([&] { return !event().empty(); }, seconds(5)));
  sleep_for(Milliseconds(1200));
  expect_held_off("SLEEP(60) WHERE id = -2");
  client.query("KILL " + event());
  expect_nothing_left(*server_);
}

TEST_F(MysqlLocking, WithBackupStageDoesNotWaitForALongTransaction) {
  if (!is_mariadb()) GTEST_SKIP() << "only MariaDB has it";
  const Background update(*server_, "UPDATE t_InnoDB SET text = SLEEP(60)");
  sleep_for(Milliseconds(200));
  EXPECT_LT(stall(0, nlohmann::json::object()), seconds(1));
  expect_nothing_left(*server_);
}

TEST_F(MysqlLocking, BehindALongUpdateWithoutTransactionIsBoundedAndUndone) {
  const Background update(*server_, "UPDATE t_MyISAM SET text = SLEEP(60)");
  sleep_for(Milliseconds(200));
  EXPECT_LT(stall(206, {{"long_query_seconds", 0}, {"lock_wait_seconds", 1}}), seconds(3));
  expect_nothing_left(*server_);
}

TEST_F(MysqlLocking, BehindASchemaChangeThatWaitsForATransactionIsBoundedAndUndone) {
  for (const std::string lock : {"flush_tables", "auto"}) {
    Client open = server_->connect();
    open.query("BEGIN");
    open.query("SELECT * FROM test.t_InnoDB");
    const Background alter(*server_, "ALTER TABLE t_InnoDB ADD COLUMN more_" + lock + " INT, ALGORITHM=COPY");
    sleep_for(Milliseconds(200));
    configure_mysql({{"lock", lock}, {"long_query_seconds", 0}, {"lock_wait_seconds", 1}});
    TableWriter writer(*server_, "test.t_second");
    const auto pre = run({"pre-script"});
    EXPECT_THAT(pre.exit_code, Optional(AnyOf(0, 206))) << pre.text();
    if (pre.exit_code == 0) expect(0, {"post-script"});
    EXPECT_LT(writer.longest_wait(), seconds(3));
    const long then = writer.acknowledged();
    EXPECT_TRUE(eventually([&] { return writer.acknowledged() > then; }, seconds(1)));
    writer.stop();
    server_->connect().query("DELETE FROM test.t_second WHERE id > 0");
    EXPECT_THAT(server_->statements_of_ours(), testing::IsEmpty());
  }
}

TEST_F(MysqlLocking, KeepsOutOfTheWayOfAnotherBackup) {
  if (!is_mariadb()) GTEST_SKIP() << "only MariaDB has backup stages";
  Client backup = server_->connect();
  backup.query("BACKUP STAGE START");
  EXPECT_LT(stall(206, {{"lock_wait_seconds", 1}}), seconds(1));
  EXPECT_THAT(last_.err, HasSubstr("another backup"));
  backup.query("BACKUP STAGE END");
  expect_nothing_left(*server_);

  // Nor is anybody else held up who does not need that lock.
  backup.query("LOCK TABLES test.t_InnoDB WRITE");
  configure_mysql({{"lock_wait_seconds", 2}});
  const auto pre = start({"pre-script"});
  Client other = server_->connect();
  Clock::duration longest{0};
  for (int i = 0; i < 40; ++i) {
    const auto before = Clock::now();
    other.query("CREATE TABLE test.more_" + std::to_string(i) + " (a INT)");
    longest = std::max(longest, Clock::now() - before);
    sleep_for(Milliseconds(40));
  }
  EXPECT_LT(longest, Milliseconds(700));
  const auto refused = pre->wait();
  EXPECT_EQ(refused.exit_code, 206);
  EXPECT_THAT(refused.err, HasSubstr("or a session holds LOCK TABLES"));
  EXPECT_THAT(refused.err, HasSubstr("session " + std::to_string(backup.id()) + " of root"));
  backup.query("UNLOCK TABLES");
  expect_nothing_left(*server_);
}

TEST_F(MysqlLocking, IsGrantedBesideATransactionThatIsPreparedAndLeftAlone) {
  {
    Client client = server_->connect();
    for (const char* const statement :
         {"XA START 'x'", "INSERT INTO test.t_InnoDB VALUES (-9, '')", "XA END 'x'", "XA PREPARE 'x'"}) {
      client.query(statement);
    }
  }
  for (const std::string lock : {"auto", "flush_tables"}) {
    SCOPED_TRACE(lock);
    configure_mysql({{"lock", lock}});
    expect(0, {"dry-run", "--probe"});
    expect(0, {"pre-script"});
    expect(0, {"post-script"});
  }
  Client client = server_->connect();
  EXPECT_EQ(client.query("XA RECOVER").size(), 1U);
  client.query("XA ROLLBACK 'x'");
}

TEST_F(MysqlLocking, LeavesNothingBehindWhereverPreScriptIsKilled) {
  constexpr int kMoments = 50;
  const Background update(*server_, "UPDATE t_MyISAM SET text = SLEEP(120)");
  sleep_for(Milliseconds(100));
  const nlohmann::json options = {{"lock", "flush_tables"}, {"long_query_seconds", 0}};
  configure_mysql(options);
  for (int moment = 0; moment < kMoments; ++moment) {
    restart_safety_limit();
    const auto pre = start({"pre-script"});
    sleep_for(Milliseconds(moment * 2));
    pre->kill_group();
    static_cast<void>(pre->wait());
    EXPECT_TRUE(eventually([&] { return server_->statements_of_ours().empty(); }, seconds(1)))
        << "moment " << moment << ": " << testing::PrintToString(server_->statements_of_ours());
    Client client = server_->connect();
    client.query("SET SESSION lock_wait_timeout = 2");
    ASSERT_EQ(client.error_of("INSERT INTO test.t_second VALUES (" + std::to_string(moment) + ", '')"), 0U) << moment;
    EXPECT_TRUE(all_gone());
  }
}

TEST_F(MysqlLocking, LeavesNothingBehindWhereverTheWatchdogIsKilled) {
  const Background update(*server_, "UPDATE t_MyISAM SET text = SLEEP(120)");
  sleep_for(Milliseconds(100));
  configure_mysql({{"lock", "flush_tables"}, {"long_query_seconds", 0}});
  for (int moment = 0; moment < 10; ++moment) {
    restart_safety_limit();
    const auto pre = start({"pre-script"});
    const AgentProcess watchdog = process("dlm-watchdog");
    sleep_for(Milliseconds(moment * 8));
    EXPECT_TRUE(watchdog.signal(SIGKILL));
    const auto ended = pre->wait();
    EXPECT_THAT(ended.exit_code, Optional(AnyOf(201, 206))) << ended.text();
    EXPECT_TRUE(eventually([&] { return server_->statements_of_ours().empty(); }, seconds(1)))
        << "moment " << moment << ": " << testing::PrintToString(server_->statements_of_ours());
    EXPECT_TRUE(all_gone());
  }
}

}  // namespace
}  // namespace dlm_freeze::integration
