// SPDX-License-Identifier: Apache-2.0
// Finding servers and logging in: who is skipped, who is not ready, and what the operator is told.
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/stat.h>

#include <filesystem>
#include <thread>

#include "mysql_test.hpp"

namespace dlm_freeze::integration {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;
using testing::Not;

class MysqlReadiness : public MysqlTest {
 protected:
  static void write_private(const std::string& path, const std::string& text) {
    write_text(path, text);
    check(::chmod(path.c_str(), 0600), "chmod");
  }
};

TEST_F(MysqlReadiness, FindsAServerByItsStandardSocketAndShowsWhereItsDataIs) {
  add({.type = "ext4", .mount_point = "/srv/mysql", .size = std::uint64_t{300} << 20});
  Server& server =
      start_server({.data = "/srv/mysql/data", .binary_log = "/srv/binlog", .socket = "/run/mysqld/mysqld.sock"});
  configure(kDetection);
  const auto plan = expect(0, {"dry-run"});
  EXPECT_THAT(plan.out, HasSubstr("/srv/mysql/data"));
  EXPECT_THAT(plan.out, HasSubstr("/srv/binlog"));
  const auto probe = expect(0, {"dry-run", "--all", "--probe"});
  EXPECT_THAT(probe.out, HasSubstr("probe of mysql: ready"));
  const auto pre = expect(0, {"pre-script"});
  for (const auto* result : {&plan, &probe, &pre})
    EXPECT_THAT(result->out, testing::ContainsRegex("not frozen: (binary log|open files) /srv/binlog on /srv "));
  EXPECT_EQ(fact("binary_log_file"), "binlog.000001");
  EXPECT_NE(fact(server.is_mariadb() ? "server_uid" : "server_uuid"), "");
  EXPECT_EQ(fact("directory of data"), "/srv/mysql/data");
  EXPECT_EQ(fact("directory of binary log"), "/srv/binlog");
  expect(0, {"post-script"});
}

TEST_F(MysqlReadiness, FindsAServerByItsProcessWhereItsSocketIsElsewhere) {
  add({.type = "ext4", .mount_point = "/srv/mysql", .size = std::uint64_t{300} << 20});
  Server& server = start_server({.data = "/srv/mysql/data"});
  configure(R"({"auto_thaw_seconds": 30})");
  const std::string name = "mysql in process " + std::to_string(server.pid());
  EXPECT_THAT(expect(0, {"dry-run", "--all", "--probe"}).out, HasSubstr("probe of " + name + ": ready"));
  expect(0, {"pre-script"});
  EXPECT_EQ(fact("binary_log_file"), "binlog.000001");
  expect(0, {"post-script"});
  expect_nothing_left(server);
}

TEST_F(MysqlReadiness, RecordsWhereTheServerStandsAndSaysItInOneLine) {
  const std::vector<std::string> gtids = {"--gtid-mode=ON", "--enforce-gtid-consistency=ON"};
  Server& server = start_server({.options = is_mariadb() ? std::vector<std::string>{} : gtids});
  make_tables(server);
  configure_mysql();
  const auto pre = expect(0, {"pre-script"});
  Client client = server.connect();
  const std::string set = is_mariadb() ? "gtid_binlog_pos" : "gtid_executed";
  EXPECT_EQ(fact(set), client.value("SELECT @@GLOBAL." + set));
  EXPECT_NE(fact(set), "");
  EXPECT_EQ(fact("version"), client.value("SELECT VERSION()"));
  EXPECT_EQ(fact("lock"), is_mariadb() ? "BACKUP STAGE BLOCK_COMMIT" : "FLUSH TABLES WITH READ LOCK");
  const std::string position = fact("binary_log_position");
  EXPECT_GT(std::stol(position), 4);
  EXPECT_THAT(pre.out, HasSubstr("INFO: db1: " + fact("version") + ", locked in "));
  EXPECT_THAT(pre.out, testing::ContainsRegex("binary_log_file binlog.00000., binary_log_position " + position +
                                              ".*, " + set + " " + fact(set)));
  expect(0, {"post-script"});
}

TEST_F(MysqlReadiness, IsDeniedWhileTheServerStarts) {
  write_text("/srv/init.sql", "DO 0;\n");
  Server& server = start_server({.options = {"--init-file=/srv/init.sql"}});
  server.stop();
  write_text("/srv/init.sql", "DO SLEEP(3);\n");
  std::thread starting([&] { server.start(); });
  configure_mysql();
  EXPECT_TRUE(eventually([&] { return std::filesystem::exists(server.socket()); }, seconds(10)));
  const auto pre = run({"pre-script", "--timeout", "2"});
  EXPECT_EQ(pre.exit_code, 206) << pre.text();
  EXPECT_THAT(pre.err, HasSubstr("it is starting"));
  starting.join();
  EXPECT_TRUE(all_gone());
}

TEST_F(MysqlReadiness, LeavesNoWarningInTheServersLogWhenItLooksWhetherItRuns) {
  Server& server = start_server();
  configure_mysql();
  expect(0, {"dry-run"});
  sleep_for(Milliseconds(300));
  EXPECT_THAT(read_text(server.error_log()), Not(HasSubstr("Aborted connection")));
}

TEST_F(MysqlReadiness, SkipsAServerThatIsStoppedUnlessItIsRequired) {
  mount_tmpfs("/var/lib/mysql");
  Server& server = start_server({.socket = "/run/mysqld/mysqld.sock"});  // Debian
  Server& other = start_server({.name = "other", .data = "/srv/other", .socket = "/var/lib/mysql/mysql.sock"});
  const auto expect_skipped = [this](const std::string& name, const std::string& why) {
    expect(0, {"dry-run"});
    const auto probe = expect(0, {"dry-run", "--all", "--probe"});
    EXPECT_THAT(probe.out, HasSubstr("absent, skipped"));
    EXPECT_THAT(probe.out, HasSubstr("probe of mysql at /var/lib/mysql/mysql.sock: ready"));
    const auto pre = expect(0, {"pre-script"});
    EXPECT_THAT(pre.out, HasSubstr("INFO: " + name + " is skipped: " + why));
    EXPECT_THAT(pre.out, HasSubstr("quiescing 1 database"));
    expect(0, {"post-script"});
  };
  const auto expect_required = [this](const std::string& why) {
    for (const auto& command : std::vector<std::vector<std::string>>{{"dry-run", "--probe"}, {"pre-script"}})
      EXPECT_THAT(expect(206, command).err, HasSubstr("db1 is required and does not run: " + why));
  };
  const std::string nobody = "nothing listens on /run/mysqld/mysqld.sock (";
  const std::string no_socket = "there is no socket /run/mysqld/mysqld.sock";

  server.kill();  // Leaves its socket behind.
  ASSERT_TRUE(std::filesystem::exists("/run/mysqld/mysqld.sock"));
  configure(kDetection);
  expect_skipped("mysql at /run/mysqld/mysqld.sock", nobody);
  configure_mysql();
  expect_required(nobody);
  configure_mysql({{"required", false}});
  EXPECT_THAT(expect(0, {"pre-script"}).out, HasSubstr("INFO: db1 is skipped: " + nobody));
  expect(0, {"post-script"});

  server.start();
  server.stop();  // Takes it along.
  ASSERT_FALSE(std::filesystem::exists("/run/mysqld/mysqld.sock"));
  configure(kDetection);
  EXPECT_THAT(expect(0, {"pre-script"}).out, HasSubstr("quiescing 1 database"));
  expect(0, {"post-script"});
  configure_mysql();
  expect_required(no_socket);

  other.kill();
  configure(kDetection);
  EXPECT_THAT(expect(0, {"pre-script"}).out, HasSubstr("INFO: mysql is skipped: nothing listens on"));
  expect(0, {"post-script"});
}

TEST_F(MysqlReadiness, OfAServerThatDoesNotAnswerIsDeniedWithinTheBudget) {
  Server& server = start_server();
  configure_mysql();
  server.signal(SIGSTOP);
  const auto pre = expect_refused(206, "cannot log in", {"--timeout", "2"});
  EXPECT_LT(pre.run_time(), seconds(3));
  server.signal(SIGCONT);
  EXPECT_TRUE(all_gone());
  expect_nothing_left(server);
}

TEST_F(MysqlReadiness, IsDeniedWithAWrongPasswordThatIsNotShown) {
  Server& server = start_server();
  Client client = server.connect();
  client.query("CREATE USER 'backup'@'localhost' IDENTIFIED BY 'correct horse'");
  client.query("GRANT RELOAD, PROCESS ON *.* TO 'backup'@'localhost'");
  write_private("/srv/etc/password", "tr0ub4dor\n");
  configure_mysql({{"user", "backup"}, {"password_file", "/srv/etc/password"}});
  const auto pre = expect_refused(206, "cannot log in as backup");
  EXPECT_THAT(pre.err, HasSubstr("CREATE USER"));
  EXPECT_THAT(pre.out + pre.err, Not(HasSubstr("tr0ub4dor")));

  write_private("/srv/etc/password", "correct horse\n");
  const auto good = expect(0, {"pre-script"});
  EXPECT_THAT(good.out, HasSubstr("lacks "));  // Its position may not be asked for.
  EXPECT_THAT(run({"status", "--json"}).out, Not(HasSubstr("correct horse")));
  expect(0, {"post-script"});

  ASSERT_EQ(::chmod("/srv/etc/password", 0644), 0);
  expect_refused(201, "chmod 600");
}

TEST_F(MysqlReadiness, ReadsTheAccountFromAnOptionFile) {
  Server& server = start_server();
  Client client = server.connect();
  client.query("CREATE USER 'backup'@'localhost' IDENTIFIED BY 'secret'");
  client.query("GRANT RELOAD, PROCESS ON *.* TO 'backup'@'localhost'");
  write_private("/srv/etc/my.cnf", "[client]\nhost=203.0.113.9\n[dlm-freeze]\nuser=backup\npassword=secret\n");
  configure_mysql({{"defaults_file", "/srv/etc/my.cnf"}});
  expect(0, {"pre-script"});
  bool found = false;
  for (const auto& row : client.query("SHOW PROCESSLIST")) found = found || row.at(1) == "backup";
  EXPECT_TRUE(found);
  expect(0, {"post-script"});

  // What the file says of the way there is not followed.
  write_private("/srv/etc/my.cnf", "[client]\nprotocol=tcp\nuser=backup\npassword=secret\n");
  expect(uses_mariadb_library() ? 0 : 206, {"dry-run", "--probe"});
  std::filesystem::remove("/srv/etc/my.cnf");
  EXPECT_NE(run({"pre-script"}).exit_code, 0);

  // Root's own, without HOME in the environment.
  mount_tmpfs("/root", "mode=0700");
  write_private("/root/.my.cnf", "[client]\nuser=backup\npassword=wrong\n");
  configure_mysql();
  expect_refused(206, "'backup'@'localhost'");
  write_private("/root/.my.cnf", "[client]\nuser=backup\npassword=secret\n");
  expect(0, {"pre-script"});
  expect(0, {"post-script"});
}

TEST_F(MysqlReadiness, IsDeniedWithoutThePrivilegeToLock) {
  Server& server = start_server();
  Client client = server.connect();
  client.query("CREATE USER ''@'localhost' IDENTIFIED BY ''");
  configure_mysql({{"user", "nobody"}});
  for (const auto& command : std::vector<std::vector<std::string>>{{"dry-run", "--probe"}, {"pre-script"}}) {
    const auto refused = expect(206, command);
    EXPECT_THAT(refused.err, HasSubstr("lacks RELOAD"));
    EXPECT_THAT(refused.err, HasSubstr("GRANT RELOAD ON *.* TO ''@'localhost'"));
  }
  configure_mysql({{"user", "nobody"}, {"lock", "none"}});
  expect_refused(206, "cannot flush its redo log: the account @localhost lacks RELOAD");
  client.query("CREATE USER 'half'@'localhost' IDENTIFIED BY ''");
  client.query("GRANT RELOAD ON *.* TO 'half'@'localhost'");
  configure_mysql({{"user", "half"}, {"lock", "flush_tables"}});
  expect_refused(206, "lacks PROCESS");
  expect_nothing_left(server);
}

TEST_F(MysqlReadiness, IsDeniedWithARoleThatIsNotActive) {
  Server& server = start_server();
  Client client = server.connect();
  client.query("CREATE ROLE backup");
  client.query("GRANT RELOAD, PROCESS ON *.* TO backup");
  client.query("CREATE USER 'limited'@'localhost' IDENTIFIED BY ''");
  client.query("GRANT backup TO 'limited'@'localhost'");
  configure_mysql({{"user", "limited"}});
  expect_refused(206, "or its role is not active");
  client.query(is_mariadb() ? "SET DEFAULT ROLE backup FOR 'limited'@'localhost'"
                            : "SET DEFAULT ROLE backup TO 'limited'@'localhost'");
  expect(0, {"dry-run", "--probe"});
  expect(0, {"pre-script"});
  expect(0, {"post-script"});
}

TEST_F(MysqlReadiness, NeedsNoGrantsWhereTheServerSkipsThem) {
  start_server({.options = {"--skip-grant-tables"}});
  configure_mysql();
  expect(0, {"dry-run", "--probe"});
  expect(0, {"pre-script"});
  expect(0, {"post-script"});
}

TEST_F(MysqlReadiness, IsDeniedWhereWritersCouldTakeAllThreadsOfThePool) {
  if (!is_mariadb()) GTEST_SKIP() << "MySQL has no such pool";
  Server& server = start_server(
      {.options = {"--thread-handling=pool-of-threads", "--thread-pool-max-threads=20", "--max-connections=40"}});
  make_tables(server);
  configure_mysql();
  for (const auto& command : std::vector<std::vector<std::string>>{{"dry-run", "--probe"}, {"pre-script"}})
    EXPECT_THAT(expect(206, command).err, HasSubstr("set thread_pool_max_threads to 42 at least"));
  server.connect().query("SET GLOBAL thread_pool_max_threads = 42");
  expect(0, {"pre-script"});
  std::vector<std::unique_ptr<Background>> writers;
  for (int id = 1; id <= 30; ++id) {
    writers.push_back(
        std::make_unique<Background>(server, "INSERT INTO test.t_InnoDB VALUES (" + std::to_string(id) + ", '')"));
  }
  expect(0, {"post-script"});
  EXPECT_TRUE(
      eventually([&] { return server.connect().value("SELECT COUNT(*) FROM test.t_InnoDB") == "30"; }, seconds(5)));
  expect_nothing_left(server);
}

TEST_F(MysqlReadiness, IsDeniedWhereCommitsReachTheLogTooSeldom) {
  if (!is_mariadb()) GTEST_SKIP() << "FLUSH ENGINE LOGS of MySQL writes it";
  Server& server =
      start_server({.options = {"--innodb-flush-log-at-trx-commit=0", "--innodb-flush-log-at-timeout=60"}});
  configure_mysql();
  for (const auto& command : std::vector<std::vector<std::string>>{{"dry-run", "--probe"}, {"pre-script"}})
    EXPECT_THAT(expect(206, command).err, HasSubstr("innodb_flush_log_at_trx_commit is 0: set it to 2 or 1"));
  server.connect().query("SET GLOBAL innodb_flush_log_at_trx_commit = 2");
  expect(0, {"dry-run", "--probe"});
}

TEST_F(MysqlReadiness, DoesNotDependOnWhatTheServerSaysOfItsVersion) {
  if (!is_mariadb()) GTEST_SKIP() << "MySQL cannot say another one";
  start_server({.options = {"--version=8.4.0-shop"}});
  configure_mysql();
  expect(0, {"dry-run", "--probe"});
  expect(0, {"pre-script"});
  EXPECT_NE(fact("binary_log_position"), "");
  expect(0, {"post-script"});
}

TEST_F(MysqlReadiness, TakesNoOptionsFromTheCallersHome) {
  start_server();
  configure_mysql();
  std::filesystem::create_directories("/srv/home");
  write_private("/srv/home/.my.cnf", "[client]\nuser=bogus\n");
  expect(0, {"dry-run", "--probe"});
  const auto with_home =
      run({"dry-run", "--probe"}, {.environment = {"HOME=/srv/home", "MYSQL_UNIX_PORT=/srv/nowhere"}});
  EXPECT_EQ(with_home.exit_code, 0) << with_home.text();
}

TEST_F(MysqlReadiness, IsDeniedWhenAllConnectionsAreTaken) {
  Server& server = start_server({.options = {"--max-connections=10"}});
  configure_mysql();
  {
    std::vector<Client> clients;
    for (int i = 0; i < 10; ++i) clients.push_back(server.connect());
    const auto pre = expect_refused(206, "1040");
    EXPECT_THAT(pre.err, HasSubstr("raise the limit"));
  }
  EXPECT_TRUE(eventually([&] { return run({"pre-script"}).exit_code == 0; }, seconds(5)));
  expect(0, {"post-script"});
}

TEST_F(MysqlReadiness, IsDeniedForALockThatTheServerDoesNotKnowOnOracleMysql) {
  if (is_mariadb()) GTEST_SKIP() << "MariaDB knows all";
  start_server();
  configure_mysql({{"lock", "backup_stage"}});
  expect_refused(201, "BACKUP STAGE");
}

}  // namespace
}  // namespace dlm_freeze::integration
