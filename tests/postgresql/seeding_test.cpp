// SPDX-License-Identifier: Apache-2.0
// A standby from a snapshot, made by the commands of docs/seeding.md while writers go on.
#include <gmock/gmock.h>

#include <filesystem>
#include <memory>

#include "integration/harness/copies.hpp"
#include "postgresql/postgresql_test.hpp"
#include "postgresql/workload.hpp"

namespace dlm_freeze::integration {
namespace {

class PostgresqlSeeding : public PostgresqlTest {
 protected:
  /// Runs the page's blocks of that kind, with the values of this host, where psql is that of `server`.
  static void run_page(const Server& server, const std::string& kind) {
    std::string psql;
    for (const std::string& word : server.command("psql", {"-X", "-q", "-v", "ON_ERROR_STOP=1"}))
      psql += "'" + word + "' ";
    run_commands("source=/run/postgresql port=5432 user=postgres password=none data=/srv/copy/main\npsql() { " + psql +
                 "\"$@\"; }\n" + blocks_of_page("seeding.md", kind));
  }

  /// A number for each table that changes with any of its rows.
  static std::string contents(const Server& server) {
    return server.sql(
        "SELECT string_agg(relname || xpath('/row/sum/text()', query_to_xml('SELECT sum(hashtext(t::text)) FROM ' || "
        "oid::regclass || ' AS t', false, true, ''))::text, ' ' ORDER BY relname) FROM pg_class WHERE relkind = 'r' "
        "AND "
        "relnamespace = 'public'::regnamespace");
  }
};

TEST_F(PostgresqlSeeding, MakesAStandbyThatCatchesUp) {
  if (installation().version < 12) GTEST_SKIP() << "it has no standby.signal";
  const auto& volume = add_volume("/srv/data");
  Server& primary = add_server({.data = "/srv/data/main", .settings = {"shared_buffers=32MB"}});
  Workload::prepare(primary);
  configure_postgresql(R"("mode": "checkpoint")");
  std::filesystem::create_directories("/srv/copy");
  const int rounds = is_thorough() ? 10 : 1;
  for (int round = 0; round < rounds; ++round) {
    SCOPED_TRACE(round);
    restart_safety_limit();
    run_page(primary, "sh postgresql before");
    auto load = std::make_unique<Workload>(primary);
    sleep_for(Milliseconds(200));
    expect(0, {"pre-script"});
    const std::string copy = copy_image(volume, "seed");
    expect(0, {"post-script"});
    const auto acknowledged = load->acknowledged();

    run_tool({"mount", "-o", "loop", copy, "/srv/copy"});
    Server& standby = add_stopped_server({.data = "/srv/copy/main", .port = 5433, .settings = {"shared_buffers=32MB"}});
    run_page(standby, "sh postgresql standby");
    standby.start();
    run_page(standby, "sh postgresql running");
    EXPECT_TRUE(eventually([&] { return load->acknowledged() > acknowledged; }, std::chrono::seconds(10)));
    load.reset();

    const std::string end = primary.sql("SELECT pg_current_wal_lsn()");
    EXPECT_TRUE(eventually([&] { return standby.sql("SELECT pg_last_wal_replay_lsn() >= '" + end + "'") == "t"; },
                           std::chrono::seconds(20)))
        << standby.log();
    EXPECT_EQ(standby.sql("SELECT pg_is_in_recovery()"), "t");
    EXPECT_EQ(standby.sql("SELECT count(*) FROM pg_replication_slots"), "0");
    EXPECT_EQ(primary.sql("SELECT slot_name FROM pg_replication_slots WHERE active"), "seed");
    EXPECT_EQ(Workload::stored(standby), Workload::stored(primary));
    EXPECT_NE(contents(primary), "");
    EXPECT_EQ(contents(standby), contents(primary));
    standby.stop();
    run_tool({"umount", "/srv/copy"});
    primary.sql("SELECT pg_drop_replication_slot('seed')");
  }
}

}  // namespace
}  // namespace dlm_freeze::integration
