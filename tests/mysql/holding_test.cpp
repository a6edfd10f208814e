// SPDX-License-Identifier: Apache-2.0
// While the lock is held: what holds, and what is noticed when it does not.
#include <gmock/gmock.h>
#include <signal.h>

#include "mysql_test.hpp"

namespace dlm_freeze::integration {
namespace {

using testing::HasSubstr;
using testing::Not;

class MysqlHolding : public MysqlTest {
 protected:
  /// The number of the session that holds the lock: the older one of ours.
  static std::string holder(const Server& server) {
    Client client = server.connect();
    std::string first;
    for (const auto& row : client.query("SHOW PROCESSLIST")) {
      const bool ours = row.at(1) == "root" && row.at(4) == "Sleep";
      if (ours && (first.empty() || std::stoul(row.at(0)) < std::stoul(first))) first = row.at(0);
    }
    return first;
  }
};

TEST_F(MysqlHolding, NoCommitIsAcknowledgedAlthoughNothingIsFrozen) {
  for (const std::string lock : {"auto", "flush_tables"}) {
    SCOPED_TRACE(lock);
    Server& server = servers_.empty() ? start_server() : *servers_.front();
    configure_mysql({{"lock", lock}});
    server.connect().query("DROP DATABASE IF EXISTS test");
    std::vector<std::unique_ptr<TableWriter>> writers;
    for (const auto& table : make_tables(server)) writers.push_back(std::make_unique<TableWriter>(server, table));
    sleep_for(Milliseconds(200));
    const auto pre = expect(0, {"pre-script"});
    EXPECT_THAT(pre.out, HasSubstr("binary_log_position"));
    EXPECT_THAT(pre.out, HasSubstr("not frozen: "));
    sleep_for(Milliseconds(300));  // A writer that got its answer before the lock may not have been run since.
    std::vector<long> before;
    for (const auto& writer : writers) before.push_back(writer->acknowledged());
    sleep_for(Milliseconds(500));
    for (std::size_t i = 0; i < writers.size(); ++i) {
      EXPECT_EQ(writers[i]->acknowledged(), before[i]) << writers[i]->table();
      EXPECT_GT(before[i], 0);
    }
    expect(0, {"post-script"});
    for (std::size_t i = 0; i < writers.size(); ++i) {
      EXPECT_TRUE(eventually([&] { return writers[i]->acknowledged() > before[i]; }, std::chrono::seconds(2)));
      writers[i]->stop();
    }
    expect_nothing_left(server);
  }
}

TEST_F(MysqlHolding, OutlastsAServerThatEndsIdleSessionsAfterThreeSeconds) {
  Server& server = start_server();
  server.connect().query("SET GLOBAL wait_timeout = 3");
  server.connect().query("SET GLOBAL interactive_timeout = 3");
  configure_mysql();
  expect(0, {"pre-script"});
  sleep_for(std::chrono::milliseconds(4500));
  expect(0, {"post-script"});
  expect_nothing_left(server);
}

TEST_F(MysqlHolding, IsReportedAsLostWhenAnAdministratorKillsTheSession) {
  Server& server = start_server();
  configure_mysql();
  expect(0, {"pre-script"});
  server.connect().query("KILL " + holder(server));
  const auto post = expect(202, {"post-script"});
  EXPECT_THAT(post.err, HasSubstr("db1"));
  EXPECT_THAT(post.err, HasSubstr("lock was lost"));
  expect_nothing_left(server);
}

TEST_F(MysqlHolding, IsReportedAsLostWhenTheServerIsRestarted) {
  Server& server = start_server();
  configure_mysql();
  expect(0, {"pre-script"});
  server.stop();
  server.start();
  const auto post = expect(202, {"post-script"});
  EXPECT_THAT(post.err, HasSubstr("lock was lost"));
  expect_nothing_left(server);
}

TEST_F(MysqlHolding, IsReportedAsLostWhenTheServerIsKilled) {
  Server& server = start_server();
  configure_mysql();
  expect(0, {"pre-script"});
  server.kill();
  const auto post = expect(202, {"post-script"});
  EXPECT_THAT(post.err, HasSubstr("lock was lost"));
}

TEST_F(MysqlHolding, EndsAtTheDeadline) {
  Server& server = start_server();
  configure_mysql();
  expect(0, {"pre-script", "--auto-thaw", "1"});
  EXPECT_TRUE(all_gone(std::chrono::seconds(3)));
  expect_nothing_left(server);
  expect(203, {"post-script"});
}

TEST_F(MysqlHolding, EndsWithTheWatchdog) {
  Server& server = start_server();
  for (const std::string lock : {"auto", "flush_tables"}) {
    configure_mysql({{"lock", lock}});
    expect(0, {"pre-script"});
    EXPECT_TRUE(process("dlm-watchdog").signal(SIGKILL));
    EXPECT_TRUE(all_gone(std::chrono::seconds(3)));
    expect_nothing_left(server);
    expect(202, {"post-script"});
  }
}

TEST_F(MysqlHolding, OfTwoServersBothHoldOrNoneDoes) {
  start_server();
  start_server({.name = "second", .data = "/srv/second"});
  configure_mysql();
  expect(0, {"pre-script"});
  for (const auto& server : servers_) {
    Client client = server->connect();
    client.query("SET SESSION lock_wait_timeout = 1");
    EXPECT_NE(client.error_of("CREATE DATABASE refused"), 0U);
  }
  expect(0, {"post-script"});

  // One that does not grant it: the other is released.
  make_tables(*servers_[1]);
  auto update = std::make_unique<Background>(*servers_[1], "UPDATE t_MyISAM SET text = SLEEP(60)",
                                             "INSERT INTO t_MyISAM VALUES (-1, '')");
  sleep_for(Milliseconds(200));
  configure_mysql({{"lock_wait_seconds", 1}, {"long_query_seconds", 0}});
  const auto pre = expect(206, {"pre-script"});
  EXPECT_THAT(pre.err, HasSubstr("db2"));
  EXPECT_TRUE(all_gone());
  expect_nothing_left(*servers_[0]);
  update.reset();
  expect_nothing_left(*servers_[1]);
}

TEST_F(MysqlHolding, WorksWithItsLogsOnTheFrozenFilesystem) {
  add({.type = "ext4", .mount_point = "/srv/mysql", .size = std::uint64_t{300} << 20});
  Server& server = start_server({.data = "/srv/mysql/data",
                                 .options = {"--general-log=ON", "--general-log-file=/srv/mysql/data/general.log",
                                             "--log-error=/srv/mysql/data/server.err"}});
  configure_mysql();
  const auto pre = expect(0, {"pre-script"});
  EXPECT_THAT(pre.out, HasSubstr("general_log"));
  EXPECT_THAT(pre.out, HasSubstr("log_error"));
  EXPECT_THAT(pre.out, Not(HasSubstr("db1: not frozen: ")));
  expect(0, {"post-script"});
  expect_nothing_left(server);
  Client client = server.connect();
  client.query("SET GLOBAL general_log = OFF");
  EXPECT_THAT(expect(0, {"dry-run", "--probe"}).text(), Not(HasSubstr("general_log")));
  client.query("SET GLOBAL log_output = 'TABLE'");
  client.query("SET GLOBAL general_log = ON");
  EXPECT_THAT(expect(0, {"dry-run", "--probe"}).text(), HasSubstr("general_log is ON"));
}

TEST_F(MysqlHolding, NothingWarnsOfTablesThatAreAtRisk) {
  Server& server = start_server();
  make_tables(server);
  configure_mysql({{"lock", "none"}});
  const auto pre = expect(0, {"pre-script"});
  EXPECT_THAT(pre.out, HasSubstr("may be corrupt"));
  Client client = server.connect();
  EXPECT_EQ(client.error_of("INSERT INTO test.t_MyISAM VALUES (1, '')"), 0U);
  expect(0, {"post-script"});
}

}  // namespace
}  // namespace dlm_freeze::integration
