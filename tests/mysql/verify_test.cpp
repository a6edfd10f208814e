// SPDX-License-Identifier: Apache-2.0
// verify --check starts a server from copies that a real session made: good ones, and each kind of damage.
#include <gmock/gmock.h>

#include <filesystem>

#include "harness/copies.hpp"
#include "mysql_test.hpp"

namespace dlm_freeze::integration {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class MysqlVerify : public MysqlTest {
 protected:
  /// A copy of a server's data: seven rows in each table, and one in test.last, which was committed last.
  std::string hold_and_copy(const std::string& type) {
    const auto& data = add(FilesystemSpec{.type = type, .mount_point = "/srv/mysql", .size = kDataSize});
    std::vector<std::string> options;
    if (!is_mariadb()) options = {"--gtid-mode=ON", "--enforce-gtid-consistency=ON"};
    Server& server = start_server({.data = "/srv/mysql/data", .binary_log = "/srv/mysql/log", .options = options});
    const auto tables = make_tables(server);
    server.connect().query("CREATE TABLE test.last (id INT)");
    server.connect().query("CREATE TABLE test.large (id INT PRIMARY KEY, value LONGBLOB)");
    server.connect().query("INSERT INTO test.large VALUES (1, REPEAT('B', 100000))");
    server.connect().query("CREATE TABLE `test`.`tab\tline\nend\\` (id INT)");
    if (is_mariadb()) {
      server.connect().query("CREATE TABLE test.versioned (id INT) WITH SYSTEM VERSIONING");
      server.connect().query("INSERT INTO test.versioned VALUES (1)");
      server.connect().query("CREATE SEQUENCE test.sequence");
    }
    for (const auto& table : tables) {
      for (int id = 1; id <= 7; ++id)
        server.connect().query("INSERT INTO " + table + " VALUES (" + std::to_string(id) + ", REPEAT('x', 200))");
    }
    // Or its redo log would still have whole pages, from which recovery would mend what is spoiled below.
    server.stop();
    server.start();
    if (!is_mariadb()) server.connect().query("SET PERSIST_ONLY table_open_cache_instances = 3");
    const auto log = server.connect().query(is_mariadb() ? "SHOW MASTER STATUS" : "SHOW BINARY LOG STATUS");
    before_last_ = std::stoul(log.at(0).at(1));
    server.connect().query("INSERT INTO test.last VALUES (1)");
    configure_mysql();
    expect(0, {"pre-script"});
    std::string copy = copy_image(data, "mysql");
    binary_log_ = "log/" + fact("binary_log_file");
    expect(0, {"post-script"});
    server.kill();
    return copy;
  }

  RunResult verify(int expected, const std::string& copy, const std::string& databases = "") {
    std::vector<std::string> arguments = {"verify", "--check", copy};
    if (!databases.empty()) {
      write_text("/srv/etc/databases.json", R"({"databases": {"db1": )" + databases + "}}");
      arguments.insert(arguments.end(), {"--databases", "/srv/etc/databases.json"});
    }
    restart_safety_limit();
    return expect(expected, arguments);
  }

  /// Damage to the files of either server, and to those of the installed one.
  [[nodiscard]] std::vector<Damage> damages() const;

  std::string binary_log_;       ///< "log/binlog.000002"
  std::size_t before_last_ = 0;  ///< Its size before the last commit.
};

TEST_F(MysqlVerify, IsGoodForCopiesOfEachFilesystem) {
  for (const char* type : is_thorough() ? std::vector<const char*>{"ext4", "xfs", "btrfs"} : std::vector{"ext4"}) {
    const std::string copy = hold_and_copy(type);
    const auto good =
        verify(0, copy, R"({"canaries": [{"statement": "SELECT MAX(id) FROM test.t_InnoDB", "answer": "7"}]})");
    for (const char* check : {"end of binary log", "events of binary log", "first query after", "identity and GTIDs",
                              "CHECK TABLE", "tables that are missing", "InnoDB pages", "canary"})
      EXPECT_THAT(good.out, HasSubstr(check));
    EXPECT_THAT(
        verify(1, copy, R"({"canaries": [{"statement": "SELECT MAX(id) FROM test.t_InnoDB", "answer": "8"}]})").out,
        HasSubstr("gives '7', not '8'"));
    // What SET PERSIST has written is for the original.
    if (!is_mariadb())
      verify(0, copy, R"({"canaries": [{"statement": "SELECT @@table_open_cache_instances <> 3", "answer": "1"}]})");
    run_tool({"umount", "-l", "/srv/mysql"});
    servers_.clear();
  }
}

/// Of a tablespace, a page with nothing but a large value.
void spoil_large_value(const std::string& path) {
  const std::string file = read_text(path);
  spoil(path, file.find(std::string(16000, 'B')) + 8000, 64);
}

std::vector<Damage> MysqlVerify::damages() const {
  const auto in = [](const std::string& at, const std::string& file) { return at + "/data/" + file; };
  const auto log = [this](const std::string& at) { return at + "/" + binary_log_; };
  const auto resize_log = [=](const std::string& at, int by) {
    fs::resize_file(log(at), fs::file_size(log(at)) + static_cast<std::size_t>(by));
  };
  const std::size_t rows = is_mariadb() ? 3 : 4;
  std::vector<Damage> all = {
      {"lost_commit", [=, this](const auto& at) { fs::resize_file(log(at), before_last_); }, " ends at "},
      {"event_in_binary_log", [=, this](const auto& at) { spoil(log(at), before_last_ + 30, 1); },
       "bad: /srv/mysql/log/"},
      {"torn_page",  // of the rows, which MySQL has after its own description of the table
       [=](const auto& at) { spoil(in(at, "test/t_InnoDB.ibd"), rows * 16384 + 4096, 8192); },
       is_mariadb() ? "test.t_InnoDB" : "its server ended: [ERROR]"},
      {"large_value", [=](const auto& at) { spoil_large_value(in(at, "test/large.ibd")); },
       "bad: /srv/mysql/data/test/large.ibd"},
      {"position_unknown", [](const auto& at) { edit_manifest(at, "\"binary_log_file\"", "\"none\""); },
       "unchecked: its session did not say where it ended", 2},
      {"myisam_index", [=](const auto& at) { spoil(in(at, "test/t_MyISAM.MYI"), 1024, 512); }, "test.t_MyISAM"},
      {"another_version", [](const auto& at) { edit_manifest(at, "\"version\": \"", "\"version\": \"5."); },
       "its server was 5.", 2},
      {"cut_off_binary_log", [=](const auto& at) { resize_log(at, -31); }, " ends at "},
      {"longer_binary_log", [=](const auto& at) { resize_log(at, 31); }, " ends at "},
      {"missing_binary_log", [=](const auto& at) { fs::remove(log(at)); }, " is missing"},
      {"myisam_data", [=](const auto& at) { fs::resize_file(in(at, "test/t_MyISAM.MYD"), 100); }, "test.t_MyISAM"},
      {"missing_tablespace", [=](const auto& at) { fs::remove(in(at, "test/t_second.ibd")); }, "test.t_second"},
      {"system_tablespace", [=](const auto& at) { spoil(in(at, "ibdata1"), 5 * 16384, 16384); }, "bad: "},
      {"missing_system_tablespace", [=](const auto& at) { fs::remove(in(at, "ibdata1")); }, "bad: "},
      {"data_elsewhere", [](const auto& at) { edit_manifest(at, "\"/srv/mysql/data\"", "\"/usr/share\""); },
       "/usr/share does not lie on", 2},
  };
  const std::vector<Damage> of_mariadb = {
      {"aria_index", [=](const auto& at) { spoil(in(at, "test/t_Aria.MAI"), 8192, 4096); }, "test.t_Aria"},
      {"system_versioned", [=](const auto& at) { spoil(in(at, "test/versioned.ibd"), 3 * 16384 + 4096, 8192); },
       "test.versioned"},
      {"sequence", [=](const auto& at) { spoil(in(at, "test/sequence.ibd"), 3 * 16384 + 4096, 8192); },
       "`test`.`sequence`"},
      {"missing_table",
       [=](const auto& at) {
         for (const char* name : {"test/t_second.frm", "test/t_second.ibd"}) fs::remove(in(at, name));
       },
       "InnoDB has tables without test/t_second.frm"},
      {"missing_engine", [=](const auto& at) { write_text(in(at, "test/old.ARZ"), "x"); }, "has no engine for", 2},
      {"missing_gtid",
       [](const auto& at) { edit_manifest(at, "\"gtid_binlog_pos\": \"", "\"gtid_binlog_pos\": \"9-9-9,"); },
       "gtid_binlog_pos is "},
      {"aria_data", [=](const auto& at) { spoil(in(at, "test/t_Aria.MAD"), 8192, 4096); }, "test.t_Aria"},
      {"table_definition", [=](const auto& at) { spoil(in(at, "test/t_second.frm"), 0, 64); }, "test.t_second"},
      {"missing_redo_log", [=](const auto& at) { fs::remove(in(at, "ib_logfile0")); }, "its server ended"},
      {"zeroed_redo_log", [=](const auto& at) { spoil(in(at, "ib_logfile0"), 0, 16384, '\0'); }, "its server ended"},
  };
  const std::vector<Damage> of_mysql = {
      {"another_server", [=](const auto& at) { fs::remove(in(at, "auto.cnf")); }, "server_uuid is "},
      {"missing_gtid",
       [](const auto& at) {
         edit_manifest(at, "\"gtid_executed\": \"", "\"gtid_executed\": \"00000000-0000-0000-0000-000000000001:1,");
       },
       "gtid_executed is "},
      {"missing_undo", [=](const auto& at) { fs::remove(in(at, "undo_001")); }, "undo_001 is missing"},
      {"missing_redo_log", [=](const auto& at) { fs::remove_all(in(at, "#innodb_redo")); }, "bad: "},
      {"data_dictionary", [=](const auto& at) { spoil(in(at, "mysql.ibd"), 4 * 16384, 16384); }, "bad: "},
  };
  const std::vector<Damage>& of_kind = is_mariadb() ? of_mariadb : of_mysql;
  all.insert(all.end(), of_kind.begin(), of_kind.end());
  return all;
}

TEST_F(MysqlVerify, FindsEachKindOfDamage) {
  const std::string copy = hold_and_copy("ext4");
  for (const Damage& damage : damages()) {
    SCOPED_TRACE(damage.name);
    const std::string damaged = changed_copy(copy, "mysql", damage.make);
    EXPECT_THAT(verify(damage.code, damaged).out, HasSubstr(damage.found));
  }
}

}  // namespace
}  // namespace dlm_freeze::integration
