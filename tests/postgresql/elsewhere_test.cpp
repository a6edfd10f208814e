// SPDX-License-Identifier: Apache-2.0
// Clusters that are not where their settings seem to say, and servers that keep applications waiting.
#include <gmock/gmock.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "postgresql/postgresql_test.hpp"

namespace dlm_freeze::integration {
namespace {

namespace fs = std::filesystem;
using std::chrono::seconds;
using testing::HasSubstr;
using testing::Not;

class Elsewhere : public PostgresqlTest {
 protected:
  void SetUp() override {
    PostgresqlTest::SetUp();
    if (IsSkipped()) return;
    volume_ = &add_volume("/srv/data");
  }

  void expect_mode(const std::string& mode) {
    expect(0, {"pre-script"});
    EXPECT_TRUE(frozen(*volume_));
    EXPECT_EQ(facts().at("mode"), mode);
    expect(0, {"post-script"});
  }

  Filesystem* volume_ = nullptr;
};

TEST_F(Elsewhere, AFilesystemThatIsMountedInTheDataDirectoryCounts) {
  add_volume("/srv/more");
  Server& server = add_server({.data = "/srv/data/main"});
  server.stop();
  run_tool({"cp", "-a", "/srv/data/main/base", "/srv/more/base"});
  run_tool({"mount", "--bind", "/srv/more/base", "/srv/data/main/base"});
  server.start();
  configure(R"({"auto_thaw_seconds": 20, "quiescers": [{"type": "postgresql"}],
      "filesystems": {"exclude": ["/srv/more", "/srv/data/main/base"]}})");
  for (const auto& command : std::vector<std::vector<std::string>>{{"dry-run"}, {"dry-run", "--probe"}})
    EXPECT_THAT(expect(0, command).out, HasSubstr("not frozen: base /srv/data/main/base on "));
  expect_mode("backup");

  configure_postgresql();
  expect_mode("checkpoint");
  server.stop();
  run_tool({"umount", "/srv/data/main/base"});
}

TEST_F(Elsewhere, LinksLeadToWhereItLies) {
  fs::create_directory_symlink("/srv/data", "/srv/link");
  Server& server = add_server({.data = "/srv/link/main", .wal = "/srv/link/wal"});
  configure_postgresql();
  expect_mode("checkpoint");

  run_tool({"install", "-d", "-o", std::to_string(installation().user), "/srv/space"});
  fs::create_directory_symlink("/srv/space", "/srv/data/space");
  server.sql("CREATE TABLESPACE space LOCATION '/srv/link/space'");
  EXPECT_THAT(expect(0, {"dry-run", "--probe"}).out,
              testing::ContainsRegex("not frozen: tablespace [0-9]+ /srv/space on"));
  expect_mode("backup");
}

TEST_F(Elsewhere, LinksInTheDataDirectoryCount) {
  add_volume("/srv/more");
  Server& server = add_server({.data = "/srv/data/main"});
  server.sql("CREATE DATABASE shop");
  const std::string shop = "base/" + server.sql("SELECT oid FROM pg_database WHERE datname = 'shop'");
  server.stop();
  for (const std::string& part : {shop, std::string("pg_xact")}) {
    const std::string target = "/srv/more/" + fs::path(part).filename().string();
    run_tool({"mv", "/srv/data/main/" + part, target});
    fs::create_directory_symlink(target, "/srv/data/main/" + part);
  }
  server.start();
  configure_postgresql();
  expect_mode("checkpoint");
  configure(
      R"({"auto_thaw_seconds": 20, "quiescers": [{"type": "postgresql"}], "filesystems": {"exclude": ["/srv/more"]}})");
  for (const auto& command : std::vector<std::vector<std::string>>{{"dry-run"}, {"dry-run", "--probe"}}) {
    const std::string out = expect(0, command).out;
    EXPECT_THAT(out, HasSubstr(shop + " /srv/more/"));
    EXPECT_THAT(out, HasSubstr("pg_xact /srv/more/pg_xact"));
  }
  expect_mode("backup");
}

TEST_F(Elsewhere, WhatIsMountedForTheServerAloneCounts) {
  add_volume("/srv/more");
  Server& server = add_server({.data = "/srv/data/main"});
  server.stop();
  run_tool({"cp", "-a", "/srv/data/main/pg_wal", "/srv/more/pg_wal"});
  run_tool({"mount", "--bind", "/srv/more/pg_wal", "/srv/data/main/pg_wal"});
  server.start();
  configure(
      R"({"auto_thaw_seconds": 20, "quiescers": [{"type": "postgresql"}], "filesystems": {"exclude": ["/srv/more"]}})");
  // As from outside of the server's mount namespace.
  const RunOptions outside{
      .wrapper = {"unshare", "--mount", "sh", "-c", "umount /srv/data/main/pg_wal && exec \"$@\"", "sh"}};
  for (const auto& command :
       std::vector<std::vector<std::string>>{{"dry-run"}, {"dry-run", "--probe"}, {"pre-script"}}) {
    const RunResult result = run(command, outside);
    EXPECT_EQ(result.exit_code, 0) << result.text();
    EXPECT_THAT(result.out,
                HasSubstr("WAL /proc/" + std::to_string(server.pid()) + "/root/srv/data/main/pg_wal on /srv/more"));
  }
  EXPECT_EQ(facts().at("mode"), "backup");
  expect(0, {"post-script"});
  server.stop();
  run_tool({"umount", "/srv/data/main/pg_wal"});
}

TEST_F(Elsewhere, AServerIsFoundByItsProcessWhereItsSocketIsElsewhere) {
  Server& server = add_server({.data = "/srv/data/main", .sockets = "/srv/sockets"});
  configure(R"({"auto_thaw_seconds": 20})");
  const std::string name = "postgresql in process " + std::to_string(server.pid());
  EXPECT_THAT(expect(0, {"dry-run", "--all", "--probe"}).out, HasSubstr("probe of " + name + ": ready"));
  expect_mode("checkpoint");
}

TEST_F(Elsewhere, ThePathOfTheDataDirectoryIsTakenAsItIs) {
  Server& server = add_server({.data = "/srv/data/d\303\244ta", .settings = {"listen_addresses=127.0.0.1"}});
  server.sql("CREATE DATABASE unicode ENCODING 'UTF8' TEMPLATE template0");
  server.sql(
      "CREATE ROLE limited LOGIN SUPERUSER PASSWORD 'secret'; ALTER ROLE limited SET client_encoding = 'LATIN1'");
  write_text("/srv/passfile", "127.0.0.1:5432:*:limited:secret\n");
  fs::permissions("/srv/passfile", fs::perms::owner_read | fs::perms::owner_write);
  configure_postgresql(R"("conninfo": "host=127.0.0.1 dbname=unicode user=limited passfile=/srv/passfile")");
  EXPECT_THAT(expect(0, {"dry-run", "--probe"}).out, Not(HasSubstr("not this server's")));
  expect_mode("checkpoint");
}

TEST_F(Elsewhere, CommitsThatWaitForAStandbyDelayNothing) {
  Server& server = add_server({.data = "/srv/data/main"});
  server.sql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
  server.sql("SELECT pg_reload_conf()");
  const AgentRun commit(server.command("psql", {"-c", "CREATE TABLE waits ()"}), {});
  ASSERT_TRUE(eventually(
      [&] { return server.sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'") == "1"; },
      seconds(5)));
  for (const std::string mode : {"checkpoint", "backup"}) {
    configure_postgresql(R"("mode": ")" + mode + R"(", "require_checkpoint": true)");
    expect(0, {"dry-run", "--probe"});
    expect_mode(mode);
  }
}

TEST_F(Elsewhere, AServerWithoutAFreeConnectionIsNotReady) {
  Server& server = add_server({.data = "/srv/data/main", .settings = {"max_connections=5"}});
  server.sql("CREATE ROLE limited LOGIN; GRANT pg_checkpoint TO limited");
  configure_postgresql(R"("conninfo": "user=limited")");
  std::vector<std::unique_ptr<AgentRun>> all;
  for (int i = 0; i < 2; ++i)  // Three are kept for superusers.
    all.push_back(std::make_unique<AgentRun>(server.command("psql", {"-c", "SELECT pg_sleep(30)"}), RunOptions{}));
  ASSERT_TRUE(eventually(
      [&] { return server.sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'") == "2"; },
      seconds(5)));
  expect_refused(206, "connection slots are reserved");
  EXPECT_FALSE(frozen(*volume_));
}

}  // namespace
}  // namespace dlm_freeze::integration
