// SPDX-License-Identifier: Apache-2.0
// Tables that are kept elsewhere than in the data directory, on a filesystem that is not frozen.
#include <gmock/gmock.h>

#include <filesystem>

#include "mysql_test.hpp"

namespace dlm_freeze::integration {
namespace {

using testing::HasSubstr;

class MysqlElsewhere : public MysqlTest {
 protected:
  void SetUp() override {
    MysqlTest::SetUp();
    if (IsSkipped()) return;
    constexpr std::uint64_t kSize = std::uint64_t{300} << 20;
    add({.type = "ext4", .mount_point = "/srv/mysql", .size = kSize});
    more_ = &add({.type = "ext4", .mount_point = "/srv/more", .options = "", .size = kSize});
    for (const char* const directory : {"/srv/more/tables", "/srv/more/schema"}) {
      std::filesystem::create_directories(directory);
      run_tool({"chown", "mysql:mysql", directory});
    }
    server_ = &start_server({.data = "/srv/mysql/data", .options = {"--symbolic-links"}});
  }

  /// The data directory's filesystem is frozen, those others are not.
  void configure_without_more(const nlohmann::json& options = nlohmann::json::object()) const {
    nlohmann::json one = entry(*server_, "db1");
    one.update(options);
    configure(nlohmann::json{{"auto_thaw_seconds", 30},
                             {"filesystems", {{"exclude", {"/srv/more", "/srv/mysql/data/mounted"}}}},
                             {"quiescers", nlohmann::json::array({one})}}
                  .dump());
  }

  /// What a snapshot of the other filesystem's volume would have: the bytes of its device.
  void expect_in_copy(const std::string& file, std::uintmax_t size) const {
    run_tool({"dd", "if=" + more_->device(), "of=/srv/copy", "bs=1M", "conv=sparse", "iflag=direct", "status=none"});
    std::filesystem::create_directories("/srv/seen");
    run_tool({"mount", "-o", "loop", "/srv/copy", "/srv/seen"});
    std::error_code error;
    EXPECT_EQ(std::filesystem::file_size("/srv/seen/" + file, error), size) << file << error.message();
    run_tool({"umount", "/srv/seen"});
  }

  Filesystem* more_ = nullptr;
  Server* server_ = nullptr;
};

TEST_F(MysqlElsewhere, AreWrittenBackUnderTheLockAndNamed) {
  if (!is_mariadb()) GTEST_SKIP() << "MySQL has no links to tables of MyISAM any more";
  Client client = server_->connect();
  client.query("CREATE DATABASE test");
  client.query(
      "CREATE TABLE test.y (id INT, text VARCHAR(100)) ENGINE=MyISAM DATA DIRECTORY='/srv/more/tables' "
      "INDEX DIRECTORY='/srv/more/tables'");
  configure_without_more();
  for (const std::string& lock : {std::string("auto"), std::string("flush_tables")}) {
    SCOPED_TRACE(lock);
    configure_without_more({{"lock", lock}});
    client.query("INSERT INTO test.y SELECT seq, REPEAT('x', 100) FROM test.seq_1_to_50000");
    client.query("FLUSH TABLES");  // Nobody has it open.
    const std::string warning = "WARN: db1: not frozen: tables of test /srv/more/tables on /srv/more (";
    for (const auto& command : std::vector<std::vector<std::string>>{{"dry-run", "--probe"}, {"pre-script"}})
      EXPECT_THAT(expect(0, command).out, HasSubstr(warning));
    expect_in_copy("tables/y.MYD", std::filesystem::file_size("/srv/more/tables/y.MYD"));
    EXPECT_GT(std::filesystem::file_size("/srv/more/tables/y.MYD"), 1000000U);
    expect(0, {"post-script"});
  }
  EXPECT_THAT(expect(0, {"dry-run"}).out, HasSubstr("tables of test /srv/more/tables on /srv/more ("));
}

TEST_F(MysqlElsewhere, AreFoundWhereAFilesystemIsMountedInTheDataDirectory) {
  Client client = server_->connect();
  client.query("CREATE DATABASE mounted");
  client.query("CREATE TABLE mounted.y (id INT, text VARCHAR(100)) ENGINE=MyISAM");
  server_->stop();
  run_tool({"sh", "-c", "cp -a /srv/mysql/data/mounted/. /srv/more/schema/"});
  run_tool({"mount", "--bind", "/srv/more/schema", "/srv/mysql/data/mounted"});
  server_->start();
  client = server_->connect();
  configure_without_more();
  client.query("INSERT INTO mounted.y VALUES (1, REPEAT('x', 100))");
  client.query("FLUSH TABLES");
  for (const auto& command : std::vector<std::vector<std::string>>{{"dry-run"}, {"dry-run", "--probe"}, {"pre-script"}})
    EXPECT_THAT(expect(0, command).out, HasSubstr("not frozen: schema mounted /srv/mysql/data/mounted on "));
  expect_in_copy("schema/y.MYD", std::filesystem::file_size("/srv/more/schema/y.MYD"));
  expect(0, {"post-script"});
  server_->stop();
  run_tool({"umount", "/srv/mysql/data/mounted"});
}

TEST_F(MysqlElsewhere, AreFoundWhereTheyAreMountedForTheServerAlone) {
  start_server({.name = "before", .data = "/srv/mysql/second"}).connect().query("CREATE DATABASE mounted");
  servers_.back()->stop();
  for (const char* const directory : {"/srv/more/redo", "/srv/mysql/redo"}) {
    std::filesystem::create_directories(directory);
    run_tool({"chown", "mysql:mysql", directory});
  }
  run_tool({"sh", "-c",
            "cd /srv/mysql/second && mv '" + std::string(is_mariadb() ? "ib_logfile0" : "#innodb_redo") +
                "' /srv/more/redo && cp -a mounted/. /srv/more/schema"});
  run_tool({"mount", "--bind", "/srv/more/redo", "/srv/mysql/redo"});
  run_tool({"mount", "--bind", "/srv/more/schema", "/srv/mysql/second/mounted"});
  const Server& second = start_server(
      {.name = "second", .data = "/srv/mysql/second", .options = {"--innodb-log-group-home-dir=/srv/mysql/redo"}});
  Client client = second.connect();
  client.query("CREATE TABLE mounted.y (id INT) ENGINE=MyISAM");
  client.query("INSERT INTO mounted.y VALUES (1)");  // So that it is open.
  configure(
      nlohmann::json{{"filesystems", {{"exclude", {"/srv/more"}}}}, {"quiescers", {entry(second, "db2")}}}.dump());
  // As from outside of the server's mount namespace.
  const auto probe = run({"dry-run", "--probe", "--all"},
                         {.wrapper = {"unshare", "--mount", "sh", "-c",
                                      "umount /srv/mysql/redo /srv/mysql/second/mounted && exec \"$@\"", "sh"}});
  EXPECT_EQ(probe.exit_code, 0);
  const std::string root = "/proc/" + std::to_string(second.pid()) + "/root";
  EXPECT_THAT(probe.text(), HasSubstr("not frozen: redo log " + root + "/srv/mysql/redo, open files " + root +
                                      "/srv/mysql/second/mounted on /srv/more ("));
  servers_.clear();
  run_tool({"umount", "/srv/mysql/redo", "/srv/mysql/second/mounted"});
}

TEST_F(MysqlElsewhere, IsNotADataDirectoryBehindALink) {
  std::filesystem::create_directory_symlink("/srv/mysql", "/srv/link");
  const Server& second = start_server({.name = "second", .data = "/srv/link/second"});
  configure(nlohmann::json{{"auto_thaw_seconds", 30}, {"quiescers", {entry(second, "db2")}}}.dump());
  for (const auto& command : std::vector<std::vector<std::string>>{{"dry-run", "--probe"}, {"pre-script"}})
    EXPECT_THAT(expect(0, command).out, testing::Not(HasSubstr("db2: not frozen")));
  expect(0, {"post-script"});
}

TEST_F(MysqlElsewhere, AreFoundForPartitionsBehindLinks) {
  if (!is_mariadb()) GTEST_SKIP() << "MySQL has no links to tables of MyISAM any more";
  std::filesystem::create_directory_symlink("/srv/more/tables", "/srv/link");
  Client client = server_->connect();
  client.query("CREATE DATABASE test");
  for (const std::string engine : {"MyISAM", "InnoDB"}) {
    client.query("CREATE TABLE test.p_" + engine + " (id INT PRIMARY KEY) ENGINE=" + engine +
                 " PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN MAXVALUE "
                 "DATA DIRECTORY='/srv/link'" +
                 (engine == "MyISAM" ? " INDEX DIRECTORY='/srv/link')" : ")"));
    configure_without_more();
    for (const auto& command : std::vector<std::vector<std::string>>{{"dry-run", "--probe"}, {"pre-script"}})
      EXPECT_THAT(expect(0, command).out, HasSubstr("not frozen: tables of test /srv/more/tables")) << engine;
    expect(0, {"post-script"});
    client.query("DROP TABLE test.p_" + engine);
  }
}

TEST_F(MysqlElsewhere, AreFoundForInnoDbAndForWholeSchemas) {
  Client client = server_->connect();
  client.query("CREATE DATABASE test");
  // MySQL takes only directories that it knows.
  const bool taken =
      client.error_of("CREATE TABLE test.t (id INT PRIMARY KEY) ENGINE=InnoDB DATA DIRECTORY='/srv/more/tables'") == 0;
  EXPECT_TRUE(taken || !is_mariadb());
  client.query("CREATE DATABASE linked");
  client.query("CREATE TABLE linked.y (id INT) ENGINE=MyISAM");
  server_->stop();
  run_tool({"sh", "-c", "mv /srv/mysql/data/linked/* /srv/more/schema/"});
  std::filesystem::remove_all("/srv/mysql/data/linked");
  std::filesystem::create_directory_symlink("/srv/more/schema", "/srv/mysql/data/linked");
  server_->start();
  configure_without_more();
  for (const auto& command :
       std::vector<std::vector<std::string>>{{"dry-run"}, {"dry-run", "--probe"}, {"pre-script"}}) {
    const auto result = expect(0, command);
    EXPECT_THAT(result.out, HasSubstr("schema linked /srv/more/schema"));
    if (taken) {
      EXPECT_THAT(result.out, HasSubstr("/srv/more/tables/test"));
    }
  }
  expect(0, {"post-script"});
}

}  // namespace
}  // namespace dlm_freeze::integration
