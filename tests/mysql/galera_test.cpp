// SPDX-License-Identifier: Apache-2.0
// A node of Galera: a real one, alone in its cluster.
#include <gmock/gmock.h>
#include <signal.h>

#include <exception>
#include <filesystem>
#include <memory>
#include <vector>

#include "mysql_test.hpp"

namespace dlm_freeze::integration {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kProvider = "/usr/lib/galera/libgalera_smm.so";

class MysqlGalera : public MysqlTest {
 protected:
  void SetUp() override {
    MysqlTest::SetUp();
    if (IsSkipped()) return;
    if (!is_mariadb()) GTEST_SKIP() << "Oracle's server is no node of Galera";
    ASSERT_TRUE(std::filesystem::exists(kProvider)) << "there is no galera-4: scripts/install-deps test";
    const std::string port = std::to_string(free_port());
    node_ = &start_server(
        {.options = {"--wsrep-on=ON", std::string("--wsrep-provider=") + kProvider, "--wsrep-cluster-address=gcomm://",
                     "--binlog-format=ROW", "--innodb-autoinc-lock-mode=2", "--wsrep-node-address=127.0.0.1:" + port,
                     "--wsrep-provider-options=gcache.size=8M", "--wsrep-sync-wait=15", "--max-connections=20"}});
    configure_mysql();
    client_.emplace(node_->connect());
    client_->query("SET SESSION wsrep_sync_wait = 0");
    ASSERT_TRUE(eventually([&] { return status("wsrep_ready") == "ON"; }, seconds(10)));
  }
  void TearDown() override {
    client_.reset();
    MysqlTest::TearDown();
  }

  std::string status(const std::string& name) { return client_->query("SHOW STATUS LIKE '" + name + "'").at(0).at(1); }
  bool is_desynced() { return client_->value("SELECT @@GLOBAL.wsrep_desync") == "1"; }
  bool comes_to(const std::string& state) {
    return eventually([&] { return status("wsrep_local_state_comment") == state; }, seconds(5));
  }

  /// Until the server refuses another one, even to whoever may use the one that it keeps in reserve.
  [[nodiscard]] std::vector<std::unique_ptr<Client>> take_all_connections() const {
    std::vector<std::unique_ptr<Client>> all;
    try {
      for (int i = 0; i < 200; ++i) all.push_back(std::make_unique<Client>(node_->connect()));
      ADD_FAILURE() << "there is no limit";
    } catch (const std::exception&) {
    }
    return all;
  }

  Server* node_ = nullptr;
  std::optional<Client> client_;
};

TEST_F(MysqlGalera, IsDesyncedWhileItIsHeld) {
  for (const std::string lock : {"auto", "flush_tables"}) {
    configure_mysql({{"lock", lock}});
    expect(0, {"dry-run", "--probe"});
    EXPECT_FALSE(is_desynced());
    expect(0, {"pre-script"});
    EXPECT_TRUE(is_desynced());
    EXPECT_TRUE(comes_to("Donor/Desynced"));
    EXPECT_EQ(fact("galera_desynced"), "true");
    expect(0, {"post-script"});
    EXPECT_FALSE(is_desynced());
    EXPECT_TRUE(comes_to("Synced"));
    expect_nothing_left(*node_);
  }

  // Also where nothing comes of it.
  auto failing = entry(*node_, "db1");
  configure(nlohmann::json{
      {"quiescers",
       {failing, {{"type", "command"}, {"name", "no"}, {"freeze", {"/bin/false"}}, {"thaw", {"/bin/true"}}}}}}
                .dump());
  expect(201, {"pre-script"});
  EXPECT_FALSE(is_desynced());
  EXPECT_TRUE(comes_to("Synced"));
}

TEST_F(MysqlGalera, IsLeftAsItIsWhereAnotherProgramHasDesyncedIt) {
  client_->query("SET GLOBAL wsrep_desync = ON");
  ASSERT_TRUE(comes_to("Donor/Desynced"));
  for (const auto& command : std::vector<std::vector<std::string>>{{"dry-run", "--probe"}, {"pre-script"}})
    EXPECT_THAT(expect(0, command).out, HasSubstr("this node of Galera is Donor/Desynced already, and stays so"));
  expect(0, {"post-script"});
  EXPECT_TRUE(is_desynced());
  client_->query("SET GLOBAL wsrep_desync = OFF");
  ASSERT_TRUE(comes_to("Synced"));

  // An account that may not: the lock is the same.
  client_->query("CREATE USER 'limited'@'localhost' IDENTIFIED BY ''");
  client_->query("GRANT RELOAD, PROCESS, BINLOG MONITOR, SLAVE MONITOR ON *.* TO 'limited'@'localhost'");
  configure_mysql({{"user", "limited"}});
  for (const auto& command : std::vector<std::vector<std::string>>{{"dry-run", "--probe"}, {"pre-script"}})
    EXPECT_THAT(expect(0, command).out, HasSubstr("the account may not desync this node of Galera"));
  EXPECT_EQ(fact("galera_desynced"), "");
  expect(0, {"post-script"});
}

TEST_F(MysqlGalera, IsPutBackWhateverDies) {
  expect(0, {"pre-script"});
  EXPECT_TRUE(process("dlm-watchdog").signal(SIGKILL));
  EXPECT_TRUE(all_gone(seconds(3)));
  EXPECT_FALSE(is_desynced());
  expect(202, {"post-script"});

  expect(0, {"pre-script"});
  kill_at_once(processes());
  EXPECT_TRUE(all_gone());
  EXPECT_TRUE(is_desynced());
  expect(202, {"post-script"});
  EXPECT_FALSE(is_desynced());
  EXPECT_TRUE(comes_to("Synced"));
  expect_nothing_left(*node_);
}

TEST_F(MysqlGalera, IsPutBackByTheSessionThatIsThereWhenNoOtherIsAccepted) {
  expect(0, {"pre-script"});
  EXPECT_TRUE(is_desynced());
  {
    const auto all = take_all_connections();
    expect(0, {"post-script"});
    EXPECT_FALSE(is_desynced());
  }
  EXPECT_TRUE(comes_to("Synced"));

  // Where nobody is left who has one.
  expect(0, {"pre-script"});
  kill_at_once(processes());
  EXPECT_TRUE(all_gone());
  {
    const auto all = take_all_connections();
    EXPECT_THAT(expect(202, {"post-script"}).text(),
                HasSubstr("the node of Galera was desynced and cannot be put back: cannot log in"));
    EXPECT_TRUE(is_desynced());
  }
  expect(202, {"post-script"});
  EXPECT_FALSE(is_desynced());
  EXPECT_TRUE(comes_to("Synced"));
}

TEST_F(MysqlGalera, IsDeniedWhenItIsCutOffFromItsCluster) {
  client_->query("SET GLOBAL wsrep_cluster_address = ''");
  ASSERT_TRUE(eventually([&] { return status("wsrep_ready") == "OFF"; }, seconds(10)));
  for (const std::string sync_wait : {"15", "0"}) {
    client_->query("SET GLOBAL wsrep_sync_wait = " + sync_wait);
    expect_refused(206, "try again when the node is synced");
  }
}

}  // namespace
}  // namespace dlm_freeze::integration
