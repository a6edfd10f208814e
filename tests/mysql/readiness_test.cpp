// SPDX-License-Identifier: Apache-2.0
// Finding servers and logging in: who is skipped, who is not ready, and what the operator is told.
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/stat.h>

#include <filesystem>

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
  configure(R"({"auto_thaw_seconds": 20})");
  const auto plan = expect(0, {"dry-run"});
  EXPECT_THAT(plan.out, HasSubstr("/srv/mysql/data"));
  EXPECT_THAT(plan.out, HasSubstr("/srv/binlog"));
  const auto probe = expect(0, {"dry-run", "--probe"});
  EXPECT_THAT(probe.out, HasSubstr("probe of mysql: ready"));
  EXPECT_THAT(probe.out, HasSubstr("binary log /srv/binlog"));
  const auto pre = expect(0, {"pre-script"});
  EXPECT_THAT(pre.out, HasSubstr("going to be frozen: data /srv/mysql/data"));
  EXPECT_THAT(pre.out, HasSubstr("not going to be frozen: binary log /srv/binlog"));
  EXPECT_EQ(fact("binary_log_file"), "binlog.000001");
  EXPECT_NE(fact(server.is_mariadb() ? "server_uid" : "server_uuid"), "");
  expect(0, {"post-script"});
}

TEST_F(MysqlReadiness, LeavesNoWarningInTheServersLogWhenItLooksWhetherItRuns) {
  Server& server = start_server();
  configure_mysql();
  expect(0, {"dry-run"});
  sleep_for(Milliseconds(300));
  EXPECT_THAT(read_text(server.error_log()), Not(HasSubstr("Aborted connection")));
}

TEST_F(MysqlReadiness, SkipsAServerThatIsStoppedUnlessItIsRequired) {
  Server& server = start_server({.socket = "/run/mysqld/mysqld.sock"});
  server.kill();  // Leaves its socket behind.
  ASSERT_TRUE(std::filesystem::exists("/run/mysqld/mysqld.sock"));
  configure(R"({"auto_thaw_seconds": 20})");
  const auto pre = expect(0, {"pre-script"});
  EXPECT_THAT(pre.out, HasSubstr("mysql is skipped: nobody listens on /run/mysqld/mysqld.sock"));
  expect(0, {"post-script"});
  configure_mysql();
  EXPECT_THAT(expect(206, {"pre-script"}).err, HasSubstr("db1 is required"));
}

TEST_F(MysqlReadiness, OfAServerThatDoesNotAnswerIsDeniedWithinTheBudget) {
  Server& server = start_server();
  configure_mysql();
  server.signal(SIGSTOP);
  const auto pre = expect(206, {"pre-script", "--timeout", "2"});
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
  const auto pre = expect(206, {"pre-script"});
  EXPECT_THAT(pre.err, HasSubstr("cannot log in as backup"));
  EXPECT_THAT(pre.err, HasSubstr("CREATE USER"));
  EXPECT_THAT(pre.out + pre.err, Not(HasSubstr("tr0ub4dor")));

  write_private("/srv/etc/password", "correct horse\n");
  const auto good = expect(0, {"pre-script"});
  EXPECT_THAT(good.out, HasSubstr("lacks "));  // Its position may not be asked for.
  EXPECT_THAT(run({"status", "--json"}).out, Not(HasSubstr("correct horse")));
  expect(0, {"post-script"});

  ASSERT_EQ(::chmod("/srv/etc/password", 0644), 0);
  EXPECT_THAT(run({"pre-script"}).err, HasSubstr("chmod 600"));
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
  std::filesystem::remove("/srv/etc/my.cnf");
  EXPECT_NE(run({"pre-script"}).exit_code, 0);
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
  client.query("CREATE USER 'half'@'localhost' IDENTIFIED BY ''");
  client.query("GRANT RELOAD ON *.* TO 'half'@'localhost'");
  configure_mysql({{"user", "half"}, {"lock", "flush_tables"}});
  EXPECT_THAT(expect(206, {"pre-script"}).err, HasSubstr("lacks PROCESS"));
  expect_nothing_left(server);
}

TEST_F(MysqlReadiness, IsDeniedWhenAllConnectionsAreTaken) {
  Server& server = start_server({.options = {"--max-connections=10"}});
  configure_mysql();
  {
    std::vector<Client> clients;
    for (int i = 0; i < 10; ++i) clients.push_back(server.connect());
    const auto pre = expect(206, {"pre-script"});
    EXPECT_THAT(pre.err, HasSubstr("1040"));
    EXPECT_THAT(pre.err, HasSubstr("raise the limit"));
  }
  EXPECT_TRUE(eventually([&] { return run({"pre-script"}).exit_code == 0; }, seconds(5)));
  expect(0, {"post-script"});
}

TEST_F(MysqlReadiness, IsDeniedForALockThatTheServerDoesNotKnowOnOracleMysql) {
  if (is_mariadb()) GTEST_SKIP() << "MariaDB knows all";
  start_server();
  configure_mysql({{"lock", "backup_stage"}});
  EXPECT_THAT(expect(201, {"pre-script"}).err, HasSubstr("BACKUP STAGE"));
}

}  // namespace
}  // namespace dlm_freeze::integration
