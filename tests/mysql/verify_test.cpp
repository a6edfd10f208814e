// SPDX-License-Identifier: Apache-2.0
// verify --check starts a server from copies that a real session made: good ones, and each kind of damage.
#include <gmock/gmock.h>

#include <filesystem>
#include <functional>

#include "harness/copies.hpp"
#include "mysql_test.hpp"

namespace dlm_freeze::integration {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr std::uint64_t kSize = std::uint64_t{400} << 20;

class MysqlVerify : public MysqlTest {
 protected:
  /// Copies of a server's data, whose last commit is the row 7, made while writers go on.
  std::string hold_and_copy(const std::string& type) {
    const auto& data = add(FilesystemSpec{.type = type, .mount_point = "/srv/mysql", .size = kSize});
    Server& server = start_server({.data = "/srv/mysql/data", .binary_log = "/srv/mysql/log"});
    const auto tables = make_tables(server);
    Client client = server.connect();
    for (const auto& table : tables) {
      for (int id = 1; id <= 7; ++id)
        client.query("INSERT INTO " + table + " VALUES (" + std::to_string(id) + ", REPEAT('x', 200))");
    }
    // Or its redo log would still have whole pages, from which recovery would mend what is spoiled below.
    server.stop();
    server.start();
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

  std::string binary_log_;
};

TEST_F(MysqlVerify, IsGoodForCopiesOfEachFilesystem) {
  for (const char* type : is_thorough() ? std::vector<const char*>{"ext4", "xfs", "btrfs"} : std::vector{"ext4"}) {
    const std::string copy = hold_and_copy(type);
    const auto good =
        verify(0, copy, R"({"canaries": [{"statement": "SELECT MAX(id) FROM test.t_InnoDB", "answer": "7"}]})");
    for (const char* check : {"end of binary log", "events of binary log", "first query after", "identity and GTIDs",
                              "CHECK TABLE", "canary"})
      EXPECT_THAT(good.out, HasSubstr(check));
    EXPECT_THAT(
        verify(1, copy, R"({"canaries": [{"statement": "SELECT MAX(id) FROM test.t_InnoDB", "answer": "8"}]})").out,
        HasSubstr("gives '7', not '8'"));
    run_tool({"umount", "-l", "/srv/mysql"});
    servers_.clear();
  }
}

struct Damage {
  std::string name;
  std::function<void(const std::string& directory)> make;
  std::string found;  ///< What is said of it.
  int code = 1;
};

TEST_F(MysqlVerify, FindsEachKindOfDamage) {
  if (!is_mariadb()) GTEST_SKIP() << "its files are MariaDB's";
  const std::string copy = hold_and_copy("ext4");
  const auto in = [](const std::string& directory, const std::string& file) { return directory + "/data/" + file; };
  std::vector<Damage> damages = {
      {"cut_off_binary_log",
       [&](const auto& at) { fs::resize_file(at + "/" + binary_log_, fs::file_size(at + "/" + binary_log_) - 31); },
       " ends at "},
      {"torn_page", [&](const auto& at) { spoil(in(at, "test/t_InnoDB.ibd"), 3 * 16384 + 4096, 8192); }, "bad: "},
  };
  if (is_thorough()) {
    const std::vector<Damage> more = {
        {"longer_binary_log",
         [&](const auto& at) { fs::resize_file(at + "/" + binary_log_, fs::file_size(at + "/" + binary_log_) + 31); },
         " ends at "},
        {"missing_binary_log", [&](const auto& at) { fs::remove(at + "/" + binary_log_); }, " is missing"},
        {"event_in_binary_log",
         [&](const auto& at) { spoil(at + "/" + binary_log_, fs::file_size(at + "/" + binary_log_) / 2, 8); },
         "events of binary log"},
        {"myisam_index", [&](const auto& at) { spoil(in(at, "test/t_MyISAM.MYI"), 1024, 512); }, "test.t_MyISAM"},
        {"myisam_data", [&](const auto& at) { fs::resize_file(in(at, "test/t_MyISAM.MYD"), 100); }, "test.t_MyISAM"},
        {"aria_data", [&](const auto& at) { spoil(in(at, "test/t_Aria.MAD"), 8192, 4096); }, "test.t_Aria"},
        {"missing_tablespace", [&](const auto& at) { fs::remove(in(at, "test/t_second.ibd")); }, "test.t_second"},
        {"table_definition", [&](const auto& at) { spoil(in(at, "test/t_second.frm"), 0, 64); }, "test.t_second"},
        {"missing_redo_log", [&](const auto& at) { fs::remove(in(at, "ib_logfile0")); }, "its server ended"},
        {"zeroed_redo_log", [&](const auto& at) { spoil(in(at, "ib_logfile0"), 0, 16384, '\0'); }, "its server ended"},
        {"system_tablespace", [&](const auto& at) { spoil(in(at, "ibdata1"), 5 * 16384, 16384); }, "bad: "},
        {"another_moment",
         [&](const auto& at) { edit_manifest(at, "\"gtid_binlog_pos\": \"", "\"gtid_binlog_pos\": \"9-9-9,"); },
         "gtid_binlog_pos is "},
        {"another_version", [&](const auto& at) { edit_manifest(at, "\"version\": \"1", "\"version\": \"9"); },
         "its server was 9", 2},
        {"data_elsewhere", [&](const auto& at) { edit_manifest(at, "\"/srv/mysql/data\"", "\"/usr/share\""); },
         "/usr/share does not lie on", 2},
    };
    damages.insert(damages.end(), more.begin(), more.end());
  }
  for (const Damage& damage : damages) {
    SCOPED_TRACE(damage.name);
    const std::string damaged = changed_copy(copy, "mysql", damage.make);
    EXPECT_THAT(verify(damage.code, damaged).out, HasSubstr(damage.found));
  }
}

}  // namespace
}  // namespace dlm_freeze::integration
