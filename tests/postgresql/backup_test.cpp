// SPDX-License-Identifier: Apache-2.0
// Mode backup: what is not frozen is copied while it is written to, and restored with what post-script saved.
#include <gmock/gmock.h>
#include <signal.h>

#include <filesystem>
#include <set>
#include <string>

#include "postgresql/postgresql_test.hpp"
#include "postgresql/workload.hpp"

namespace dlm_freeze::integration {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;

class Backup : public PostgresqlTest {
 protected:
  /// As a snapshot of a volume that is written to might find it, only worse: one file after the
  /// other. Files that vanish meanwhile are none of the backup's.
  static void copy_while_written(const std::string& from, const std::string& to) {
    run_tool({"sh", "-c", "cp -a " + from + " " + to + " 2>/dev/null; test -e " + to});
  }

  /// Follows docs/postgresql.md.
  static void restore(const std::string& saved, const std::string& data) {
    fs::remove(data + "/postmaster.pid");
    run_tool({"cp", saved + "/backup_label", data});
    if (fs::exists(saved + "/tablespace_map")) run_tool({"cp", saved + "/tablespace_map", data});
    if (fs::exists(saved + "/pg_wal")) run_tool({"cp", "-r", saved + "/pg_wal/.", data + "/pg_wal"});
    run_tool({"chown", "-R", "--reference=" + data + "/PG_VERSION", data});
  }

  void expect_whole(const std::string& data, const Workload::Counts& acknowledged,
                    const std::vector<std::string>& settings = {}) {
    Server copy(installation(),
                {.data = data, .sockets = "/srv/copy/run", .settings = settings, .log = "/srv/copy/log"});
    copy.start();
    ASSERT_TRUE(eventually([&] { return copy.sql("SELECT pg_is_in_recovery()") == "f"; }, std::chrono::seconds(30)));
    EXPECT_THAT(copy.log(), HasSubstr("consistent recovery state reached"));
    EXPECT_THAT(copy.log(), Not(HasSubstr("PANIC")));
    EXPECT_TRUE(fs::exists(data + "/backup_label.old"));
    const Workload::Counts stored = Workload::stored(copy);
    for (std::size_t i = 0; i < Workload::kWriters; ++i) EXPECT_GE(stored[i], acknowledged[i]);
    copy.check_and_stop();
  }
};

TEST_F(Backup, OfAClusterThatIsNotFrozenIsRestoredWithTheSavedFiles) {
  Server& server = add_server({.data = "/srv/data/main", .settings = {"shared_buffers=32MB"}});
  Workload::prepare(server);
  configure_postgresql();
  const Workload workload(server);

  const auto pre = expect(0, {"pre-script"});
  EXPECT_THAT(pre.out,
              HasSubstr("WARN: postgresql: not frozen: data /srv/data/main, WAL /srv/data/main/pg_wal on /srv ("));
  EXPECT_THAT(pre.out, HasSubstr("mode backup"));
  EXPECT_EQ(server.our_sessions(), 1);
  const Workload::Counts acknowledged = workload.acknowledged();
  const nlohmann::json held = facts();
  EXPECT_EQ(held.at("mode"), "backup");
  fs::create_directories("/srv/copy");
  copy_while_written("/srv/data/main", "/srv/copy/data");
  expect(0, {"post-script"});
  EXPECT_EQ(server.our_sessions(), 0);

  const std::string saved = held.at("backup_files");
  EXPECT_EQ(fs::status(saved).permissions(), fs::perms::owner_all);
  EXPECT_THAT(read_text(saved + "/backup_label"), HasSubstr("LABEL: dlm-freeze"));
  restore(saved, "/srv/copy/data");
  expect_whole("/srv/copy/data", acknowledged);
}

TEST_F(Backup, WithAnArchiveIsRestoredFromThat) {
  fs::create_directories("/srv/archive");
  run_tool({"chown", std::to_string(installation().user), "/srv/archive"});
  Server& server =
      add_server({.data = "/srv/data/main", .settings = {"archive_mode=on", "archive_command=cp %p /srv/archive/%f"}});
  Workload::prepare(server);
  configure_postgresql(R"("mode": "backup")");
  const Workload workload(server);

  expect(0, {"pre-script"});
  const Workload::Counts acknowledged = workload.acknowledged();
  const std::string saved = facts().at("backup_files");
  fs::create_directories("/srv/copy");
  copy_while_written("/srv/data/main", "/srv/copy/data");
  expect(0, {"post-script"});
  EXPECT_TRUE(fs::exists(saved + "/complete"));
  const std::string last = server.sql("SELECT pg_walfile_name(pg_switch_wal())");
  fs::remove_all(saved + "/pg_wal");  // As if it had been left on the host that is lost.
  ASSERT_TRUE(eventually([&] { return fs::exists("/srv/archive/" + last); }, std::chrono::seconds(30)));

  restore(saved, "/srv/copy/data");
  write_text("/srv/copy/data/recovery.signal", "");
  run_tool({"chown", "--reference=/srv/copy/data/PG_VERSION", "/srv/copy/data/recovery.signal"});
  expect_whole("/srv/copy/data", acknowledged, {"archive_mode=off", "restore_command=cp /srv/archive/%f %p"});
}

TEST_F(Backup, IsRestorableByItselfWhateverTheArchiverDoes) {
  for (const std::string command : {"false", "/bin/true"}) {
    SCOPED_TRACE(command);
    remove_servers();
    fs::remove_all("/srv/data/main");
    fs::remove_all("/srv/copy");
    Server& server =
        add_server({.data = "/srv/data/main", .settings = {"archive_mode=on", "archive_command=" + command}});
    Workload::prepare(server);
    server.sql("SELECT pg_switch_wal()");
    if (command == "false") {
      ASSERT_TRUE(eventually([&] { return server.sql("SELECT failed_count > 0 FROM pg_stat_archiver") == "t"; },
                             std::chrono::seconds(10)));
    }
    configure_postgresql(R"("mode": "backup")");
    const std::string warning = "WARN: postgresql: its archiver cannot be relied on (" +
                                std::string(command == "false" ? "its last attempt failed" : "its command stores");
    EXPECT_THAT(expect(0, {"dry-run", "--probe"}).out, HasSubstr(warning));
    Workload::Counts acknowledged{};
    std::string saved;
    {
      const Workload workload(server);
      EXPECT_THAT(expect(0, {"pre-script"}).out, HasSubstr(warning));
      acknowledged = workload.acknowledged();
      saved = facts().at("backup_files");
      fs::create_directories("/srv/copy");
      copy_while_written("/srv/data/main", "/srv/copy/data");
      // Nobody asks for the WAL of before: the server removes or overwrites what it may.
      for (int i = 0; i < 4; ++i) {
        server.sql("SELECT pg_switch_wal()");
        server.sql("CHECKPOINT");
      }
      EXPECT_EQ(server.sql("SELECT count(*) FROM pg_replication_slots WHERE temporary"), "1");
      expect(0, {"post-script"});
    }
    EXPECT_EQ(server.sql("SELECT count(*) FROM pg_replication_slots"), "0");
    server.kill();
    restore(saved, "/srv/copy/data");
    write_text("/srv/copy/data/recovery.signal", "");
    run_tool({"chown", "--reference=/srv/copy/data/PG_VERSION", "/srv/copy/data/recovery.signal"});
    expect_whole("/srv/copy/data", acknowledged, {"archive_mode=off", "restore_command=false"});
  }
}

TEST_F(Backup, OfMuchWalLeavesItToAnArchiveThatWorks) {
  constexpr int kFiles = 70;  // of 16 MiB
  fs::create_directories("/srv/archive");
  run_tool({"chown", std::to_string(installation().user), "/srv/archive"});
  Server& server = add_server({.data = "/srv/data/main",
                               .settings = {"archive_mode=on", "archive_command=cp --sparse=always %p /srv/archive/%f",
                                            "wal_init_zero=off", "max_wal_size=4GB"}});
  configure_postgresql(R"("mode": "backup")");
  expect(0, {"pre-script", "--auto-thaw", "60"});
  const std::string saved = facts().at("backup_files");
  std::string last;
  for (int i = 0; i < kFiles; ++i) {
    restart_safety_limit();
    server.sql("SELECT pg_logical_emit_message(false, 'x', 'y')");
    last = server.sql("SELECT pg_walfile_name(pg_switch_wal())");
  }
  ASSERT_TRUE(eventually([&] { return fs::exists("/srv/archive/" + last); }, std::chrono::seconds(30)));
  expect(0, {"post-script"});
  EXPECT_FALSE(fs::exists(saved + "/pg_wal"));
  EXPECT_THAT(read_text(saved + "/complete"), HasSubstr("archive_command = cp --sparse=always %p /srv/archive/%f\n"));
}

TEST_F(Backup, NeedsAServerThatWritesEnoughWal) {
  add_server({.data = "/srv/data/main", .settings = {"wal_level=minimal", "max_wal_senders=0"}});
  configure_postgresql(R"("mode": "backup")");
  expect_refused(206, "wal_level");
}

TEST_F(Backup, HasADirectoryOfItsOwn) {
  add_server({.data = "/srv/data/main"});
  add_server({.data = "/srv/data/other", .port = 5433});
  configure(R"({"auto_thaw_seconds": 20, "quiescers": [
      {"type": "postgresql", "name": "pg 1", "conninfo": "port=5432", "mode": "backup", "backup_directory": "/srv/backups"},
      {"type": "postgresql", "name": "pg_1", "conninfo": "port=5433", "mode": "backup", "backup_directory": "/srv/backups"}
      ]})");
  std::set<std::string> saved;
  for (int round = 0; round < 3; ++round) {
    expect(0, {"pre-script"});
    for (const std::size_t index : {0U, 1U}) saved.insert(facts(index).at("backup_files"));
    expect(0, {"post-script"});
  }
  EXPECT_EQ(saved.size(), 6U);
  for (const std::string& directory : saved) EXPECT_TRUE(fs::exists(directory + "/complete")) << directory;
}

TEST_F(Backup, ThatIsUndoneLeavesNoDirectory) {
  Server& server = add_server({.data = "/srv/data/main"});
  configure(R"({"auto_thaw_seconds": 20, "quiescers": [
      {"type": "postgresql", "mode": "backup", "backup_directory": "/srv/backups"},
      {"type": "command", "name": "fails", "freeze": ["/bin/false"], "thaw": ["/bin/true"]}]})");
  expect(201, {"pre-script"});
  EXPECT_TRUE(fs::is_empty("/srv/backups/postgresql"));
  fs::remove_all("/srv/backups/postgresql");
  configure(R"({"auto_thaw_seconds": 20, "quiescers": [
      {"type": "postgresql", "mode": "backup", "backup_directory": "/srv/backups"},
      {"type": "command", "name": "fails", "prepare": ["/bin/false"]}]})");
  expect(201, {"pre-script"});
  EXPECT_FALSE(fs::exists("/srv/backups/postgresql")) << "another one fails while this one prepares";
  configure_postgresql(R"("mode": "backup")");
  expect(0, {"pre-script"});
  EXPECT_TRUE(process("dlm-watchdog").signal(SIGKILL));
  EXPECT_TRUE(all_gone(std::chrono::seconds(3)));
  expect(202, {"post-script"});
  EXPECT_TRUE(fs::is_empty("/srv/backups/postgresql"));
  EXPECT_EQ(server.our_sessions(), 0);
}

TEST_F(Backup, IsChosenWhenOneTablespaceIsNotFrozen) {
  auto& data = add_volume("/srv/data");
  Server& server = add_server({.data = "/srv/data/main"});
  run_tool({"install", "-d", "-o", std::to_string(installation().user), "/srv/space"});
  server.sql("CREATE TABLESPACE space LOCATION '/srv/space'");
  Workload::prepare(server, "space");
  configure_postgresql();
  const Workload workload(server);

  const auto pre = expect(0, {"pre-script"});
  EXPECT_TRUE(frozen(data));
  EXPECT_THAT(pre.out, HasSubstr("not frozen: tablespace "));
  const Workload::Counts acknowledged = workload.acknowledged();
  const std::string saved = facts().at("backup_files");
  fs::create_directories("/srv/copy/volume");
  run_tool({"cp", "--sparse=always", data.image(), "/srv/images/copy"});
  copy_while_written("/srv/space", "/srv/copy/space");
  expect(0, {"post-script"});

  run_tool({"mount", "-o", "loop", "/srv/images/copy", "/srv/copy/volume"});
  restore(saved, "/srv/copy/volume/main");
  run_tool({"sed", "-i", "s|/srv/space|/srv/copy/space|", "/srv/copy/volume/main/tablespace_map"});
  expect_whole("/srv/copy/volume/main", acknowledged);
  run_tool({"umount", "/srv/copy/volume"});
}

TEST_F(Backup, ThatIsTerminatedWhileHeldIsSaidByPostScript) {
  Server& server = add_server({.data = "/srv/data/main"});
  configure_postgresql(R"("mode": "backup", "name": "pg15")");
  expect(0, {"pre-script"});
  server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'dlm-freeze'");
  const auto post = expect(202, {"post-script"});
  EXPECT_THAT(post.err, HasSubstr("pg15"));
  EXPECT_FALSE(fs::exists(fs::path(std::string(facts().at("backup_files"))) / "backup_label"));
  expect(0, {"pre-script"});
  expect(0, {"post-script"});
}

TEST_F(Backup, IsLostWithTheServer) {
  Server& server = add_server({.data = "/srv/data/main"});
  configure_postgresql(R"("mode": "backup")");
  for (const bool restart : {false, true}) {
    expect(0, {"pre-script"});
    server.stop();
    if (restart) server.start();
    EXPECT_THAT(expect(202, {"post-script"}).err, HasSubstr("was lost"));
    if (!restart) server.start();
  }
}

TEST_F(Backup, IsNotLostWhenTheServerSpeaksUnasked) {
  Server& server = add_server({.data = "/srv/data/main"});
  configure_postgresql(R"("mode": "backup")");
  expect(0, {"pre-script"});
  server.sql("ALTER SYSTEM SET TimeZone = 'Asia/Tokyo'");  // every session is told
  server.sql("SELECT pg_reload_conf()");
  sleep_for(Milliseconds(200));
  expect(0, {"post-script"});
}

TEST_F(Backup, EndsByItselfAtTheDeadline) {
  Server& server = add_server({.data = "/srv/data/main"});
  configure_postgresql(R"("mode": "backup")");
  expect(0, {"pre-script", "--auto-thaw", "1"});
  EXPECT_EQ(server.our_sessions(), 1);
  EXPECT_TRUE(eventually([&] { return server.our_sessions() == 0; }, std::chrono::seconds(3)));
  expect(203, {"post-script"});
}

TEST_F(Backup, NeedsTheRightTo) {
  Server& server = add_server({.data = "/srv/data/main"});
  server.sql("CREATE ROLE limited LOGIN; GRANT pg_checkpoint, pg_monitor TO limited");
  configure_postgresql(R"("conninfo": "user=limited")");
  expect_refused(206, "GRANT EXECUTE ON FUNCTION pg_backup_start");
  server.sql("GRANT EXECUTE ON FUNCTION pg_backup_start(text, boolean), pg_backup_stop(boolean) TO limited");
  // Without the attribute REPLICATION nothing keeps the server from removing WAL, which the probe says too.
  for (const auto& command : std::vector<std::vector<std::string>>{{"dry-run", "--probe"}, {"pre-script"}})
    EXPECT_THAT(expect(0, command).out, HasSubstr("give the login limited the attribute REPLICATION"));
  expect(0, {"post-script"});
  server.sql("ALTER ROLE limited REPLICATION");
  EXPECT_THAT(expect(0, {"pre-script"}).out, Not(HasSubstr("REPLICATION")));
  expect(0, {"post-script"});
}

TEST_F(Backup, EndsWithoutAnErrorOfTheSessionWhoseSlotKeepsTheWal) {
  Server& server = add_server({.data = "/srv/data/main", .log = "/srv/log/main.log"});
  server.sql(
      "CREATE ROLE limited LOGIN REPLICATION; GRANT pg_checkpoint, pg_read_all_settings TO limited;"
      "GRANT EXECUTE ON FUNCTION pg_backup_start(text, boolean), pg_backup_stop(boolean) TO limited");
  configure_postgresql(R"("conninfo": "user=limited", "mode": "backup")");
  expect(0, {"pre-script"});
  server.sql("REVOKE SELECT ON pg_stat_archiver FROM PUBLIC");
  expect(0, {"post-script"});
  EXPECT_TRUE(fs::exists(std::string(facts().at("backup_files")) + "/complete"));
  EXPECT_THAT(read_text("/srv/log/main.log"), Not(HasSubstr("ERROR:")));
}

TEST_F(Backup, OfAStandbyWorks) {
  Server& primary = add_server({.data = "/srv/primary/data", .sockets = "/srv/primary/run"});
  run_tool({"install", "-d", "-m", "0700", "-o", std::to_string(installation().user), "/srv/data/main"});
  primary.tool("pg_basebackup", {"-D", "/srv/data/main", "-R", "-c", "fast"});
  add_stopped_server({.data = "/srv/data/main", .log = "/srv/log/standby.log"}).start();
  configure_postgresql();
  expect(0, {"pre-script"});
  const auto held = facts();
  EXPECT_EQ(held.at("in_recovery"), "true");
  expect(0, {"post-script"});
  EXPECT_THAT(read_text(std::string(held.at("backup_files")) + "/backup_label"), HasSubstr("BACKUP FROM: standby"));
}

}  // namespace
}  // namespace dlm_freeze::integration
