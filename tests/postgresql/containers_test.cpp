// SPDX-License-Identifier: Apache-2.0
// A cluster in namespaces of its own, as in a container: found, checkpointed, frozen and released from the host.
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/stat.h>

#include <cstdint>
#include <filesystem>
#include <ostream>
#include <string>
#include <vector>

#include "integration/harness/disturbed_session.hpp"
#include "integration/harness/mounts.hpp"
#include "postgresql/postgresql_test.hpp"
#include "postgresql/workload.hpp"
#include "rounds.hpp"

namespace dlm_freeze::integration {
namespace {

namespace fs = std::filesystem;
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

class PostgresqlContainer : public PostgresqlTest {
 protected:
  void SetUp() override {
    PostgresqlTest::SetUp();
    if (IsSkipped()) return;
    if (installation().root != "/") GTEST_SKIP() << "a version in a directory to chroot into runs in no container";
    fs::create_directories("/srv/own");
    constexpr std::uint64_t kSize = std::uint64_t{400} << 20;  // Copied while it is held.
    volume_ = &add(FilesystemSpec{.type = "ext4", .mount_point = own_place() + "/data", .size = kSize});
  }

  Server& add_contained(const Kind& kind) {
    ContainerSpec container{.own_directory = "/srv/own", .user_namespace = kind.user_namespace};
    if (kind.own_volume) {
      container.host_owns_mounts = kind.user_namespace;
      container.volumes = {{volume_->device(), "ext4", volume_->mount_point()}};
    }
    Server& server = add_stopped_server({.data = data(), .container = container});
    server.create();
    if (kind.own_volume) unmount_lazily(volume_->mount_point());
    server.start();
    return server;
  }
  Server& add_contained() { return add_contained(Kind{"", false, false}); }

  [[nodiscard]] static std::string data() { return own_place() + "/data/main"; }

  void configure_container(const Server& server, const std::string& more = "") const {
    configure(R"({"auto_thaw_seconds": 20, "filesystems": {"other_namespaces": "freeze", "include": [")" + own_place() +
              R"(/*"]}, "quiescers": [{"type": "postgresql", "name": "pg", "container": "pid:)" +
              std::to_string(server.pid()) + "\"" + (more.empty() ? "" : ", " + more) + "}]}");
  }

  [[nodiscard]] static std::string root_of(const Server& server) {
    return "/proc/" + std::to_string(server.pid()) + "/root";
  }

  Filesystem* volume_ = nullptr;
};

class PostgresqlContainers : public PostgresqlContainer, public testing::WithParamInterface<Kind> {};

TEST_P(PostgresqlContainers, AreCheckpointedAndFrozenAndNothingIsLost) {
  Server& server = add_contained(GetParam());
  Workload::prepare(server);
  configure_container(server);
  for (int round = 0; round < rounds_or(1) && !HasFailure(); ++round) {
    SCOPED_TRACE(round);
    restart_safety_limit();
    Workload::Counts before{};
    {
      const Workload workload(server);
      EXPECT_THAT(expect(0, {"dry-run", "--all", "--probe"}).out, HasSubstr("probe of pg: ready"));
      const auto pre = expect(0, {"pre-script"});
      EXPECT_THAT(pre.out, Not(HasSubstr("WARN: pg:")));
      EXPECT_EQ(facts().at("mode"), "checkpoint");
      EXPECT_EQ(facts().at("data_directory"), root_of(server) + data());
      EXPECT_TRUE(frozen(*volume_));
      before = workload.acknowledged();
      run_tool({"cp", "--sparse=always", volume_->image(), "/srv/data.copy"});
      expect(0, {"post-script"});
      EXPECT_TRUE(workload.goes_on());
      EXPECT_EQ(server.our_sessions(), 0);
    }
    // What the snapshot has, as a server on the host finds it.
    fs::create_directories("/srv/restored");
    run_tool({"mount", "-o", "loop", "/srv/data.copy", "/srv/restored"});
    run_tool({"chown", "-R", std::to_string(installation().user), "/srv/restored/main"});
    fs::remove("/srv/restored/main/postmaster.pid");
    {
      Server restored(installation(), {.data = "/srv/restored/main", .port = 5433});
      restored.start();
      const Workload::Counts stored = Workload::stored(restored);
      for (std::size_t i = 0; i < stored.size(); ++i) {
        EXPECT_GE(stored[i], before[i]) << "acknowledged and lost";
        EXPECT_LE(stored[i], before[i] + 1);
      }
      restored.stop();
    }
    run_tool({"umount", "/srv/restored"});
  }
}

TEST_P(PostgresqlContainers, ThatDieWhileFrozenAreThawed) {
  Server& server = add_contained(GetParam());
  configure_container(server);
  expect(0, {"pre-script"});
  server.signal(SIGKILL);
  // What is held is the freeze: the copy is as consistent as before.
  expect(0, {"post-script"});
  EXPECT_FALSE(frozen(*volume_));
  EXPECT_TRUE(all_gone());
}

INSTANTIATE_TEST_SUITE_P(Root, PostgresqlContainers,
                         testing::Values(Kind{"OfTheHost", false, false}, Kind{"InAUserNamespace", true, false},
                                         Kind{"OfTheHostWithAVolumeOfItsOwn", false, true},
                                         Kind{"InAUserNamespaceWithAVolumeOfItsOwn", true, true}),
                         [](const auto& test) { return std::string(test.param.name); });

/// Something happens to the container at one moment of a session after another.
class PostgresqlContainerThatIs : public PostgresqlContainer, public testing::WithParamInterface<ContainerEvent> {
 protected:
  static void happen_to(Server& server) {
    if (GetParam() == ContainerEvent::stopped) return server.signal(SIGSTOP);
    server.kill_container();
    if (GetParam() == ContainerEvent::restarted) server.launch();
  }

  /// As it was before.
  static void mend(Server& server) {
    if (GetParam() == ContainerEvent::stopped) return server.signal(SIGCONT);
    if (GetParam() == ContainerEvent::restarted) server.kill_container();
    server.start();
  }
};

TEST_P(PostgresqlContainerThatIs, BesideASessionLeavesNothingFrozen) {
  Server& server = add_contained(Kind{"", false, true});
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
    EXPECT_TRUE(all_gone(seconds(10)));
    if (session.post) {
      // What is held is the freeze, which the server's end does not touch.
      EXPECT_TRUE(session.was_held);
      EXPECT_EQ(session.post->exit_code, until_deadline ? 203 : 0);
    }
    mend(server);
    configure_container(server);
    expect(0, {"pre-script"});
    EXPECT_TRUE(frozen(*volume_));
    expect(0, {"post-script"});
    EXPECT_EQ(server.our_sessions(), 0);
  }
}

INSTANTIATE_TEST_SUITE_P(Ever, PostgresqlContainerThatIs,
                         testing::Values(ContainerEvent::killed, ContainerEvent::stopped, ContainerEvent::restarted),
                         [](const auto& test) { return to_string(test.param); });

/// A volume that the host has given away to a mount namespace whose root is another one's.
TEST_F(PostgresqlContainer, WhoseVolumeAUserNamespaceOwnsIsSaidNotToBeFrozen) {
  Server& server = add_contained(Kind{"", true, false});
  unmount_lazily(volume_->mount_point());
  configure_container(server);
  for (const auto& command : std::vector<std::vector<std::string>>{{"dry-run"}, {"dry-run", "--probe"}, {"pre-script"}})
    EXPECT_THAT(expect(0, command).out,
                testing::AllOf(HasSubstr("WARN: pg: not frozen: data " + root_of(server) + data()),
                               HasSubstr("it belongs to a user namespace")));
  EXPECT_FALSE(frozen(*volume_));
  expect(0, {"post-script"});
}

TEST_F(PostgresqlContainer, IsDetectedAndNamedWithoutALogin) {
  Server& server = add_contained();
  configure(R"({"auto_thaw_seconds": 20})");
  const auto plan = expect(0, {"dry-run", "--all"});
  const std::string name = "postgresql in process " + std::to_string(server.pid());
  EXPECT_THAT(plan.out,
              testing::ContainsRegex(name + " +postgresql +found +data +" + root_of(server) + data() + " +yes"));
  EXPECT_THAT(plan.out,
              testing::ContainsRegex(name + " +postgresql +found +WAL +" + root_of(server) + data() + "/pg_wal +yes"));
  configure(kDetection);
  EXPECT_THAT(expect(0, {"dry-run"}).out, Not(HasSubstr(name)));
}

TEST_F(PostgresqlContainer, WhoseTablespaceLiesElsewhereIsSaidToBeFrozenInPart) {
  Server& server = add_contained();
  run_tool({"install", "-d", "-o", std::to_string(installation().user), "/srv/space"});
  server.sql("CREATE TABLESPACE space LOCATION '/srv/space'");
  configure_container(server);
  const std::string expected = "WARN: pg: not frozen: tablespace [0-9]+ " + root_of(server) + "/srv/space on /srv ";
  for (const auto& command : std::vector<std::vector<std::string>>{{"dry-run"}, {"dry-run", "--probe"}, {"pre-script"}})
    EXPECT_THAT(expect(0, command).out, testing::ContainsRegex(expected));
  EXPECT_EQ(facts().at("mode"), "checkpoint");
  expect(0, {"post-script"});
  configure_container(server, R"("mode": "backup")");
  expect_refused(206, "mode backup is not for a server in a container");
}

TEST_F(PostgresqlContainer, ThatWantsAPasswordGetsItFromThisHostsFileAlone) {
  Server& server = add_contained();
  server.sql("ALTER ROLE postgres PASSWORD 'correct horse'");
  write_text(data() + "/pg_hba.conf", "local all all scram-sha-256\n");
  server.signal(SIGHUP);
  configure_container(server);
  ASSERT_TRUE(eventually([&] { return run({"dry-run", "--probe"}).exit_code == 206; }, seconds(5)));
  const auto refused = expect_refused(206, "no password supplied");
  EXPECT_THAT(refused.err, HasSubstr(R"(or configure {"type": "postgresql", "container": "pid:)"));
  write_text("/srv/etc/passfile", "*:*:*:postgres:correct horse\n");
  check(::chmod("/srv/etc/passfile", 0600), "chmod");
  configure_container(server, R"("conninfo": "passfile=/srv/etc/passfile")");
  expect(0, {"pre-script"});
  EXPECT_TRUE(frozen(*volume_));
  expect(0, {"post-script"});
}

TEST_F(PostgresqlContainer, ThatIsStoppedIsNotReadyWithinTheBudget) {
  Server& server = add_contained();
  configure_container(server);
  server.signal(SIGSTOP);
  const auto pre = expect_refused(206, "cannot log in", {"--timeout", "2"});
  EXPECT_LT(pre.run_time(), seconds(3));
  server.signal(SIGCONT);
  EXPECT_TRUE(all_gone());
}

TEST_F(PostgresqlContainer, ThatIsNotThereIsAbsent) {
  configure_postgresql(R"("name": "pg", "container": "0123456789ab")");
  expect_refused(206, "pg is required and does not run: no postgres or postmaster runs in the container 0123456789ab");
}

}  // namespace
}  // namespace dlm_freeze::integration
