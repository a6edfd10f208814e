// SPDX-License-Identifier: Apache-2.0
// Filesystems that only another mount namespace has: frozen, thawed, and never the wrong ones. The program reaches out
// of the namespace of the test here, so every configuration names what may be frozen by paths that no other test has.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <linux/fs.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "harness/host_test.hpp"
#include "harness/namespace_keeper.hpp"

namespace dlm_freeze::integration {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class Elsewhere : public HostTest {
 protected:
  void SetUp() override {
    HostTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    place_ = own_place();
    data_ = &add("ext4", place_ + "/here");
    configure_with("\"other_namespaces\": \"freeze\"");
  }

  void configure_with(const std::string& more) const {
    configure(R"({"quiescers": [], "auto_thaw_seconds": 20, "filesystems": {"include": [")" + place_ + "/*\"], " +
              more + "}}");
  }

  /// A filesystem that is mounted in the namespace of a keeper alone, at that path.
  Filesystem& add_there(const std::string& type, const std::string& name) {
    return add({.type = type, .mount_point = place_ + "/" + name});
  }

  /// Makes the namespace, and takes from this one what was added for there.
  void part(const std::vector<const Filesystem*>& there) {
    keeper_.emplace();
    for (const Filesystem* filesystem : there) unmount_lazily(filesystem->mount_point());
  }

  void run_there(const std::string& command) const {
    run_tool({"nsenter", "-t", std::to_string(keeper_->pid()), "-m", "sh", "-c", command});
  }

  [[nodiscard]] nlohmann::json row_of(const std::string& mount_point) const {
    const auto json = nlohmann::json::parse(expect(0, {"dry-run", "--json"}).out, nullptr, false);
    for (const auto& mount : json["mounts"]) {
      if (mount["mount_point"] == mount_point) return mount;
    }
    return {};
  }

  /// Nothing but what is mounted here is frozen, and why.
  void expect_left_out(const Filesystem& there, const std::string& why) {
    const auto pre = expect(0, {"pre-script"});
    EXPECT_THAT(pre.out, AllOf(HasSubstr("WARN: " + there.mount_point()), HasSubstr(why)));
    EXPECT_TRUE(frozen(*data_)) << pre.text();
    EXPECT_TRUE(writable(there)) << pre.text();
    expect(0, {"post-script"});
  }

  std::string place_;
  const Filesystem* data_ = nullptr;
  std::optional<NamespaceKeeper> keeper_;
};

TEST_F(Elsewhere, AreFrozenAndThawed) {
  std::vector<const Filesystem*> there;
  for (const std::string type : {"ext4", "xfs", "btrfs"}) there.push_back(&add_there(type, type));
  part(there);
  for (int round = 0; round < 3; ++round) {
    const auto pre = expect(0, {"pre-script"});
    EXPECT_THAT(pre.out, AllOf(HasSubstr("froze 4 filesystems"), Not(HasSubstr("is not frozen"))));
    EXPECT_TRUE(frozen(*data_));
    for (const auto* filesystem : there) EXPECT_TRUE(frozen(*filesystem)) << filesystem->mount_point() << pre.text();
    EXPECT_THAT(expect(0, {"status"}).out,
                HasSubstr(place_ + "/ext4 (process " + std::to_string(keeper_->pid()) + ", "));
    const auto post = expect(0, {"post-script"});
    for (const auto* filesystem : there) EXPECT_TRUE(writable(*filesystem)) << filesystem->mount_point() << post.text();
    EXPECT_TRUE(writable(*data_));
  }
  for (const auto* filesystem : there) EXPECT_NE(::faccessat(filesystem->directory(), ".dlm-freeze", F_OK, 0), 0);
}

TEST_F(Elsewhere, AreToldByDryRunAndStatus) {
  const auto& there = add_there("xfs", "xfs");
  part({&there});
  const auto row = row_of(there.mount_point());
  EXPECT_EQ(row["verdict"], "freeze");
  EXPECT_EQ(row["elsewhere"]["process"], keeper_->pid());
  EXPECT_THAT(expect(0, {"dry-run", "--all"}).out, HasSubstr(there.mount_point() + " (process "));
  expect(0, {"pre-script"});
  const auto status = nlohmann::json::parse(expect(0, {"status", "--json"}).out, nullptr, false);
  std::string where;
  for (const auto& filesystem : status["session"]["filesystems"]) where += filesystem["where"];
  EXPECT_THAT(where, HasSubstr("process " + std::to_string(keeper_->pid())));
  expect(0, {"post-script"});
}

TEST_F(Elsewhere, AreHeldAndThawedWhenTheirContainerIsKilled) {
  const auto& ext4 = add_there("ext4", "ext4");
  const auto& xfs = add_there("xfs", "xfs");
  part({&ext4, &xfs});
  expect(0, {"pre-script"});
  keeper_.reset();
  EXPECT_TRUE(frozen(ext4));
  EXPECT_TRUE(frozen(xfs));
  expect(0, {"post-script"});
  EXPECT_TRUE(writable(ext4));
  EXPECT_TRUE(writable(xfs));
}

TEST_F(Elsewhere, AreThawedAtTheDeadlineWhenTheirContainerHasBeenStartedAgain) {
  const auto& there = add_there("ext4", "ext4");
  part({&there});
  expect(0, {"pre-script", "--auto-thaw", "2"});
  keeper_.reset();
  keeper_.emplace();
  run_there("mount " + there.device() + " " + there.mount_point());
  EXPECT_TRUE(frozen(there));
  EXPECT_TRUE(writable(there, std::chrono::seconds(10)));
  expect(203, {"post-script"});
}

TEST_F(Elsewhere, AreThawedAfterTheyWereUnmountedLazily) {
  const auto& there = add_there("xfs", "xfs");
  part({&there});
  expect(0, {"pre-script"});
  run_there("umount -l " + there.mount_point());
  EXPECT_TRUE(frozen(there));
  expect(0, {"post-script"});
  EXPECT_TRUE(writable(there));
}

TEST_F(Elsewhere, AreThawedFromTheRecordWhenAllProcessesWereKilled) {
  const auto& there = add_there("ext4", "ext4");
  part({&there});
  expect(0, {"pre-script"});
  kill_at_once(processes());
  EXPECT_TRUE(all_gone());
  EXPECT_TRUE(frozen(there));
  expect(202, {"post-script"});
  EXPECT_TRUE(writable(there));
}

TEST_F(Elsewhere, StayOnRecordWhenTheirContainerIsGoneTooUntilTheirDeviceIsMounted) {
  const auto& there = add_there("ext4", "ext4");
  part({&there});
  expect(0, {"pre-script"});
  kill_at_once(processes());
  EXPECT_TRUE(all_gone());
  keeper_.reset();
  EXPECT_THAT(expect(202, {"post-script"}).text(), HasSubstr("mount its device again"));
  EXPECT_TRUE(frozen(there));
  run_tool({"mount", there.device(), "/mnt"});
  expect(202, {"post-script"});
  run_tool({"umount", "/mnt"});
  EXPECT_TRUE(writable(there));
}

TEST_F(Elsewhere, AreFrozenBeforeTheFilesystemThatHoldsTheirImage) {
  const auto& outer = add_there("xfs", "outer");
  const auto& inner =
      add({.type = "ext4", .mount_point = place_ + "/inner", .image_directory = place_ + "/outer/images"});
  part({&inner, &outer});
  const auto pre = expect(0, {"pre-script"});
  EXPECT_TRUE(frozen(outer)) << pre.text();
  EXPECT_TRUE(frozen(inner)) << pre.text();
  expect(0, {"post-script"});
}

TEST_F(Elsewhere, AreLeftOutAsTheConfigurationSays) {
  const auto& there = add_there("ext4", "there");
  part({&there});
  configure_with("\"other_namespaces\": \"warn\"");
  expect_left_out(there, "mounted only in another mount namespace: that of process");
  configure_with("\"other_namespaces\": \"ignore\"");
  EXPECT_EQ(row_of(there.mount_point())["reason"], "ignored");
  const auto ignored = expect(0, {"pre-script"});
  EXPECT_THAT(ignored.out, AllOf(HasSubstr("the configuration leaves it out: "),  // It may be one of "and 9 more".
                                 Not(HasSubstr("WARN: " + there.mount_point()))));
  EXPECT_TRUE(writable(there));
  expect(0, {"post-script"});
  configure_with(R"("other_namespaces": "freeze", "exclude": [")" + there.mount_point() + "\"]");
  const auto excluded = expect(0, {"pre-script"});
  EXPECT_TRUE(writable(there)) << excluded.text();
  EXPECT_TRUE(frozen(*data_));
  EXPECT_THAT(excluded.out, Not(HasSubstr("match")));
  expect(0, {"post-script"});
}

TEST_F(Elsewhere, AreFrozenByDefaultInTheMountNamespaceOfTheHostsInitOnly) {
  const auto& there = add_there("ext4", "there");
  part({&there});
  configure_with("\"freeze\": true");
  expect_left_out(there, "dlm-freeze has a mount namespace of its own");
  // To the program, the test is process 1.
  bind_mount("/proc/" + std::to_string(::getpid()), "/proc/1");
  const auto pre = expect(0, {"pre-script"});
  EXPECT_TRUE(frozen(there)) << pre.text();
  expect(0, {"post-script"});
  unmount_lazily("/proc/1");
}

TEST_F(Elsewhere, AreNotWhatTheHostHasAsWell) {
  keeper_.emplace();
  fs::create_directories(place_ + "/root");
  run_there("mount --bind / " + place_ + "/root");
  const auto pre = expect(0, {"pre-script"});
  EXPECT_TRUE(frozen(*data_));
  EXPECT_THAT(pre.out, Not(HasSubstr(place_ + "/root")));
  expect(0, {"post-script"});
}

TEST_F(Elsewhere, AreNotOpenedWhereAUserNamespaceOwnsThem) {
  const auto& there = add_there("ext4", "there");
  // A mount namespace that root of a user namespace has made, which then sees what the host had.
  run_tool({"sh", "-c", "unshare --user --map-root-user --mount sleep 60 >/dev/null 2>&1 & echo $! >/srv/pid"});
  const pid_t rootless = std::atoi(read_text("/srv/pid").c_str());
  const auto own = fs::read_symlink("/proc/self/ns/mnt");
  const bool is_apart =
      eventually([&] { return fs::read_symlink("/proc/" + std::to_string(rootless) + "/ns/mnt") != own; },
                 std::chrono::seconds(5));
  if (!is_apart) GTEST_SKIP() << "no user namespace here";
  unmount_lazily(there.mount_point());
  expect_left_out(there, "it belongs to a user namespace");
  ::kill(rootless, SIGKILL);
}

TEST_F(Elsewhere, AreNotOpenedWhereAnotherMountHidesThem) {
  const auto& there = add_there("ext4", "there");
  part({&there});
  run_there("mount -t tmpfs none " + there.mount_point());
  expect_left_out(there, "another mount hides it there");
}

TEST_F(Elsewhere, AreNotOpenedThroughFuse) {
  const auto& there = add_there("ext4", "there");
  part({&there});
  // Nobody answers: whoever looks something up in there waits for ever.
  const UniqueFd server(check(::open("/dev/fuse", O_RDWR | O_CLOEXEC), "/dev/fuse"));
  const std::string at = place_ + "/fuse";
  fs::create_directories(at);
  const std::string options = "fd=" + std::to_string(server.get()) + ",rootmode=40000,user_id=0,group_id=0";
  check(::mount("x", at.c_str(), "fuse.x", 0, options.c_str()), "mount fuse");
  keeper_.emplace();
  unmount_lazily(at);
  run_there("mount --no-canonicalize --internal-only " + there.device() + " " + at);
  const auto pre = expect(0, {"pre-script"});
  EXPECT_LT(pre.run_time(), std::chrono::seconds(5));
  EXPECT_THAT(pre.out, HasSubstr("the way to it leads through fuse.x, which may not answer"));
  EXPECT_TRUE(frozen(*data_));
  EXPECT_TRUE(writable(there));
  expect(0, {"post-script"});
}

TEST_F(Elsewhere, AreNeverWhatAHostileNamespacePutsInTheirPlace) {
  const auto& there = add_there("ext4", "there");
  const auto& decoy = add({.type = "xfs", .mount_point = "/srv/decoy"});
  part({&there});
  std::atomic<bool> over{false};
  const std::string at = there.mount_point();
  std::thread hostile([&] {
    while (!over.load()) {
      static_cast<void>(run_tool({"nsenter", "-t", std::to_string(keeper_->pid()), "-m", "sh", "-c",
                                  "mount --bind /srv/decoy " + at + "; umount " + at + "; mv " + place_ + " " + place_ +
                                      "-x; ln -s /srv/decoy " + place_ + "; rm " + place_ + "; mv " + place_ + "-x " +
                                      place_ + "; true"}));
    }
  });
  for (int round = 0; round < 12; ++round) {
    const auto pre = expect(0, {"pre-script"});
    EXPECT_TRUE(writable(decoy)) << pre.text();
    // By the name that it has in that moment; of those that the configuration leaves out, five are named.
    const bool is_named = pre.out.find("/there ") != std::string::npos || pre.out.find(" more\n") != std::string::npos;
    EXPECT_TRUE(is_named || frozen(there)) << pre.text();
    expect(0, {"post-script"});
  }
  over.store(true);
  hostile.join();
  EXPECT_TRUE(writable(there));
}

TEST_F(Elsewhere, AreWarningsWhereTheyComeWhilePreScriptRuns) {
  const auto& there = add({.type = "ext4", .mount_point = place_ + "/late"});
  part({&there});
  run_there("umount " + there.mount_point());
  write_text("/srv/bin/hook", "#!/bin/sh\nnsenter -t " + std::to_string(keeper_->pid()) + " -m mount " +
                                  there.device() + " " + there.mount_point() + "\n");
  fs::permissions("/srv/bin/hook", fs::perms::owner_all);
  configure(R"({"quiescers": [{"type": "command", "prepare": ["/srv/bin/hook"], "freeze": ["/bin/true"],
    "thaw": ["/bin/true"]}], "filesystems": {"other_namespaces": "freeze", "include": [")" +
            place_ + "/*\"]}}");
  const auto pre = expect(0, {"pre-script"});
  EXPECT_THAT(pre.out, HasSubstr("WARN: " + there.mount_point() + " (" + there.device() +
                                 ") is not frozen: mounted only in another mount namespace"));
  EXPECT_THAT(pre.out, HasSubstr("; it came while pre-script ran"));
  EXPECT_TRUE(writable(there));
  expect(0, {"post-script"});
}

}  // namespace
}  // namespace dlm_freeze::integration
