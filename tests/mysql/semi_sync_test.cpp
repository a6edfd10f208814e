// SPDX-License-Identifier: Apache-2.0
// Semi-synchronous replication: a source whose commits nobody acknowledges, and a replica that is frozen, on real
// servers.
#include <gmock/gmock.h>

#include "mysql_test.hpp"

namespace dlm_freeze::integration {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

class MysqlSemiSync : public MysqlTest {
 protected:
  void SetUp() override {
    MysqlTest::SetUp();
    if (IsSkipped()) return;
    if (!is_mariadb()) GTEST_SKIP() << "Oracle's server has it in a plugin";
  }

  /// A source whose commits wait for so long for a replica, also where there is none.
  Server& start_source(const std::string& wait_point, seconds timeout, std::vector<std::string> more = {}) {
    more.insert(more.end(), {"--rpl-semi-sync-master-wait-point=" + wait_point,
                             "--rpl-semi-sync-master-timeout=" + std::to_string(timeout.count() * 1000)});
    Server& source = start_server({.name = "source", .data = "/srv/source", .options = more});
    source.connect().query("CREATE DATABASE test");
    source.connect().query("CREATE TABLE test.a (i INT) ENGINE=InnoDB");
    return source;
  }
  static void wait_for_replicas(const Server& source) {
    source.connect().query("SET GLOBAL rpl_semi_sync_master_enabled = ON");
  }
  static bool comes_to(const Server& server, const std::string& name, const std::string& value) {
    Client client = server.connect();
    return eventually([&] { return client.query("SHOW STATUS LIKE '" + name + "'").at(0).at(1) == value; },
                      seconds(10));
  }
};

TEST_F(MysqlSemiSync, WhoseCommitsNobodyAcknowledgesIsDeniedAndSaysSo) {
  Server& source = start_source("AFTER_COMMIT", seconds(60));
  for (const std::string wait_point : {"AFTER_COMMIT", "AFTER_SYNC"}) {
    source.connect().query("SET GLOBAL rpl_semi_sync_master_wait_point = " + wait_point);
    wait_for_replicas(source);
    const Background commit(source, "INSERT INTO a VALUES (1)");
    ASSERT_TRUE(comes_to(source, "Rpl_semi_sync_master_wait_sessions", "1"));
    for (const std::string lock : {"backup_stage", "flush_tables"}) {
      configure_mysql({{"lock", lock}, {"lock_wait_seconds", 1}, {"long_query_seconds", 0}});
      const auto pre = expect(206, {"pre-script"});
      EXPECT_THAT(pre.err, HasSubstr("was not granted in time: no semi-synchronous replica acknowledges (1 commit "
                                     "waiting, each for 60 seconds at most)"));
    }
    configure_mysql({{"lock", "flush_tables"}, {"long_query_seconds", 1}, {"wait_seconds", 0}});
    expect_refused(206, "INSERT INTO a VALUES (1)");
    source.connect().query("SET GLOBAL rpl_semi_sync_master_enabled = OFF");
  }
  expect_nothing_left(source);
}

TEST_F(MysqlSemiSync, GetsItsLockWhenTheCommitHasWaitedLongEnough) {
  Server& source = start_source("AFTER_COMMIT", seconds(1));
  wait_for_replicas(source);
  configure_mysql();
  const Background commit(source, "INSERT INTO a VALUES (1)");
  ASSERT_TRUE(comes_to(source, "Rpl_semi_sync_master_wait_sessions", "1"));
  expect(0, {"pre-script"});
  EXPECT_EQ(source.connect().value("SELECT COUNT(*) FROM test.a"), "1");
  expect(0, {"post-script"});
}

TEST_F(MysqlSemiSync, AsAReplicaKeepsTheSourceWaitingUntilItsTimeOut) {
  add({.type = "ext4", .mount_point = "/srv/replica", .size = std::uint64_t{300} << 20});
  const std::string port = std::to_string(free_port());
  Server& source =
      start_source("AFTER_COMMIT", seconds(2), {"--skip-networking=0", "--bind-address=127.0.0.1", "--port=" + port});
  Client client = source.connect();
  client.query("CREATE USER 'copy'@'%' IDENTIFIED BY 'copy'");
  client.query("GRANT REPLICATION SLAVE ON *.* TO 'copy'@'%'");
  Server& replica = start_server({.name = "replica",
                                  .data = "/srv/replica/data",
                                  .options = {"--server-id=2", "--rpl-semi-sync-slave-enabled=ON"}});
  replica.connect().query("CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT=" + port +
                          ", MASTER_USER='copy', MASTER_PASSWORD='copy', MASTER_USE_GTID=slave_pos");
  replica.connect().query("START SLAVE");
  ASSERT_TRUE(comes_to(replica, "Rpl_semi_sync_slave_status", "ON")) << read_text(replica.error_log());
  wait_for_replicas(source);
  ASSERT_TRUE(comes_to(source, "Rpl_semi_sync_master_clients", "1"));

  configure(nlohmann::json{{"auto_thaw_seconds", 20}, {"quiescers", {entry(replica, "replica")}}}.dump());
  for (const auto& command : std::vector<std::vector<std::string>>{{"dry-run", "--probe"}, {"pre-script"}})
    EXPECT_THAT(expect(0, command).out, HasSubstr("commits on its source wait for this replica"));
  const auto begin = Clock::now();
  client.query("INSERT INTO test.a VALUES (1)");
  EXPECT_GT(Clock::now() - begin, std::chrono::milliseconds(1500));
  EXPECT_TRUE(comes_to(source, "Rpl_semi_sync_master_status", "OFF"));
  const auto later = Clock::now();
  client.query("INSERT INTO test.a VALUES (2)");
  EXPECT_LT(Clock::now() - later, std::chrono::milliseconds(1500)) << "it waits for nobody any more";
  expect(0, {"post-script"});
  EXPECT_TRUE(comes_to(source, "Rpl_semi_sync_master_status", "ON")) << "the replica has caught up";
}

}  // namespace
}  // namespace dlm_freeze::integration
