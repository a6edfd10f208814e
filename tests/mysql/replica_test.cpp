// SPDX-License-Identifier: Apache-2.0
// Replication: a replica, made from a snapshot, that is itself quiesced.
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/mount.h>

#include <filesystem>

#include "mysql_test.hpp"

namespace dlm_freeze::integration {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

class MysqlReplica : public MysqlTest {
 protected:
  /// A primary with a writer, and a replica made from a snapshot of it.
  void SetUp() override {
    MysqlTest::SetUp();
    if (IsSkipped()) return;
    const auto& data = add({.type = "ext4", .mount_point = "/srv/primary", .size = std::uint64_t{400} << 20});
    port_ = free_port();
    // Oracle's are off unless asked for.
    std::vector<std::string> options;
    if (!is_mariadb()) options = {"--gtid-mode=ON", "--enforce-gtid-consistency=ON"};
    std::vector<std::string> primary_options = options;
    primary_options.insert(primary_options.end(),
                           {"--skip-networking=0", "--bind-address=127.0.0.1", "--port=" + std::to_string(port_)});
    primary_ = &start_server({.name = "primary", .data = "/srv/primary/data", .options = primary_options});
    make_tables(*primary_);
    Client client = primary_->connect();
    client.query("CREATE USER 'copy'@'%' IDENTIFIED BY 'copy'");
    client.query("GRANT REPLICATION SLAVE ON *.* TO 'copy'@'%'");
    configure_mysql();
    TableWriter writer(*primary_, "test.t_InnoDB");
    sleep_for(Milliseconds(200));
    expect(0, {"pre-script"});
    run_tool({"cp", "--sparse=always", data.image(), "/srv/copy.img"});
    file_ = fact("binary_log_file");
    position_ = fact("binary_log_position");
    expect(0, {"post-script"});
    sleep_for(Milliseconds(200));
    writer.stop();

    std::filesystem::create_directories("/srv/replica");
    copy_.emplace("/srv/copy.img", 0);
    check(::mount(copy_->path().c_str(), "/srv/replica", "ext4", 0, ""), "mount");
    std::filesystem::remove("/srv/replica/data/auto.cnf");  // Two servers with one identity would not replicate.
    options.insert(options.end(), {"--server-id=2", "--sync-binlog=0"});
    replica_ = &start_server({.name = "replica", .data = "/srv/replica/data", .options = options});
  }

  /// Makes the replica one, by position.
  void replicate() const {
    Client replica = replica_->connect();
    const std::string role = is_mariadb() ? "MASTER" : "SOURCE";
    replica.query((is_mariadb() ? "CHANGE MASTER TO " : "CHANGE REPLICATION SOURCE TO GET_SOURCE_PUBLIC_KEY=1, ") +
                  role + "_HOST='127.0.0.1', " + role + "_PORT=" + std::to_string(port_) + ", " + role +
                  "_USER='copy', " + role + "_PASSWORD='copy', " + role + "_LOG_FILE='" + file_ + "', " + role +
                  "_LOG_POS=" + position_);
    replica.query(is_mariadb() ? "START SLAVE" : "START REPLICA");
  }

  [[nodiscard]] bool applier_runs() const {
    Client client = replica_->connect();
    const std::string state = is_mariadb()
                                  ? client.value(
                                        "SELECT VARIABLE_VALUE FROM information_schema.global_status WHERE "
                                        "VARIABLE_NAME = 'Slave_running'")
                                  : client.value(
                                        "SELECT IF(COUNT(*) > 0, 'ON', 'OFF') FROM performance_schema.threads WHERE "
                                        "NAME IN ('thread/sql/replica_sql', 'thread/sql/slave_sql')");
    return state == "ON";
  }
  [[nodiscard]] bool applier_comes_to(bool running) const {
    return eventually([&] { return applier_runs() == running; }, seconds(10));
  }

  /// A configuration of the replica alone. Frozen, MySQL may keep whoever asks it something waiting.
  void configure_replica(bool freeze, const std::string& user = "root") const {
    auto one = entry(*replica_, "replica");
    one["user"] = user;
    one["stop_replica_sql_thread"] = true;
    one["lock_wait_seconds"] = 2;
    configure(
        nlohmann::json{{"auto_thaw_seconds", 30}, {"filesystems", {{"freeze", freeze}}}, {"quiescers", {one}}}.dump());
  }

  int port_ = 0;
  std::string file_;
  std::string position_;
  Server* primary_ = nullptr;
  Server* replica_ = nullptr;
  std::optional<LoopDevice> copy_;
};

TEST_F(MysqlReplica, HasItsApplierStoppedAndStartedWhereThatIsWanted) {
  replicate();
  ASSERT_TRUE(applier_comes_to(true)) << read_text(replica_->error_log());
  configure_replica(true);
  expect(0, {"pre-script"});
  expect(0, {"post-script"});
  EXPECT_TRUE(applier_comes_to(true));

  configure_replica(false);
  const auto pre = expect(0, {"pre-script"});
  EXPECT_FALSE(applier_runs());
  EXPECT_THAT(pre.out, HasSubstr("replica.source 127.0.0.1:"));
  EXPECT_NE(fact("replica.binary_log_position"), "");
  expect(0, {"post-script"});
  EXPECT_TRUE(applier_comes_to(true));
  expect_nothing_left(*replica_);

  // A watchdog that is killed starts nothing any more: the sentinel does.
  expect(0, {"pre-script"});
  EXPECT_FALSE(applier_runs());
  EXPECT_TRUE(process("dlm-watchdog").signal(SIGKILL));
  EXPECT_TRUE(all_gone(seconds(3)));
  EXPECT_TRUE(applier_comes_to(true));
  expect(202, {"post-script"});

  // What the account may not do is known before.
  Client client = replica_->connect();
  client.query("CREATE USER 'limited'@'localhost' IDENTIFIED BY ''");
  client.query(is_mariadb() ? "GRANT RELOAD, PROCESS, BINLOG MONITOR, SLAVE MONITOR ON *.* TO 'limited'@'localhost'"
                            : "GRANT RELOAD, PROCESS, REPLICATION CLIENT ON *.* TO 'limited'@'localhost'");
  configure_replica(false, "limited");
  for (const auto& command : std::vector<std::vector<std::string>>{{"dry-run", "--probe"}, {"pre-script"}})
    EXPECT_THAT(expect(206, command).err, HasSubstr("cannot stop the replica's applier"));
  configure_replica(false);

  // One that its administrator has stopped stays so.
  replica_->connect().query(is_mariadb() ? "STOP SLAVE SQL_THREAD" : "STOP REPLICA SQL_THREAD");
  ASSERT_TRUE(applier_comes_to(false));
  expect(0, {"pre-script"});
  expect(0, {"post-script"});
  sleep_for(Milliseconds(200));
  EXPECT_FALSE(applier_runs());
}

TEST_F(MysqlReplica, HasItsApplierStartedAgainWhereverTheProcessesAreKilled) {
  replicate();
  ASSERT_TRUE(applier_comes_to(true));
  configure_replica(false);
  {
    // The lock waits, so that the applier is stopped and the coordinates are not yet recorded.
    const Background update(*replica_, "UPDATE t_MyISAM SET text = SLEEP(60)", "INSERT INTO t_MyISAM VALUES (-1, '')");
    const auto first = start({"pre-script"});
    ASSERT_TRUE(applier_comes_to(false));
    EXPECT_TRUE(process("dlm-watchdog").signal(SIGKILL));
    EXPECT_EQ(first->wait().exit_code, 201);
    EXPECT_TRUE(all_gone());
    EXPECT_TRUE(applier_comes_to(true));

    // Nobody is left; post-script, which may come for other reasons, finds the record.
    const auto second = start({"pre-script"});
    ASSERT_TRUE(applier_comes_to(false));
    kill_at_once(processes());
    static_cast<void>(second->wait());
    EXPECT_TRUE(all_gone());
    EXPECT_FALSE(applier_runs());
    EXPECT_NE(run({"post-script"}).exit_code, 0);
    EXPECT_TRUE(applier_comes_to(true));
  }
  constexpr int kMoments = 20;
  const auto whole = expect(0, {"pre-script"}).run_time();
  expect(0, {"post-script"});
  for (int moment = 0; moment < kMoments; ++moment) {
    SCOPED_TRACE(moment);
    restart_safety_limit();
    const auto pre = start({"pre-script"});
    const AgentProcess watchdog = process("dlm-watchdog");
    sleep_for(whole * moment / kMoments);
    EXPECT_TRUE(watchdog.signal(SIGKILL));
    static_cast<void>(pre->wait());
    EXPECT_TRUE(all_gone());
    ASSERT_TRUE(applier_comes_to(true));
  }
}

TEST_F(MysqlReplica, HasItsApplierStartedAgainWhenTheLockIsNotGranted) {
  replicate();
  ASSERT_TRUE(applier_comes_to(true));
  const Background update(*replica_, "UPDATE t_MyISAM SET text = SLEEP(60)", "INSERT INTO t_MyISAM VALUES (-1, '')");
  sleep_for(Milliseconds(200));
  configure_replica(false);
  expect(206, {"pre-script"});
  EXPECT_TRUE(applier_comes_to(true));
}

}  // namespace
}  // namespace dlm_freeze::integration
