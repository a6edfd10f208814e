// SPDX-License-Identifier: Apache-2.0
// verify --check starts a server from copies that a real session made: good ones, and each kind of damage.
#include <gmock/gmock.h>

#include <filesystem>
#include <functional>

#include "integration/harness/copies.hpp"
#include "postgresql/postgresql_test.hpp"

namespace dlm_freeze::integration {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class PostgresqlVerify : public PostgresqlTest {
 protected:
  /// A copy of a cluster with a table `rows` of 1000 rows.
  std::string hold_and_copy(const std::string& type) {
    const auto& volume = add_volume("/srv/data", type);
    Server& server = add_server({.data = "/srv/data/main"});
    server.sql("CREATE TABLE rows AS SELECT id, repeat('x', 100) AS text FROM generate_series(1, 1000) AS id");
    server.sql("CREATE INDEX ON rows (id)");
    configure_postgresql(R"("name": "pg")");
    // After the checkpoint that pre-script makes there is always something.
    relation_ = server.sql("SELECT pg_relation_filepath('rows')");
    relation_.erase(relation_.find_last_not_of(" \n") + 1);
    expect(0, {"pre-script"});
    std::string copy = copy_image(volume, "postgresql");
    wal_ = "pg_wal/" + facts().at("wal_file").get<std::string>();
    expect(0, {"post-script"});
    remove_servers();
    return copy;
  }

  RunResult verify(int expected, const std::string& copy, const std::string& databases = "") {
    std::vector<std::string> arguments = {"verify", "--check", copy};
    if (!databases.empty()) {
      write_text("/srv/etc/databases.json", R"({"databases": {"pg": )" + databases + "}}");
      arguments.insert(arguments.end(), {"--databases", "/srv/etc/databases.json"});
    }
    restart_safety_limit();
    return expect(expected, arguments);
  }

  std::string relation_;  ///< "base/5/16384"
  std::string wal_;
};

TEST_F(PostgresqlVerify, IsGoodForCopiesOfEachFilesystem) {
  for (const char* type : is_thorough() ? std::vector<const char*>{"ext4", "xfs", "btrfs"} : std::vector{"ext4"}) {
    const std::string copy = hold_and_copy(type);
    const std::string canary =
        R"({"canaries": [{"statement": "SELECT max(id) FROM rows", "database": "postgres", "answer": )";
    const auto good = verify(0, copy, canary + R"("1000"}]})");
    for (const char* check : {"control file", "WAL", "first query after", "pg_amcheck", "pg_checksums", "canary"})
      EXPECT_THAT(good.out, HasSubstr(check));
    EXPECT_THAT(verify(1, copy, canary + R"("1001"}]})").out, HasSubstr("gives '1000', not '1001'"));
    run_tool({"umount", "-l", "/srv/data"});
  }
}

struct Damage {
  std::string name;
  std::function<void(const std::string& directory)> make;
  std::string found;  ///< What is said of it.
  int code = 1;
};

TEST_F(PostgresqlVerify, FindsEachKindOfDamage) {
  const std::string copy = hold_and_copy("ext4");
  const auto in = [](const std::string& directory, const std::string& file) { return directory + "/main/" + file; };
  std::vector<Damage> damages = {
      {"missing_wal", [&](const auto& at) { fs::remove(in(at, wal_)); }, "its WAL cannot be read from"},
      {"torn_page", [&](const auto& at) { spoil(in(at, relation_), 8192 + 4096, 4096, '\0'); }, "bad: "},
  };
  if (is_thorough()) {
    const std::vector<Damage> more = {
        {"zeroed_wal", [&](const auto& at) { spoil(in(at, wal_), 0, std::size_t{16} << 20, '\0'); },
         "its WAL cannot be read from"},
        {"changed_bytes", [&](const auto& at) { spoil(in(at, relation_), 8000, 4, 'y'); }, "pg_checksums"},
        {"missing_relation", [&](const auto& at) { fs::remove(in(at, relation_)); }, "pg_amcheck"},
        {"missing_commit_log", [&](const auto& at) { fs::remove(in(at, "pg_xact/0000")); }, "bad: "},
        {"control_file", [&](const auto& at) { spoil(in(at, "global/pg_control"), 100, 8); }, "bad: "},
        {"missing_control_file", [&](const auto& at) { fs::remove(in(at, "global/pg_control")); }, "control file"},
        {"another_version_of_data", [&](const auto& at) { write_text(in(at, "PG_VERSION"), "9.6\n"); },
         "its data directory is of version 9.6"},
        {"another_version",
         [&](const auto& at) {
           write_text(in(at, "PG_VERSION"), "11\n");
           edit_manifest(at, "\"version\": \"", "\"version\": \"11.");
         },
         "name the directory of another one", 2},
        {"another_cluster",
         [&](const auto& at) { edit_manifest(at, "\"system_identifier\": \"", "\"system_identifier\": \"1"); },
         "it is another cluster"},
        {"another_timeline", [&](const auto& at) { edit_manifest(at, "\"timeline\": \"", "\"timeline\": \"2"); },
         "its timeline is 1, not 21"},
        {"an_older_moment", [&](const auto& at) { edit_manifest(at, "\"redo_lsn\": \"", "\"redo_lsn\": \"F"); },
         "its last checkpoint begins at"},
        {"lost_wal", [&](const auto& at) { edit_manifest(at, "\"current_lsn\": \"", "\"current_lsn\": \"F"); },
         "its WAL cannot be read from"},
        {"tablespace_elsewhere", [&](const auto& at) { fs::create_symlink("/usr", in(at, "pg_tblspc/99999")); },
         "does not lie on a filesystem of the session", 2},
    };
    damages.insert(damages.end(), more.begin(), more.end());
  }
  for (const Damage& damage : damages) {
    SCOPED_TRACE(damage.name);
    const std::string damaged = changed_copy(copy, "postgresql", damage.make);
    EXPECT_THAT(verify(damage.code, damaged).out, HasSubstr(damage.found));
  }
}

}  // namespace
}  // namespace dlm_freeze::integration
