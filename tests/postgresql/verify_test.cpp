// SPDX-License-Identifier: Apache-2.0
// verify --check starts a server from copies that a real session made: good ones, and each kind of damage.
#include <gmock/gmock.h>

#include <filesystem>

#include "integration/harness/copies.hpp"
#include "postgresql/postgresql_test.hpp"

namespace dlm_freeze::integration {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class PostgresqlVerify : public PostgresqlTest {
 protected:
  void SetUp() override {
    PostgresqlTest::SetUp();
    if (!IsSkipped() && installation().root != "/") GTEST_SKIP() << "verify starts the server of this host only";
  }

  /// A copy of a cluster with a table `rows` of 1000 rows, another one in a tablespace, and the control file of a
  /// checkpoint before.
  std::string hold_and_copy(const std::string& type) {
    const auto& volume = add_volume("/srv/data", type);
    Server& server = add_server({.data = "/srv/data/main"});
    server.sql("CREATE TABLE rows AS SELECT id, repeat('x', 100) AS text FROM generate_series(1, 1000) AS id");
    server.sql("CREATE INDEX ON rows (id)");
    run_tool({"install", "--directory", "--mode=0700", "--owner=" + std::to_string(installation().user), kSpace});
    server.sql(std::string("CREATE TABLESPACE space LOCATION '") + kSpace + "'");
    server.sql("CREATE TABLE more TABLESPACE space AS TABLE rows");
    server.sql("CREATE SEQUENCE numbers");
    server.sql("CREATE INDEX words ON rows USING gin (to_tsvector('simple', text))");
    words_ = server.sql("SELECT pg_relation_filepath('words')");
    numbers_ = server.sql("SELECT pg_relation_filepath('numbers')");
    server.sql("CREATE DATABASE \"clo=s'ed\"");
    server.sql("ALTER DATABASE \"clo=s'ed\" ALLOW_CONNECTIONS false");
    closed_ = "base/" + server.sql("SELECT oid FROM pg_database WHERE datname LIKE 'clo=%'");
    configure_postgresql(R"("name": "pg")");
    relation_ = server.sql("SELECT pg_relation_filepath('rows')");
    index_ = server.sql("SELECT pg_relation_filepath('rows_id_idx')");
    fs::copy_file("/srv/data/main/global/pg_control", kOlderControl, fs::copy_options::overwrite_existing);
    // For the next start, and for sessions: what hides damage, or would fail in a copy.
    for (const char* setting : {"zero_damaged_pages = on", "huge_pages = on", "default_transaction_read_only = on",
                                "unix_socket_group = 'nobody knows it'"})
      server.sql(std::string("ALTER SYSTEM SET ") + setting);
    for (const char* setting : {"zero_damaged_pages = on", "default_transaction_read_only = on"})
      server.sql(std::string("SET default_transaction_read_only = off; ALTER ROLE CURRENT_USER SET ") + setting);
    // After the checkpoint that pre-script makes there is always something.
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

  static constexpr const char* kSpace = "/srv/data/space";
  static constexpr const char* kOlderControl = "/srv/images/older_control";
  std::string relation_;  ///< "base/5/16384"
  std::string index_;     ///< The same of its index.
  std::string words_;     ///< Of another access method.
  std::string numbers_;   ///< Of a sequence.
  std::string closed_;    ///< The directory of a database that lets nobody in.
  std::string wal_;
};

TEST_F(PostgresqlVerify, IsGoodForCopiesOfEachFilesystem) {
  for (const char* type : is_thorough() ? std::vector<const char*>{"ext4", "xfs", "btrfs"} : std::vector{"ext4"}) {
    const std::string copy = hold_and_copy(type);
    const std::string canary =
        R"({"canaries": [{"statement": "SELECT max(id) FROM rows", "database": "postgres", "answer": )";
    const auto good = verify(0, copy, canary + R"("1000"}]})");
    for (const char* check :
         {"control file", "WAL", "first query after", "relations", "pg_amcheck", "pg_checksums", "canary"})
      EXPECT_THAT(good.out, HasSubstr(check));
    EXPECT_THAT(verify(1, copy, canary + R"("1001"}]})").out, HasSubstr("gives '1000', not '1001'"));
    run_tool({"umount", "-l", "/srv/data"});
  }
}

TEST_F(PostgresqlVerify, FindsEachKindOfDamage) {
  const std::string copy = hold_and_copy("ext4");
  const auto in = [](const std::string& directory, const std::string& file) { return directory + "/main/" + file; };
  const std::vector<Damage> damages = {
      {"missing_wal", [&](const auto& at) { fs::remove(in(at, wal_)); }, "its WAL cannot be read from"},
      {"torn_page", [&](const auto& at) { spoil(in(at, relation_), 8192 + 4096, 4096, '\0'); },
       "bad: pg_amcheck: heap table \"postgres.public.rows\""},
      {"index_in_another_order",  // as with another collation: the page itself is taken for whole
       [&](const auto& at) { spoil(in(at, index_), 8192 + 8168, 4, '\x7F'); },
       "bad: pg_amcheck: btree index \"postgres.public.rows_id_idx\"", 1,
       R"({"options": ["-c", "ignore_checksum_failure=on"]})"},
      {"older_checkpoint",
       [&](const auto& at) {
         fs::copy_file(kOlderControl, in(at, "global/pg_control"), fs::copy_options::overwrite_existing);
       },
       "its last checkpoint begins at"},
      {"another_cluster",
       [&](const auto& at) { edit_manifest(at, "\"system_identifier\": \"", "\"system_identifier\": \"1"); },
       "it is another cluster"},
      {"another_timeline", [&](const auto& at) { edit_manifest(at, "\"timeline\": \"", "\"timeline\": \"2"); },
       "its timeline is 1, not 21"},
      {"missing_tablespace", [&](const auto& at) { fs::remove_all(at + "/space"); },
       "/srv/data/space, to which /srv/data/main/pg_tblspc/", 2},
      {"another_version",
       [&](const auto& at) {
         write_text(in(at, "PG_VERSION"), "11\n");
         edit_manifest(at, "\"version\": \"", "\"version\": \"11.");
       },
       "name the directory of another one", 2},
      {"zeroed_wal", [&](const auto& at) { spoil(in(at, wal_), 0, std::size_t{16} << 20, '\0'); },
       "its WAL cannot be read from"},
      {"changed_bytes", [&](const auto& at) { spoil(in(at, relation_), 8000, 4, 'y'); },
       "bad: its pages are damaged: "},
      {"index_with_a_torn_page", [&](const auto& at) { spoil(in(at, index_), 8192 + 4096, 4096, '\0'); },
       "rows_id_idx"},
      {"closed_database", [&](const auto& at) { fs::remove(in(at, closed_ + "/1259")); }, "bad: "},
      {"file_in_a_closed_database", [&](const auto& at) { fs::remove(in(at, closed_ + "/2609")); },
       "clo=s'ed: files are missing of pg_description"},
      {"missing_index", [&](const auto& at) { fs::remove(in(at, words_)); }, "postgres: files are missing of words"},
      {"sequence", [&](const auto& at) { spoil(in(at, numbers_), 8192 - 64, 64, '\0'); }, "bad: postgres: "},
      {"another_access_method",
       [&](const auto& at) { edit_manifest(at, "\"checksums\": \"on\"", "\"checksums\": \"off\""); },
       "relations of the access method gin", 2},
      {"missing_relation", [&](const auto& at) { fs::remove(in(at, relation_)); }, "pg_amcheck"},
      {"emptied_tablespace",
       [&](const auto& at) {
         for (const auto& entry : fs::directory_iterator(at + "/space")) fs::remove_all(entry);
       },
       "bad: "},
      {"missing_commit_log", [&](const auto& at) { fs::remove(in(at, "pg_xact/0000")); },
       "could not access status of transaction"},
      {"control_file", [&](const auto& at) { spoil(in(at, "global/pg_control"), 100, 8); }, "bad: "},
      {"missing_control_file", [&](const auto& at) { fs::remove(in(at, "global/pg_control")); }, "control file"},
      {"another_version_of_data", [&](const auto& at) { write_text(in(at, "PG_VERSION"), "9.6\n"); },
       "its data directory is of version 9.6"},
      {"lost_wal", [&](const auto& at) { edit_manifest(at, "\"current_lsn\": \"", "\"current_lsn\": \"F"); },
       "its WAL cannot be read from"},
      {"tablespace_elsewhere", [&](const auto& at) { fs::create_symlink("/usr", in(at, "pg_tblspc/99999")); },
       "does not lie on a filesystem of the session", 2},
  };
  for (const Damage& damage : damages) {
    SCOPED_TRACE(damage.name);
    const std::string damaged = changed_copy(copy, "postgresql", damage.make);
    EXPECT_THAT(verify(damage.code, damaged, damage.databases).out, HasSubstr(damage.found));
  }
}

}  // namespace
}  // namespace dlm_freeze::integration
