// SPDX-License-Identifier: Apache-2.0
// Mode checkpoint, and what may be wrong with a server.
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <filesystem>
#include <string>

#include "postgresql/postgresql_test.hpp"

namespace dlm_freeze::integration {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;

class Checkpoint : public PostgresqlTest {
 protected:
  void SetUp() override {
    PostgresqlTest::SetUp();
    if (IsSkipped()) return;
    volume_ = &add_volume("/srv/data");
    configure_postgresql();
  }

  Server& add_main(std::vector<std::string> settings = {}) {
    return add_server({.data = "/srv/data/main", .settings = std::move(settings)});
  }

  Filesystem* volume_ = nullptr;
};

TEST_F(Checkpoint, LeavesNoSessionWhileFrozen) {
  Server& server = add_main({"log_statement=all", "log_connections=on"});
  expect(0, {"pre-script"});
  ASSERT_TRUE(frozen(*volume_));
  const std::string log = server.log();
  EXPECT_EQ(server.our_sessions(), 0);
  sleep_for(Milliseconds(300));
  expect(0, {"status"});
  expect(0, {"post-script"});
  const std::string later = server.log().substr(log.size());
  EXPECT_THAT(later, Not(HasSubstr("application_name=dlm-freeze"))) << later;
}

TEST_F(Checkpoint, IsRecordedWithWhereTheServerStands) {
  Server& server = add_main();
  expect(0, {"pre-script"});
  const auto held = facts();
  expect(0, {"post-script"});
  EXPECT_EQ(held.at("system_identifier"), server.sql("SELECT system_identifier FROM pg_control_system()"));
  EXPECT_EQ(held.at("timeline"), "1");
  EXPECT_EQ(held.at("checksums"), "on");
  EXPECT_EQ(held.at("data_directory"), "/srv/data/main");
  EXPECT_EQ(held.at("checkpoint_lsn"), server.sql("SELECT checkpoint_lsn FROM pg_control_checkpoint()"));
  EXPECT_EQ(held.at("wal_file"), server.sql("SELECT pg_walfile_name(pg_current_wal_lsn())"));
  EXPECT_THAT(std::string(held.at("version")), testing::StartsWith(std::to_string(installation().version)));
}

TEST_F(Checkpoint, IsRepeatedOnlyWhereMuchWasWrittenSince) {
  Server& server = add_main({"log_checkpoints=on"});
  const auto checkpoints = [&] {
    int count = 0;
    const std::string log = server.log();
    for (auto at = log.find("checkpoint complete"); at != std::string::npos;
         at = log.find("checkpoint complete", at + 1))
      ++count;
    return count;
  };
  const int before = checkpoints();
  expect(0, {"pre-script"});
  expect(0, {"post-script"});
  EXPECT_EQ(checkpoints(), before + 1);

  // Another quiescer that prepares for longer, while much is written.
  std::string write = "sleep 0.5; exec";
  for (const std::string& word : server.command("psql", {"-q", "-c",
                                                         "SELECT count(pg_logical_emit_message(false, 'x', repeat('x', "
                                                         "1000000))) FROM generate_series(1, 100)"}))
    write += " \"" + word + "\"";
  write_text("/srv/bin/write", "#!/bin/sh\n" + write + "\n");
  fs::permissions("/srv/bin/write", fs::perms::owner_all);
  configure(nlohmann::json{{"auto_thaw_seconds", 20},
                           {"quiescers",
                            {{{"type", "postgresql"}},
                             {{"type", "command"},
                              {"name", "writer"},
                              {"prepare", {"/srv/bin/write"}},
                              {"freeze", {"/bin/true"}},
                              {"thaw", {"/bin/true"}}}}}}
                .dump());
  expect(0, {"pre-script"});
  expect(0, {"post-script"});
  EXPECT_EQ(checkpoints(), before + 3);
}

TEST_F(Checkpoint, ThatDoesNotEndInTimeIsAWarning) {
  Server& server = add_main();
  const pid_t checkpointer = server.process("checkpointer");
  ::kill(checkpointer, SIGSTOP);
  const auto pre = expect(0, {"pre-script", "--timeout", "2"});
  EXPECT_THAT(pre.out, HasSubstr("WARN: postgresql: CHECKPOINT has not ended within"));
  EXPECT_LT(pre.run_time(), std::chrono::seconds(2));
  EXPECT_TRUE(frozen(*volume_));
  ::kill(checkpointer, SIGCONT);
  expect(0, {"post-script"});
}

TEST_F(Checkpoint, ThatIsRequiredAndDoesNotEndInTimeIsAnError) {
  Server& server = add_main();
  configure_postgresql(R"("require_checkpoint": true)");
  const pid_t checkpointer = server.process("checkpointer");
  ::kill(checkpointer, SIGSTOP);
  const auto pre = expect(201, {"pre-script", "--timeout", "2"});
  EXPECT_THAT(pre.err, HasSubstr("require_checkpoint"));
  EXPECT_FALSE(frozen(*volume_));
  EXPECT_TRUE(eventually([&] { return server.our_sessions() == 0; }, std::chrono::seconds(1)));
  ::kill(checkpointer, SIGCONT);
}

TEST_F(Checkpoint, IsGivenUpAtOnceWhenPreScriptIsKilled) {
  Server& server = add_main();
  const pid_t checkpointer = server.process("checkpointer");
  ::kill(checkpointer, SIGSTOP);
  const auto pre = start({"pre-script"});
  ASSERT_TRUE(eventually([&] { return server.our_sessions() == 1; }, std::chrono::seconds(2)));
  pre->kill_group();
  EXPECT_TRUE(all_gone(Milliseconds(150)));
  EXPECT_TRUE(eventually([&] { return server.our_sessions() == 0; }, std::chrono::seconds(1)));
  ::kill(checkpointer, SIGCONT);
}

TEST_F(Checkpoint, OfAServerThatDoesNotAnswerIsGivenUp) {
  Server& server = add_main();
  server.signal(SIGSTOP);  // connections are taken by the kernel, and nobody speaks
  const auto pre = expect_refused(206, "does not answer", {"--timeout", "2"});
  EXPECT_LT(pre.run_time(), std::chrono::milliseconds(2500));
  server.signal(SIGCONT);
}

TEST_F(Checkpoint, HoldsWhateverHappensToTheServer) {
  Server& server = add_main();
  expect(0, {"pre-script"});
  server.signal(SIGKILL);
  expect(0, {"post-script"});
  server.kill();
  fs::remove("/srv/data/main/postmaster.pid");
  server.start();
  expect(0, {"pre-script"});
  server.signal(SIGSTOP);
  const auto post = expect(0, {"post-script"});
  EXPECT_LT(post.run_time(), std::chrono::seconds(1));
  server.signal(SIGCONT);
}

TEST_F(Checkpoint, IsNotTakenOfAServerThatStarts) {
  Server& server = add_main({"hot_standby=off"});
  server.stop();
  write_text("/srv/data/main/standby.signal", "");
  server.start(false);
  for (const auto& command : std::vector<std::vector<std::string>>{{"dry-run", "--probe"}, {"pre-script"}}) {
    EXPECT_THAT(expect(206, command).err,
                testing::AnyOf(HasSubstr("starting up"), HasSubstr("not accepting connections"),
                               HasSubstr("not yet accepting")));
  }
  EXPECT_FALSE(frozen(*volume_));
}

TEST_F(Checkpoint, IsNotTakenOfAServerThatShutsDown) {
  Server& server = add_main();
  // A smart shutdown waits for this session.
  const auto session = AgentRun(server.command("psql", {"-c", "SELECT pg_sleep(20)"}), {});
  ASSERT_TRUE(eventually(
      [&] {
        return server.sql(
                   "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(20)' AND pid <> "
                   "pg_backend_pid()") == "1";
      },
      std::chrono::seconds(3)));
  server.signal(SIGTERM);
  sleep_for(Milliseconds(200));
  expect_refused(206, "shutting down");
}

TEST_F(Checkpoint, NeedsALogin) {
  Server& server = add_main();
  configure_postgresql(R"("conninfo": "user=nobody_like_that")");
  expect_refused(206, "nobody_like_that");
  server.sql("CREATE ROLE limited LOGIN");
  configure_postgresql(R"("conninfo": "user=limited")");
  expect_refused(206, "GRANT pg_checkpoint TO limited");
  EXPECT_FALSE(frozen(*volume_));
  server.sql("GRANT pg_checkpoint TO limited");
  expect(0, {"dry-run", "--probe"});
  expect(0, {"pre-script"});
  expect(0, {"post-script"});
}

TEST_F(Checkpoint, OfNoServerIsNotReady) {
  expect_refused(206, "/.s.PGSQL.5432");
  configure_postgresql(R"("required": false)");
  EXPECT_THAT(expect(0, {"pre-script"}).out, HasSubstr("postgresql is skipped"));
  expect(0, {"post-script"});
}

TEST_F(Checkpoint, WarnsOfALogThatIsFrozen) {
  add_server({.data = "/srv/data/main", .settings = {"logging_collector=on", "log_directory=log"}});
  EXPECT_THAT(expect(0, {"pre-script"}).out, HasSubstr("its server log (/srv/data/main/log/"));
  expect(0, {"post-script"});
}

TEST_F(Checkpoint, WarnsOfWhatIsNotFrozenWhenToldNotToBackUp) {
  Server& server = add_main();
  run_tool({"install", "-d", "-o", std::to_string(installation().user), "/srv/space"});
  server.sql("CREATE TABLESPACE space LOCATION '/srv/space'");
  configure_postgresql(R"("mode": "checkpoint")");
  const auto pre = expect(0, {"pre-script"});
  EXPECT_THAT(pre.out, HasSubstr("not frozen: tablespace "));
  EXPECT_THAT(pre.out, HasSubstr("mode checkpoint protects only what is frozen"));
  expect(0, {"post-script"});
}

TEST_F(Checkpoint, IsLeftOutInModeNone) {
  Server& server = add_main();
  configure_postgresql(R"("mode": "none")");
  const std::string before = server.sql("SELECT checkpoint_lsn FROM pg_control_checkpoint()");
  expect(0, {"pre-script"});
  EXPECT_EQ(facts().at("mode"), "none");
  EXPECT_EQ(facts().at("checkpoint_lsn"), before);
  expect(0, {"post-script"});
}

TEST_F(Checkpoint, LeavesNothingBehindWhereverPreScriptIsKilled) {
  constexpr int kMoments = 50;
  Server& server = add_main();
  Clock::duration run_time{0};
  for (int i = 0; i < 3; ++i) {
    run_time = std::max(run_time, expect(0, {"pre-script"}).run_time());
    expect(0, {"post-script"});
  }
  for (int number = 0; number < kMoments; ++number) {
    restart_safety_limit();
    const auto pre = start({"pre-script"});
    sleep_for(run_time * number / kMoments);
    pre->kill_group();
    const auto result = pre->wait();
    SCOPED_TRACE("moment " + std::to_string(number) + ": " + result.text());
    if (result.exit_code == 0 || result.out.find("pre-script completed") != std::string::npos) run({"post-script"});
    // A FIFREEZE under way is undone as soon as it returns, which a busy disk decides.
    ASSERT_TRUE(all_gone(std::chrono::seconds(5)));
    ASSERT_TRUE(writable(*volume_));
    ASSERT_TRUE(eventually([&] { return server.our_sessions() == 0; }, std::chrono::seconds(1)));
  }
}

class Clusters : public PostgresqlTest {};

TEST_F(Clusters, AreFoundByTheirSockets) {
  auto& one = add_volume("/srv/one");
  auto& two = add_volume("/srv/two");
  add_server({.data = "/srv/one/main"});
  add_server({.data = "/srv/two/main", .port = 5433});
  // What a server leaves that was killed, and the socket of a pooler.
  const auto third = add_volume("/srv/three").mount_point();
  Server& stale = add_server({.data = third + "/main", .port = 5434});
  stale.signal(SIGKILL);
  stale.kill();
  ASSERT_TRUE(fs::exists("/run/postgresql/.s.PGSQL.5434"));
  const UniqueFd pooler(check(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"));
  const sockaddr_un address{.sun_family = AF_UNIX, .sun_path = "/run/postgresql/.s.PGSQL.6432"};
  check(::bind(pooler.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), "bind");

  configure(kDetection);
  expect(0, {"dry-run"});
  const auto probe = expect(0, {"dry-run", "--all", "--probe"});
  EXPECT_THAT(probe.out, HasSubstr("absent, skipped"));
  EXPECT_THAT(probe.out, HasSubstr("probe of postgresql-5433: ready"));
  const auto pre = expect(0, {"pre-script"});
  EXPECT_THAT(pre.out, HasSubstr("INFO: postgresql-5434 is skipped: "));
  EXPECT_THAT(pre.out, HasSubstr("Connection refused"));
  EXPECT_THAT(pre.out, Not(HasSubstr("6432")));
  EXPECT_THAT(pre.out, HasSubstr("quiescing 2 databases"));
  EXPECT_TRUE(frozen(one));
  EXPECT_TRUE(frozen(two));
  EXPECT_EQ(facts(0).at("data_directory"), "/srv/one/main");
  EXPECT_EQ(facts(1).at("data_directory"), "/srv/two/main");
  expect(0, {"post-script"});

  configure_postgresql(R"("conninfo": "port=5434")");
  expect_refused(206, "is required and does not run: ");
  configure_postgresql(R"("conninfo": "port=5434", "required": false)");
  EXPECT_THAT(expect(0, {"pre-script"}).out, HasSubstr("INFO: postgresql is skipped: "));
  expect(0, {"post-script"});
}

TEST_F(Clusters, OfSeveralOwnersAreQuiescedAtTheSameTime) {
  constexpr uid_t kDaemon = 1;
  auto& volume = add_volume("/srv/data");
  ClusterSpec other{.data = "/srv/data/other", .port = 5433, .user = kDaemon};
  add_server({.data = "/srv/data/main"});
  add_server(other);
  configure(R"({"auto_thaw_seconds": 20, "quiescers": [
      {"type": "postgresql", "name": "one", "conninfo": "port=5432"},
      {"type": "postgresql", "name": "two", "conninfo": "port=5433", "os_user": "daemon"}]})");
  for (int round = 0; round < 10; ++round) {
    restart_safety_limit();
    expect(0, {"pre-script"});
    EXPECT_TRUE(frozen(volume));
    expect(0, {"post-script"});
  }
}

TEST_F(Clusters, OneOfWhichFailsAreAllLeftAlone) {
  auto& volume = add_volume("/srv/data");
  Server& one = add_server({.data = "/srv/data/main"});
  configure(R"({"auto_thaw_seconds": 20, "quiescers": [
      {"type": "postgresql", "name": "one", "mode": "backup"},
      {"type": "postgresql", "name": "two", "conninfo": "user=nobody_like_that"}]})");
  expect_refused(206, "two: ");
  EXPECT_FALSE(frozen(volume));
  EXPECT_TRUE(eventually([&] { return one.our_sessions() == 0; }, std::chrono::seconds(1)));
}

TEST_F(Clusters, AreReachedByUriServiceAndTcp) {
  add_volume("/srv/data");
  Server& server = add_server({.data = "/srv/data/main", .settings = {"listen_addresses=127.0.0.1"}});
  server.sql("CREATE ROLE limited LOGIN PASSWORD 'secret'; GRANT pg_checkpoint, pg_monitor TO limited");
  fs::create_directories("/run/conf");
  write_text("/run/conf/pg_service.conf", "[main]\nhost=/run/postgresql\nport=5432\nuser=postgres\ndbname=template1\n");
  write_text("/run/conf/passfile", "127.0.0.1:5432:*:limited:secret\n");
  fs::permissions("/run/conf/passfile", fs::perms::owner_read | fs::perms::owner_write);
  bind_mount("/run/conf", "/etc/postgresql-common");
  for (const char* conninfo : {"postgresql:///postgres?host=/run/postgresql", "service=main",
                               "host=127.0.0.1 user=limited passfile=/run/conf/passfile"}) {
    SCOPED_TRACE(conninfo);
    configure_postgresql(R"("conninfo": ")" + std::string(conninfo) + R"(")");
    // Neither what the caller's environment says, nor whose it is.
    expect(0, {"pre-script"}, {.environment = {"PGPORT=1", "PGUSER=nobody", "PGSERVICE=none", "HOME=/root"}});
    EXPECT_EQ(facts().at("data_directory"), "/srv/data/main");
    EXPECT_EQ(facts().at("mode"), "checkpoint");
    expect(0, {"post-script"});
  }
}

TEST_F(Clusters, AreConfiguredWithoutSecrets) {
  configure_postgresql(R"("conninfo": "password=secret")");
  const auto pre = expect(201, {"pre-script"});
  EXPECT_THAT(pre.err, HasSubstr("passfile"));
  EXPECT_THAT(pre.err, Not(HasSubstr("=secret")));
  configure_postgresql(R"("conninfo": "hots=localhost")");
  EXPECT_THAT(expect(201, {"pre-script"}).err, HasSubstr("hots"));
  configure_postgresql(R"("os_user": "nobody-like-that")");
  EXPECT_THAT(expect(201, {"pre-script"}).err, HasSubstr("nobody-like-that"));
}

}  // namespace
}  // namespace dlm_freeze::integration
