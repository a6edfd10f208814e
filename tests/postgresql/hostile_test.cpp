// SPDX-License-Identifier: Apache-2.0
// What a user of a database, the database itself and a user of the host try against the agent, which is a superuser of
// the one and root of the other. docs/security.md names each of these tests.
#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <thread>

#include "postgresql/postgresql_test.hpp"

namespace dlm_freeze::integration {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;

constexpr int kVersionWithLoginTriggers = 17;
constexpr uid_t kNobody = 65534;

class Hostile : public PostgresqlTest {
 protected:
  void SetUp() override {
    PostgresqlTest::SetUp();
    if (IsSkipped()) return;
    add_volume("/srv/data");
    server_ = &add_server({.data = "/srv/data/main"});
    // A database of her own, as many hosters give.
    server_->sql("CREATE ROLE mallory LOGIN");
    server_->sql("CREATE DATABASE shop OWNER mallory");
    as_mallory("CREATE TABLE public.trace(what text)");
    as_mallory("GRANT INSERT ON public.trace TO PUBLIC");
  }

  void as_mallory(const std::string& statement) const { server_->sql_as("mallory", "shop", statement); }

  /// A function that tells when it was executed by somebody else.
  void plant(const std::string& signature, const std::string& type, const std::string& value) const {
    as_mallory("CREATE FUNCTION public." + signature + " RETURNS " + type +
               " LANGUAGE sql AS $$ INSERT INTO public.trace SELECT '" + signature +
               "' WHERE current_user <> 'mallory'; SELECT " + value + " $$");
  }

  [[nodiscard]] std::string executed() const {
    return server_->sql_as("mallory", "shop", "SELECT string_agg(what, ', ') FROM public.trace");
  }

  /// Both modes, with much WAL in between, as a superuser in mallory's database.
  void run_all_statements() const {
    for (const std::string mode : {"checkpoint", "backup"}) {
      SCOPED_TRACE(mode);
      configure_postgresql(R"("conninfo": "dbname=shop user=postgres", "mode": ")" + mode + "\"");
      expect(0, {"dry-run", "--probe"});
      expect(0, {"pre-script"});
      EXPECT_EQ(facts().at("mode"), mode);
      expect(0, {"post-script"});
    }
  }

  Server* server_ = nullptr;
};

TEST_F(Hostile, NamesThatAUserDefinesAreNeverResolved) {
  plant("more(numeric, integer)", "boolean", "true");
  plant("same(name, name)", "boolean", "true");
  plant("same(name, text)", "boolean", "true");
  as_mallory("CREATE OPERATOR public.> (LEFTARG = numeric, RIGHTARG = integer, FUNCTION = public.more)");
  as_mallory("CREATE OPERATOR public.= (LEFTARG = name, RIGHTARG = name, FUNCTION = public.same)");
  as_mallory("CREATE OPERATOR public.= (LEFTARG = name, RIGHTARG = text, FUNCTION = public.same)");
  plant("pg_is_in_recovery()", "boolean", "false");
  plant("pg_backend_pid()", "integer", "1");
  plant("current_setting(text)", "text", "'replica'::text");
  plant("has_function_privilege(text, text)", "boolean", "true");
  plant("pg_has_role(name, text)", "boolean", "true");
  plant("to_char(timestamp, text)", "text", "'now'::text");
  plant("timezone(text, timestamptz)", "timestamp", "now()::timestamp");
  plant("pg_size_bytes(text)", "bigint", "16777216::bigint");
  plant("pg_current_wal_lsn()", "pg_lsn", "'0/1'::pg_lsn");
  plant("pg_wal_lsn_diff(pg_lsn, pg_lsn)", "numeric", "99999999::numeric");
  plant("pg_walfile_name(pg_lsn)", "text", "'x'::text");
  as_mallory(
      "CREATE VIEW public.pg_settings AS SELECT 'data_directory'::text AS name, public.current_setting('x') AS "
      "setting");
  as_mallory("CREATE TYPE public.stone AS (a integer)");
  plant("turn(public.stone)", "integer", "1");
  as_mallory("CREATE CAST (public.stone AS integer) WITH FUNCTION public.turn(public.stone) AS IMPLICIT");
  // The plant works: what is unqualified is hers.
  as_mallory("ALTER DATABASE shop SET search_path = public, pg_catalog");
  server_->sql_as("postgres", "shop", "SELECT pg_wal_lsn_diff('0/1', '0/0') > 67108864, pg_is_in_recovery()");
  EXPECT_THAT(executed(), HasSubstr("more(numeric, integer)"));
  EXPECT_THAT(executed(), HasSubstr("pg_is_in_recovery()"));
  as_mallory("TRUNCATE public.trace");

  run_all_statements();
  EXPECT_EQ(executed(), "");
  // Without the owner's help too: what a session finds first in a database that says nothing.
  as_mallory("ALTER DATABASE shop RESET search_path");
  run_all_statements();
  EXPECT_EQ(executed(), "");
}

TEST_F(Hostile, LocksOfAUserAreNotWaitedFor) {
  std::thread locker([this] {
    try {
      as_mallory("BEGIN; LOCK TABLE pg_catalog.pg_settings IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(60)");
    } catch (const std::exception&) {  // It is ended below.
    }
  });
  const bool is_locked = eventually(
      [this] {
        return server_->sql_as("postgres", "shop",
                               "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted AND "
                               "relation = 'pg_settings'::regclass") == "1";
      },
      std::chrono::seconds(5));
  EXPECT_TRUE(is_locked);
  run_all_statements();
  server_->sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'mallory'");
  locker.join();
}

TEST_F(Hostile, SettingsOfADatabaseLetNothingFail) {
  as_mallory("ALTER DATABASE shop SET work_mem = '64kB'");
  server_->sql("ALTER SYSTEM SET temp_file_limit = 0");
  server_->sql("SELECT pg_reload_conf()");
  run_all_statements();
}

TEST_F(Hostile, LoginTriggersAreNotRunForASuperuserOnPostgresql17) {
  if (installation().version < kVersionWithLoginTriggers) GTEST_SKIP() << "there are none before PostgreSQL 17";
  as_mallory(
      "CREATE FUNCTION public.at_login() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO "
      "public.trace SELECT current_user WHERE current_user <> 'mallory'; END $$");
  server_->sql_as("postgres", "shop", "CREATE EVENT TRIGGER greet ON login EXECUTE FUNCTION public.at_login()");
  server_->sql_as("postgres", "shop", "SELECT 1");
  EXPECT_EQ(executed(), "postgres");
  as_mallory("TRUNCATE public.trace");
  run_all_statements();
  EXPECT_EQ(executed(), "");

  // A role that may not turn them off runs them with its own rights, and works.
  server_->sql("CREATE ROLE limited LOGIN; GRANT pg_checkpoint, pg_monitor TO limited");
  configure_postgresql(R"("conninfo": "dbname=shop user=limited", "mode": "checkpoint")");
  expect(0, {"pre-script"});
  expect(0, {"post-script"});
  EXPECT_EQ(executed(), "limited");
}

TEST_F(Hostile, SettingsOfRoleAndDatabaseAreOverruled) {
  for (const std::string setting :
       {"default_transaction_isolation = 'serializable'", "default_transaction_read_only = on",
        "default_transaction_deferrable = on", "statement_timeout = '1ms'", "lock_timeout = '1ms'",
        "idle_in_transaction_session_timeout = '1ms'", "role = 'mallory'", "standard_conforming_strings = off",
        "DateStyle = 'German'", "row_security = off", "client_min_messages = 'debug5'", "bytea_output = 'escape'",
        "quote_all_identifiers = on", "client_encoding = 'LATIN1'", "local_preload_libraries = 'none_like_that'"}) {
    server_->sql("ALTER DATABASE shop SET " + setting);
  }
  if (installation().version >= 14) server_->sql("ALTER DATABASE shop SET idle_session_timeout = '300ms'");
  if (installation().version >= 17) server_->sql("ALTER DATABASE shop SET transaction_timeout = '20ms'");
  for (const std::string mode : {"checkpoint", "backup"}) {
    SCOPED_TRACE(mode);
    configure_postgresql(R"("conninfo": "dbname=shop user=postgres", "mode": ")" + mode + "\"");
    server_->sql("CREATE TABLE much_" + mode + " AS SELECT repeat('x', 500) FROM generate_series(1, 120000)");
    const auto pre = expect(0, {"pre-script"});
    EXPECT_THAT(pre.out, Not(HasSubstr("has not ended")));
    sleep_for(Milliseconds(500));
    expect(0, {"post-script"});
  }
}

/// Somebody else's server at this address, with whatever he wants behind it.
class Impostor {
 public:
  explicit Impostor(const std::string& path) : fd_(check(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket")) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    check(::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), "bind");
    check(::listen(fd_.get(), 5), "listen");
    check(::lchown(path.c_str(), kNobody, kNobody), "chown");
  }

 private:
  UniqueFd fd_;
};

TEST_F(Hostile, ProcessesOfOthersAtTheServersSocketGetNoLogin) {
  server_->stop();
  const UniqueFd fd(check(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"));
  const sockaddr_un address{.sun_family = AF_UNIX, .sun_path = "/run/postgresql/.s.PGSQL.5432"};
  check(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), "bind");
  check(::lchown(address.sun_path, installation().user, installation().group), "chown");
  const pid_t other = check(::fork(), "fork");
  if (other == 0) ::_exit(::setuid(kNobody) == 0 && ::listen(fd.get(), 5) == 0 ? 0 : 1);
  int status = -1;
  check(::waitpid(other, &status, 0), "waitpid");
  ASSERT_EQ(status, 0);
  configure_postgresql();
  expect_refused(206, "a process of uid 65534");
}

TEST_F(Hostile, SocketsThatAnybodyCouldHaveMadeAreSkippedAndSaid) {
  configure(kDetection);
  const Impostor impostor("/tmp/.s.PGSQL.5999");
  const Impostor other("/tmp/.s.PGSQL.5998");
  check(::mkfifo("/tmp/.s.PGSQL.5999.lock", 0666), "mkfifo");
  check(::lchown("/tmp/.s.PGSQL.5999.lock", kNobody, kNobody), "chown");
  // One that names the server's own data directory, so that this one would be taken for seen.
  write_text("/tmp/.s.PGSQL.5998.lock", std::to_string(server_->pid()) + "\n/srv/data/main\n1\n5998\n/tmp\n");
  check(::lchown("/tmp/.s.PGSQL.5998.lock", kNobody, kNobody), "chown");
  for (const auto& command : std::vector<std::vector<std::string>>{{"dry-run"}, {"dry-run", "--probe"}})
    expect(0, command);
  const auto pre = expect(0, {"pre-script"});
  EXPECT_LT(pre.run_time(), std::chrono::seconds(4));
  EXPECT_THAT(pre.out, HasSubstr("postgresql-5999 is skipped: /tmp/.s.PGSQL.5999 belongs to uid 65534"));
  EXPECT_THAT(pre.out, HasSubstr("quiescing 1 database"));
  EXPECT_EQ(facts().at("data_directory"), "/srv/data/main");
  expect(0, {"post-script"});

  configure_postgresql(R"("conninfo": "host=/tmp port=5999")");
  expect_refused(206, "belongs to uid 65534");
}

TEST_F(Hostile, FilesOfTheServersAccountCannotHangAnything) {
  fs::remove("/srv/data/main/current_logfiles");
  check(::mkfifo("/srv/data/main/current_logfiles", 0666), "mkfifo");
  configure_postgresql();
  expect(0, {"pre-script"});
  expect(0, {"post-script"});
  // A lock file of another kind: the server is asked instead.
  fs::remove("/run/postgresql/.s.PGSQL.5432.lock");
  check(::mkfifo("/run/postgresql/.s.PGSQL.5432.lock", 0666), "mkfifo");
  check(::lchown("/run/postgresql/.s.PGSQL.5432.lock", installation().user, installation().group), "chown");
  expect(0, {"pre-script"});
  EXPECT_EQ(facts().at("mode"), "checkpoint");
  expect(0, {"post-script"});
  // The control file of a directory that a lock names.
  write_text("/srv/lock", std::to_string(server_->pid()) + "\n/srv/false\n1\n5432\n/run/postgresql\n");
  fs::remove("/run/postgresql/.s.PGSQL.5432.lock");
  fs::copy_file("/srv/lock", "/run/postgresql/.s.PGSQL.5432.lock");
  check(::lchown("/run/postgresql/.s.PGSQL.5432.lock", installation().user, installation().group), "chown");
  fs::create_directories("/srv/false/global");
  check(::mkfifo("/srv/false/global/pg_control", 0666), "mkfifo");
  check(::lchown("/srv/false", installation().user, installation().group), "chown");
  expect(0, {"pre-script"});
  EXPECT_EQ(facts().at("data_directory"), "/srv/data/main");
  expect(0, {"post-script"});
}

TEST_F(Hostile, PoolersAreRefusedAndTheirSessionsLeftAsTheyAre) {
  if (!fs::exists("/usr/sbin/pgbouncer")) GTEST_SKIP() << "there is no pgbouncer here: scripts/install-deps test";
  fs::create_directories("/run/pool");
  check(::chown("/run/pool", installation().user, installation().group), "chown");
  for (const std::string ignored : {"extra_float_digits", "extra_float_digits,options"}) {
    SCOPED_TRACE(ignored);
    write_text("/run/pool/users", "\"postgres\" \"\"\n");
    write_text("/run/pool/ini",
               "[databases]\npostgres = host=/run/postgresql port=5432 user=postgres\n[pgbouncer]\n"
               "listen_addr =\nlisten_port = 6432\nunix_socket_dir = /run/pool\nauth_type = any\n"
               "auth_file = /run/pool/users\npool_mode = session\nserver_reset_query =\nlogfile = /run/pool/log\n"
               "default_pool_size = 1\nignore_startup_parameters = " +
                   ignored + "\n");
    const AgentRun pooler(
        {"chroot", "--userspec=" + std::to_string(installation().user), "/", "/usr/sbin/pgbouncer", "/run/pool/ini"},
        {});
    ASSERT_TRUE(eventually([] { return fs::exists("/run/pool/.s.PGSQL.6432"); }, std::chrono::seconds(5)));
    configure_postgresql(R"("conninfo": "host=/run/pool port=6432 dbname=postgres user=postgres")");
    expect_refused(206, "a connection pooler answers");
    const std::string path =
        run_tool(server_->command("psql", {"-X", "-At", "-h", "/run/pool", "-p", "6432", "-c", "SHOW search_path"}));
    EXPECT_EQ(path, "\"$user\", public\n");
    pooler.kill_group();
    ASSERT_TRUE(
        eventually([] { return !fs::exists("/run/pool/.s.PGSQL.6432") || ::unlink("/run/pool/.s.PGSQL.6432") == 0; },
                   std::chrono::seconds(5)));
  }
}

}  // namespace
}  // namespace dlm_freeze::integration
