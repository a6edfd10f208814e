// SPDX-License-Identifier: Apache-2.0
// A server in namespaces of its own, as in a container: found, locked, held and released from the host.
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <memory>

#include "harness/loop_device.hpp"
#include "mysql_test.hpp"

namespace dlm_freeze::integration {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;
using testing::Not;

constexpr std::uint64_t kSize = std::uint64_t{400} << 20;

int rounds() {
  const char* const text = std::getenv("DLM_FREEZE_TEST_ROUNDS");
  return text != nullptr && *text != '\0' ? std::atoi(text) : 1;
}

class MysqlContainer : public MysqlTest {
 protected:
  void SetUp() override {
    MysqlTest::SetUp();
    if (!IsSkipped()) std::filesystem::create_directories("/srv/own");
  }

  Server& start_contained(bool user_namespace, const std::string& binary_log = "") {
    volume_ = &add({.type = "ext4", .mount_point = "/srv/mysql", .size = kSize});
    return start_server({.data = "/srv/mysql/data",
                         .binary_log = binary_log,
                         .container = ContainerSpec{.own_directory = "/srv/own", .user_namespace = user_namespace}});
  }

  /// One entry, for the container of that server.
  void configure_container(const Server& server, const nlohmann::json& more = nlohmann::json::object()) const {
    nlohmann::json one = {{"type", "mysql"}, {"name", "db1"}, {"container", "pid:" + std::to_string(server.pid())}};
    one.update(more);
    configure(nlohmann::json{{"auto_thaw_seconds", 30}, {"quiescers", nlohmann::json::array({one})}}.dump());
  }

  [[nodiscard]] static std::string root_of(const Server& server) {
    return "/proc/" + std::to_string(server.pid()) + "/root";
  }

  Filesystem* volume_ = nullptr;
};

class MysqlContainers : public MysqlContainer, public testing::WithParamInterface<bool> {};

TEST_P(MysqlContainers, AreLockedHeldAndReleasedAndNothingIsLost) {
  Server& server = start_contained(GetParam());
  const auto tables = make_tables(server);
  for (int round = 0; round < rounds(); ++round) {
    SCOPED_TRACE(round);
    restart_safety_limit();
    configure_container(server);
    std::vector<std::unique_ptr<TableWriter>> writers;
    Client client = server.connect();
    for (const auto& table : tables) client.query("TRUNCATE " + table);
    for (const auto& table : tables) writers.push_back(std::make_unique<TableWriter>(server, table));
    ASSERT_TRUE(eventually([&] { return writers.front()->acknowledged() > 100; }, seconds(20)));

    const std::string place = root_of(server) + "/srv/mysql/data";
    EXPECT_THAT(expect(0, {"dry-run", "--all", "--probe"}).out, HasSubstr("probe of db1: ready"));
    const auto pre = expect(0, {"pre-script"});
    EXPECT_THAT(pre.out, HasSubstr("INFO: db1: " + fact("version") + ", locked in "));
    EXPECT_THAT(pre.out, Not(HasSubstr("WARN: db1: not frozen: data ")));
    EXPECT_EQ(fact("directory of data"), place);
    EXPECT_TRUE(frozen(*volume_));
    const auto acknowledged = [&] {
      std::vector<long> rows;
      for (const auto& writer : writers) rows.push_back(writer->acknowledged());
      return rows;
    };
    const auto before = acknowledged();
    run_tool({"cp", "--sparse=always", volume_->image(), "/srv/data.copy"});
    EXPECT_EQ(acknowledged(), before) << "acknowledged while held";
    expect(0, {"post-script"});
    EXPECT_TRUE(eventually([&] { return acknowledged() != before; }, seconds(5))) << "the writers did not go on";
    for (const auto& writer : writers) writer->stop();
    expect_nothing_left(server);

    // What the snapshot has, as a server on the host finds it.
    const LoopDevice copy("/srv/data.copy", 0);
    std::filesystem::create_directories("/srv/restored");
    check(::mount(copy.path().c_str(), "/srv/restored", "ext4", 0, ""), "mount the copy");
    run_tool({"sh", "-c", "chown -R mysql:mysql /srv/restored/data"});
    {
      Server restored({.name = "restored", .data = "/srv/restored/data"});
      restored.start();
      Client reader = restored.connect();
      for (std::size_t i = 0; i < tables.size(); ++i) {
        EXPECT_EQ(reader.value("SELECT MAX(id) FROM " + tables[i]), std::to_string(before[i])) << tables[i];
        EXPECT_EQ(reader.value("SELECT COUNT(*) FROM " + tables[i]), std::to_string(before[i])) << tables[i];
      }
      restored.stop();
    }
    run_tool({"umount", "/srv/restored"});
  }
}

TEST_P(MysqlContainers, ThatDieWhileHeldAreSaidToBeLost) {
  Server& server = start_contained(GetParam());
  configure_container(server);
  expect(0, {"pre-script"});
  server.kill();
  const auto post = expect(202, {"post-script"});
  EXPECT_THAT(post.err, HasSubstr("db1"));
  EXPECT_FALSE(frozen(*volume_));
  EXPECT_TRUE(all_gone());
}

INSTANTIATE_TEST_SUITE_P(Root, MysqlContainers, testing::Values(false, true),
                         [](const auto& test) { return test.param ? "InAUserNamespace" : "OfTheHost"; });

TEST_F(MysqlContainer, ThatIsStoppedWhileHeldIsThawedInTimeAndHasNoLockWhenItGoesOn) {
  Server& server = start_contained(false);
  configure_container(server);
  expect(0, {"pre-script"});
  server.signal(SIGSTOP);
  const auto post = run({"post-script"});
  EXPECT_EQ(post.exit_code, 202) << post.text();
  EXPECT_FALSE(frozen(*volume_));
  server.signal(SIGCONT);
  EXPECT_TRUE(all_gone(seconds(10)));
  expect_nothing_left(server);
}

TEST_F(MysqlContainer, IsDetectedAndNamedWithoutALogin) {
  Server& server = start_contained(false);
  configure(R"({"auto_thaw_seconds": 20})");
  const auto plan = expect(0, {"dry-run", "--all"});
  const std::string name = "mysql in process " + std::to_string(server.pid());
  EXPECT_THAT(plan.out, HasSubstr(name));
  EXPECT_THAT(plan.out,
              testing::ContainsRegex(name + " +mysql +found +data +" + root_of(server) + "/srv/mysql/data +yes"));
  EXPECT_THAT(read_text(server.error_log()), Not(HasSubstr("Aborted connection")));
  configure(kDetection);
  EXPECT_THAT(expect(0, {"dry-run"}).out, Not(HasSubstr(name)));
}

TEST_F(MysqlContainer, WhoseDataLieElsewhereIsSaidToBeFrozenInPart) {
  Server& server = start_contained(false, "/srv/binlog");
  configure_container(server);
  for (const auto& command : std::vector<std::vector<std::string>>{{"dry-run"}, {"dry-run", "--probe"}, {"pre-script"}})
    EXPECT_THAT(expect(0, command).out, testing::ContainsRegex("WARN: db1: not frozen: (binary log|open files) " +
                                                               root_of(server) + "/srv/binlog on /srv "));
  expect(0, {"post-script"});
}

TEST_F(MysqlContainer, ThatWantsAPasswordGetsItFromThisHostsFileAlone) {
  Server& server = start_contained(false);
  server.connect().query("ALTER USER root@localhost IDENTIFIED BY 'correct horse'");
  configure_container(server);
  const auto refused = expect_refused(206, "Access denied");
  EXPECT_THAT(refused.err, HasSubstr(R"(or configure {"type": "mysql", "container": "pid:)"));
  EXPECT_THAT(refused.err, Not(HasSubstr("horse")));
  write_text("/srv/etc/password", "correct horse\n");
  check(::chmod("/srv/etc/password", 0600), "chmod");
  configure_container(server, {{"password_file", "/srv/etc/password"}});
  expect(0, {"pre-script"});
  EXPECT_TRUE(frozen(*volume_));
  expect(0, {"post-script"});
}

TEST_F(MysqlContainer, ThatIsNotThereIsAbsent) {
  configure(R"({"quiescers": [{"type": "mysql", "name": "db1", "container": "0123456789ab"}]})");
  expect_refused(206, "db1 is required and does not run: no mysqld or mariadbd runs in the container 0123456789ab");
  configure(R"({"quiescers": [{"type": "mysql", "container": "0123456789ab", "host": "127.0.0.1"}]})");
  EXPECT_THAT(expect(201, {"pre-script"}).err, HasSubstr("give either container or host"));
}

}  // namespace
}  // namespace dlm_freeze::integration
