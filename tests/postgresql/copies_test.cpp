// SPDX-License-Identifier: Apache-2.0
// Copies of the frozen devices, started as servers: what a restore of the snapshots would find.
#include <gmock/gmock.h>
#include <sys/mount.h>

#include <array>
#include <filesystem>
#include <memory>
#include <ostream>
#include <utility>

#include "postgresql/postgresql_test.hpp"
#include "postgresql/workload.hpp"
#include "rounds.hpp"

namespace dlm_freeze::integration {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;

constexpr std::array<const char*, 3> kParts = {"data", "wal", "space"};
constexpr const char* kCopy = "/srv/copy/";

struct Case {
  const char* name;
  const char* filesystem;
  bool standby;
};

void PrintTo(const Case& parameter, std::ostream* out) { *out << parameter.name; }

class Copies : public PostgresqlTest, public testing::WithParamInterface<Case> {
 protected:
  void SetUp() override {
    PostgresqlTest::SetUp();
    if (IsSkipped()) return;
    for (const char* part : kParts) {
      volumes_.push_back(&add_volume(std::string("/srv/") + part, GetParam().filesystem));
    }
    configure_postgresql();
  }

  void make_directory(const std::string& path) {
    run_tool({"install", "-d", "-m", "0700", "-o", std::to_string(installation().user), path});
  }

  /// The cluster that is frozen: data on one volume, WAL on a second, a tablespace on a third.
  void make_cluster() {
    const ClusterSpec frozen{.data = "/srv/data/main",
                             .wal = "/srv/wal/main",
                             .settings = {"shared_buffers=32MB"},
                             .log = "/srv/log/frozen.log"};
    if (!GetParam().standby) {
      Server& primary = add_server(frozen);
      make_directory("/srv/space/main");
      primary.sql("CREATE TABLESPACE space LOCATION '/srv/space/main'");
      Workload::prepare(primary, "space");
      writing_ = &primary;
      return;
    }
    Server& primary = add_server({.data = "/srv/primary/data", .sockets = "/srv/primary/run"});
    make_directory("/srv/primary/space");
    primary.sql("CREATE TABLESPACE space LOCATION '/srv/primary/space'");
    Workload::prepare(primary, "space");
    for (const char* part : kParts) make_directory(std::string("/srv/") + part + "/main");
    primary.tool("pg_basebackup", {"-D", "/srv/data/main", "--waldir=/srv/wal/main", "-T",
                                   "/srv/primary/space=/srv/space/main", "-R", "-c", "fast"});
    add_stopped_server(frozen).start();
    writing_ = &primary;
  }

  static std::string copy_of(const std::string& part) { return "/srv/images/copy-of-" + part; }

  void copy_images() {
    for (std::size_t i = 0; i < kParts.size(); ++i) {
      run_tool({"cp", "--sparse=always", volumes_[i]->image(), copy_of(kParts[i])});
    }
  }

  /// Mounts the copies elsewhere and mends the links, which a restore to the same place need not.
  void mount_copies() {
    for (const std::string part : kParts) {
      fs::create_directories(kCopy + part);
      const bool is_xfs = std::string(GetParam().filesystem) == "xfs";
      run_tool({"mount", "-o", is_xfs ? "loop,nouuid" : "loop", copy_of(part), kCopy + part});
    }
    const fs::path data = "/srv/copy/data/main";
    fs::remove(data / "pg_wal");
    fs::create_symlink("/srv/copy/wal/main", data / "pg_wal");
    std::vector<fs::path> links;
    for (const auto& entry : fs::directory_iterator(data / "pg_tblspc")) {
      links.push_back(entry.path());
    }
    for (const fs::path& link : links) {
      fs::remove(link);
      fs::create_symlink("/srv/copy/space/main", link);
    }
    fs::remove(data / "postmaster.pid");
    fs::remove(data / "standby.signal");
  }

  void unmount_copies() {
    for (const std::string part : kParts) {
      run_tool({"umount", kCopy + part});
      fs::remove(copy_of(part));
    }
  }

  std::vector<Filesystem*> volumes_;
  Server* writing_ = nullptr;
};

TEST_P(Copies, HoldEveryAcknowledgedCommitAndAreWhole) {
  make_cluster();
  const Workload workload(*writing_);
  for (int round = 0; round < rounds_or(1); ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    restart_safety_limit();
    // A standby's restartpoints are at its primary's checkpoints, and its copy replays all since the last one.
    if (GetParam().standby) writing_->sql("CHECKPOINT");
    const auto pre = expect(0, {"pre-script"});
    ASSERT_EQ(pre.exit_code, 0);
    const Workload::Counts acknowledged = workload.acknowledged();
    copy_images();
    const nlohmann::json held = facts();
    ASSERT_EQ(expect(0, {"post-script"}).exit_code, 0);
    EXPECT_TRUE(workload.goes_on());

    EXPECT_EQ(held.at("in_recovery"), GetParam().standby ? "true" : "false");
    EXPECT_TRUE(held.contains(GetParam().standby ? "replay_lsn" : "current_lsn")) << held;
    EXPECT_EQ(held.at("mode"), "checkpoint");
    mount_copies();
    {
      Server copy(installation(), {.data = "/srv/copy/data/main",
                                   .sockets = "/srv/copy/run",
                                   .settings = {"shared_buffers=32MB"},
                                   .log = "/srv/copy/log" + std::to_string(round)});
      copy.start();
      const Workload::Counts stored = Workload::stored(copy);
      for (std::size_t i = 0; i < Workload::kWriters; ++i) {
        EXPECT_GT(stored[i], 0);
        // A standby has what has arrived there; only a primary promises.
        if (!GetParam().standby) {
          EXPECT_GE(stored[i], acknowledged[i]) << "writer " << i << " lost commits";
        }
      }
      EXPECT_THAT(copy.log(), HasSubstr("redo starts at " + held.at("redo_lsn").get<std::string>()));
      EXPECT_THAT(copy.log(), Not(HasSubstr("PANIC")));
      copy.check_and_stop();
    }
    unmount_copies();
  }
}

INSTANTIATE_TEST_SUITE_P(Of, Copies,
                         testing::Values(Case{"PrimaryOnExt4", "ext4", false}, Case{"PrimaryOnXfs", "xfs", false},
                                         Case{"StandbyOnExt4", "ext4", true}, Case{"StandbyOnXfs", "xfs", true}),
                         [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace dlm_freeze::integration
