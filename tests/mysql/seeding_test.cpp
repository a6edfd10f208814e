// SPDX-License-Identifier: Apache-2.0
// A replica from a snapshot, made by the commands of docs/seeding.md while writers go on.
#include <gmock/gmock.h>

#include <filesystem>
#include <sstream>

#include "harness/copies.hpp"
#include "mysql_test.hpp"

namespace dlm_freeze::integration {
namespace {

using std::chrono::seconds;

class MysqlSeeding : public MysqlTest {
 protected:
  void SetUp() override {
    MysqlTest::SetUp();
    if (IsSkipped()) return;
    data_ = &add({.type = "ext4", .mount_point = "/srv/primary", .size = std::uint64_t{400} << 20});
    std::vector<std::string> options = own_options();
    options.insert(options.end(),
                   {"--skip-networking=0", "--bind-address=127.0.0.1", "--port=" + std::to_string(port_)});
    primary_ = &start_server({.name = "primary", .data = "/srv/primary/data", .options = options});
    tables_ = make_tables(*primary_);
    Client client = primary_->connect();
    client.query("CREATE USER 'copy'@'%' IDENTIFIED BY 'copy'");
    client.query("GRANT REPLICATION SLAVE ON *.* TO 'copy'@'%'");
    configure_mysql({{"lock_wait_seconds", 20}});  // The machine may be busy.
  }

  [[nodiscard]] std::string kind(const std::string& what) const { return (is_mariadb() ? "mariadb" : "mysql") + what; }

  /// Oracle's GTIDs are off unless asked for.
  [[nodiscard]] std::vector<std::string> own_options() const {
    return is_mariadb() ? std::vector<std::string>{}
                        : std::vector<std::string>{"--gtid-mode=ON", "--enforce-gtid-consistency=ON"};
  }

  /// The page's section of the configuration as options.
  [[nodiscard]] std::vector<std::string> page_options() const {
    std::vector<std::string> options = own_options();
    std::istringstream lines(blocks_of_page("seeding.md", "ini " + kind("")));
    for (std::string line; std::getline(lines, line);) {
      std::erase(line, ' ');
      if (!line.empty() && !line.starts_with('[')) options.push_back("--" + line);
    }
    return options;
  }

  /// Runs the page's blocks of that kind, with the values of this host.
  void run_page(const std::string& what) const {
    const std::string client = " --no-defaults --user=root --socket=/srv/run/replica.sock \"$@\"; }\n";
    run_commands("source=127.0.0.1 port=" + std::to_string(port_) +
                 " user=copy password=copy data=/srv/replica/data manifest=/srv/replica/.dlm-freeze/manifest.json\n" +
                 "mariadb() { command mariadb" + client + "mysql() { command mysql" + client +
                 blocks_of_page("seeding.md", "sh fact") + blocks_of_page("seeding.md", "sh " + kind(what)));
  }

  /// A replica of a snapshot that is taken while rows are written to a table of this round.
  void seed(int round, const std::string& how) {
    restart_safety_limit();
    tables_.push_back("test.round" + std::to_string(round));
    primary_->connect().query("CREATE TABLE " + tables_.back() + " (id BIGINT PRIMARY KEY, text VARCHAR(200))");
    TableWriter writer(*primary_, tables_.back());
    sleep_for(Milliseconds(100));
    expect(0, {"pre-script", "--timeout", "30"});
    const std::string copy = copy_image(*data_, "seed" + std::to_string(round));
    expect(0, {"post-script"});
    const long acknowledged = writer.acknowledged();

    std::filesystem::create_directories("/srv/replica");
    run_tool({"mount", "-o", "loop", copy, "/srv/replica"});
    if (!is_mariadb()) run_page(" data");
    Server& replica = start_server({.name = "replica", .data = "/srv/replica/data", .options = page_options()});
    run_page(" " + how);
    sleep_for(Milliseconds(200));
    writer.stop();
    EXPECT_GT(writer.acknowledged(), acknowledged) << "there was no load";
    expect_the_same(replica, writer);
    servers_.pop_back();
    run_tool({"umount", "/srv/replica"});
    std::filesystem::remove(copy);
  }

  void expect_the_same(const Server& replica, const TableWriter& writer) const {
    Client there = replica.connect();
    Client here = primary_->connect();
    const std::string count = "SELECT COUNT(*) FROM " + writer.table();
    const std::string rows = std::to_string(writer.acknowledged());
    ASSERT_TRUE(eventually([&] { return there.value(count) == rows; }, seconds(20)))
        << there.value(count) << " of " << rows << '\n'
        << read_text(replica.error_log());
    for (const std::string& table : tables_)
      EXPECT_EQ(there.query("CHECKSUM TABLE " + table), here.query("CHECKSUM TABLE " + table));
    EXPECT_NE(there.value("SELECT @@server_id"), here.value("SELECT @@server_id"));
  }

  const int port_ = free_port();
  Filesystem* data_ = nullptr;
  Server* primary_ = nullptr;
  std::vector<std::string> tables_;
};

TEST_F(MysqlSeeding, MakesAReplicaThatCatchesUp) {
  const int rounds = is_thorough() ? 10 : 1;
  for (int round = 0; round < rounds; ++round) {
    for (const char* how : {"gtid", "position"}) {
      SCOPED_TRACE(testing::Message() << "round " << round << ", by " << how);
      seed(2 * round + (how == std::string("gtid") ? 0 : 1), how);
      if (HasFatalFailure()) return;
    }
  }
}

}  // namespace
}  // namespace dlm_freeze::integration
