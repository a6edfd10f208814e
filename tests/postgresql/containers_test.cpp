// SPDX-License-Identifier: Apache-2.0
// A cluster in namespaces of its own, as in a container: found, checkpointed, frozen and released from the host.
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/stat.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "postgresql/postgresql_test.hpp"
#include "postgresql/workload.hpp"

namespace dlm_freeze::integration {
namespace {

namespace fs = std::filesystem;
using std::chrono::seconds;
using testing::HasSubstr;
using testing::Not;

int rounds() {
  const char* const text = std::getenv("DLM_FREEZE_TEST_ROUNDS");
  return text != nullptr && *text != '\0' ? std::atoi(text) : 1;
}

class PostgresqlContainer : public PostgresqlTest {
 protected:
  void SetUp() override {
    PostgresqlTest::SetUp();
    if (IsSkipped()) return;
    if (installation().root != "/") GTEST_SKIP() << "a version in a directory to chroot into runs in no container";
    fs::create_directories("/srv/own");
    constexpr std::uint64_t kSize = std::uint64_t{400} << 20;  // Copied while it is held.
    volume_ = &add(FilesystemSpec{.type = "ext4", .mount_point = "/srv/data", .size = kSize});
  }

  Server& add_contained(bool user_namespace) {
    return add_server({.data = "/srv/data/main",
                       .container = ContainerSpec{.own_directory = "/srv/own", .user_namespace = user_namespace}});
  }

  void configure_container(const Server& server, const std::string& more = "") const {
    configure_postgresql(R"("name": "pg", "container": "pid:)" + std::to_string(server.pid()) + "\"" +
                         (more.empty() ? "" : ", " + more));
  }

  [[nodiscard]] static std::string root_of(const Server& server) {
    return "/proc/" + std::to_string(server.pid()) + "/root";
  }

  Filesystem* volume_ = nullptr;
};

class PostgresqlContainers : public PostgresqlContainer, public testing::WithParamInterface<bool> {};

TEST_P(PostgresqlContainers, AreCheckpointedAndFrozenAndNothingIsLost) {
  Server& server = add_contained(GetParam());
  Workload::prepare(server);
  configure_container(server);
  for (int round = 0; round < rounds(); ++round) {
    SCOPED_TRACE(round);
    restart_safety_limit();
    Workload::Counts before{};
    {
      const Workload workload(server);
      EXPECT_THAT(expect(0, {"dry-run", "--all", "--probe"}).out, HasSubstr("probe of pg: ready"));
      const auto pre = expect(0, {"pre-script"});
      EXPECT_THAT(pre.out, Not(HasSubstr("WARN: pg:")));
      EXPECT_EQ(facts().at("mode"), "checkpoint");
      EXPECT_EQ(facts().at("data_directory"), root_of(server) + "/srv/data/main");
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

INSTANTIATE_TEST_SUITE_P(Root, PostgresqlContainers, testing::Values(false, true),
                         [](const auto& test) { return test.param ? "InAUserNamespace" : "OfTheHost"; });

TEST_F(PostgresqlContainer, IsDetectedAndNamedWithoutALogin) {
  Server& server = add_contained(false);
  configure(R"({"auto_thaw_seconds": 20})");
  const auto plan = expect(0, {"dry-run", "--all"});
  const std::string name = "postgresql in process " + std::to_string(server.pid());
  EXPECT_THAT(plan.out,
              testing::ContainsRegex(name + " +postgresql +found +data +" + root_of(server) + "/srv/data/main +yes"));
  EXPECT_THAT(plan.out, testing::ContainsRegex(name + " +postgresql +found +WAL +" + root_of(server) +
                                               "/srv/data/main/pg_wal +yes"));
  configure(kDetection);
  EXPECT_THAT(expect(0, {"dry-run"}).out, Not(HasSubstr(name)));
}

TEST_F(PostgresqlContainer, WhoseTablespaceLiesElsewhereIsSaidToBeFrozenInPart) {
  Server& server = add_contained(false);
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
  Server& server = add_contained(false);
  server.sql("ALTER ROLE postgres PASSWORD 'correct horse'");
  write_text("/srv/data/main/pg_hba.conf", "local all all scram-sha-256\n");
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
  Server& server = add_contained(false);
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
