// SPDX-License-Identifier: Apache-2.0
// A server in namespaces of its own, as in a container: found, locked, held and released from the host.
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <filesystem>
#include <memory>
#include <ostream>
#include <string>

#include "harness/disturbed_session.hpp"
#include "harness/loop_device.hpp"
#include "harness/mounts.hpp"
#include "mysql_test.hpp"
#include "rounds.hpp"

namespace dlm_freeze::integration {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;
using testing::Not;

/// How a container is kept apart.
struct Kind {
  const char* name;
  bool user_namespace;
  bool own_volume;  ///< The data lie on a filesystem that nobody else has mounted.
};

void PrintTo(const Kind& kind, std::ostream* out) { *out << kind.name; }

class MysqlContainer : public MysqlTest {
 protected:
  void SetUp() override {
    MysqlTest::SetUp();
    if (!IsSkipped()) std::filesystem::create_directories("/srv/own");
  }

  Server& start_contained(const Kind& kind, const std::string& binary_log = "") {
    const std::string at = own_place() + "/mysql";
    volume_ = &add({.type = "ext4", .mount_point = at, .size = kDataSize});
    ContainerSpec container{.own_directory = "/srv/own", .user_namespace = kind.user_namespace};
    if (kind.own_volume) {
      container.host_owns_mounts = kind.user_namespace;
      container.volumes = {{volume_->device(), "ext4", at}};
    }
    Server& server = add_server({.data = at + "/data", .binary_log = binary_log, .container = container});
    if (kind.own_volume) unmount_lazily(at);
    server.start();
    return server;
  }
  Server& start_contained() { return start_contained(Kind{"", false, false}); }

  /// One entry, for the container of that server.
  void configure_container(const Server& server, const nlohmann::json& more = nlohmann::json::object()) const {
    nlohmann::json one = {{"type", "mysql"}, {"name", "db1"}, {"container", "pid:" + std::to_string(server.pid())}};
    one.update(more);
    const std::string filesystems = R"({"other_namespaces": "freeze", "include": [")" + own_place() + R"(/*"]})";
    configure(R"({"auto_thaw_seconds": 30, "filesystems": )" + filesystems + ", \"quiescers\": [" + one.dump() + "]}");
  }

  [[nodiscard]] static std::string root_of(const Server& server) {
    return "/proc/" + std::to_string(server.pid()) + "/root";
  }

  Filesystem* volume_ = nullptr;
};

class MysqlContainers : public MysqlContainer, public testing::WithParamInterface<Kind> {};

TEST_P(MysqlContainers, AreLockedHeldAndReleasedAndNothingIsLost) {
  Server& server = start_contained(GetParam());
  const auto tables = make_tables(server);
  for (int round = 0; round < rounds_or(1) && !HasFailure(); ++round) {
    SCOPED_TRACE(round);
    restart_safety_limit();
    configure_container(server);
    std::vector<std::unique_ptr<TableWriter>> writers;
    Client client = server.connect();
    for (const auto& table : tables) client.query("TRUNCATE " + table);
    for (const auto& table : tables) writers.push_back(std::make_unique<TableWriter>(server, table));
    ASSERT_TRUE(eventually([&] { return writers.front()->acknowledged() > 100; }, seconds(20)));

    const std::string place = root_of(server) + volume_->mount_point() + "/data";
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
  server.signal(SIGKILL);  // It may be about to write: then it ends as soon as its volume is thawed.
  const auto post = expect(202, {"post-script"});
  EXPECT_THAT(post.err, HasSubstr("db1"));
  EXPECT_FALSE(frozen(*volume_));
  EXPECT_TRUE(all_gone());
}

INSTANTIATE_TEST_SUITE_P(Root, MysqlContainers,
                         testing::Values(Kind{"OfTheHost", false, false}, Kind{"InAUserNamespace", true, false},
                                         Kind{"OfTheHostWithAVolumeOfItsOwn", false, true},
                                         Kind{"InAUserNamespaceWithAVolumeOfItsOwn", true, true}),
                         [](const auto& test) { return std::string(test.param.name); });

TEST_F(MysqlContainer, ThatIsStoppedWhileHeldIsThawedInTimeAndHasNoLockWhenItGoesOn) {
  Server& server = start_contained();
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

/// A volume that the host has given away to a mount namespace whose root is another one's.
TEST_F(MysqlContainer, WhoseVolumeAUserNamespaceOwnsIsSaidNotToBeFrozen) {
  Server& server = start_contained(Kind{"", true, false});
  unmount_lazily(volume_->mount_point());
  configure_container(server);
  for (const auto& command : std::vector<std::vector<std::string>>{{"dry-run"}, {"dry-run", "--probe"}, {"pre-script"}})
    EXPECT_THAT(expect(0, command).out,
                testing::AllOf(HasSubstr("WARN: db1: not frozen: data " + root_of(server) + volume_->mount_point()),
                               HasSubstr("it belongs to a user namespace")));
  EXPECT_FALSE(frozen(*volume_));
  expect(0, {"post-script"});
  expect_nothing_left(server);
}

/// Something happens to the container at one moment of a session after another.
class MysqlContainerThatIs : public MysqlContainer, public testing::WithParamInterface<ContainerEvent> {
 protected:
  static void happen_to(Server& server) {
    if (GetParam() == ContainerEvent::stopped) return server.signal(SIGSTOP);
    server.kill();
    if (GetParam() == ContainerEvent::restarted) server.launch();
  }

  /// As it was before.
  static void mend(Server& server) {
    if (GetParam() == ContainerEvent::stopped) return server.signal(SIGCONT);
    if (GetParam() == ContainerEvent::restarted) server.kill();
    server.start();
  }
};

TEST_P(MysqlContainerThatIs, BesideASessionLeavesNothingFrozenAndNoLock) {
  Server& server = start_contained(Kind{"", false, true});
  configure_container(server);
  const auto begin = Clock::now();
  expect(0, {"pre-script"});
  expect(0, {"post-script"});
  const auto usual = Clock::now() - begin + Milliseconds(100);
  const int count = moments_of(3, 24);
  for (int number = 0; number < count && !HasFailure(); ++number) {
    restart_safety_limit();
    configure_container(server);
    const bool until_deadline = number % 3 == 2;
    const auto session = disturbed_session(
        [&](const std::string& command) {
          std::vector<std::string> words = {command, "--timeout", "3"};
          if (command == "pre-script") words.insert(words.end(), {"--auto-thaw", "3"});
          return run(words);
        },
        [&] { return frozen(*volume_); }, until_deadline, usual * (2 * number + 1) / (2 * count),
        [&] { happen_to(server); });
    SCOPED_TRACE("moment " + std::to_string(number) + ": " + session.text());
    EXPECT_THAT(session.pre.exit_code, testing::AnyOf(0, 201, 206));
    EXPECT_TRUE(writable(*volume_));
    // The release waits for a server that is stopped.
    if (GetParam() == ContainerEvent::stopped) mend(server);
    EXPECT_TRUE(all_gone(seconds(10)));
    if (session.post) {
      EXPECT_TRUE(session.was_held);
      EXPECT_THAT(session.post->exit_code,
                  until_deadline ? testing::AnyOf(202, 203) : testing::AnyOf(session.before_post ? 202 : 0, 202));
    }
    mend(server);
    configure_container(server);
    expect_nothing_left(server);
    expect(0, {"pre-script"});
    EXPECT_TRUE(frozen(*volume_));
    expect(0, {"post-script"});
    expect_nothing_left(server);
  }
}

INSTANTIATE_TEST_SUITE_P(Ever, MysqlContainerThatIs,
                         testing::Values(ContainerEvent::killed, ContainerEvent::stopped, ContainerEvent::restarted),
                         [](const auto& test) { return to_string(test.param); });

TEST_F(MysqlContainer, IsDetectedAndNamedWithoutALogin) {
  Server& server = start_contained();
  configure(R"({"auto_thaw_seconds": 20})");
  const auto plan = expect(0, {"dry-run", "--all"});
  const std::string name = "mysql in process " + std::to_string(server.pid());
  EXPECT_THAT(plan.out, HasSubstr(name));
  EXPECT_THAT(plan.out, testing::ContainsRegex(name + " +mysql +found +data +" + root_of(server) + own_place() +
                                               "/mysql/data +yes"));
  EXPECT_THAT(read_text(server.error_log()), Not(HasSubstr("Aborted connection")));
  configure(kDetection);
  EXPECT_THAT(expect(0, {"dry-run"}).out, Not(HasSubstr(name)));
}

TEST_F(MysqlContainer, WhoseDataLieElsewhereIsSaidToBeFrozenInPart) {
  Server& server = start_contained(Kind{"", false, false}, "/srv/binlog");
  configure_container(server);
  for (const auto& command : std::vector<std::vector<std::string>>{{"dry-run"}, {"dry-run", "--probe"}, {"pre-script"}})
    EXPECT_THAT(expect(0, command).out, testing::ContainsRegex("WARN: db1: not frozen: (binary log|open files) " +
                                                               root_of(server) + "/srv/binlog on /srv "));
  expect(0, {"post-script"});
}

TEST_F(MysqlContainer, ThatWantsAPasswordGetsItFromThisHostsFileAlone) {
  Server& server = start_contained();
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
