// SPDX-License-Identifier: Apache-2.0
// From a pre-script to its post-script, when all goes well.
#include <gmock/gmock.h>
#include <sys/mount.h>

#include <filesystem>
#include <memory>
#include <vector>

#include "harness/host_test.hpp"

namespace dlm_freeze::integration {
namespace {

using testing::HasSubstr;

class Freezing : public HostTest {};

std::string options_of(const Filesystem& filesystem) {
  const auto mount = mount_at(filesystem.mount_point());
  return mount->options + " | " + mount->super_options;
}

TEST_F(Freezing, HoldsExt4XfsAndBtrfsFromPreScriptToPostScript) {
  std::vector<const Filesystem*> all{
      &add({.type = "ext4", .mount_point = "/srv/ext4", .flags = MS_NOSUID | MS_RELATIME}),
      &add({.type = "xfs", .mount_point = "/srv/xfs", .flags = MS_NOATIME}),
      &add({.type = "btrfs", .mount_point = "/srv/btrfs", .flags = MS_NODEV, .options = "compress=zstd"})};
  std::vector<std::unique_ptr<Writer>> writers;
  std::vector<std::string> options;
  for (const auto* filesystem : all) {
    writers.push_back(std::make_unique<Writer>(*filesystem));
    options.push_back(options_of(*filesystem));
  }

  expect(0, {"pre-script"});
  EXPECT_TRUE(rcu_is_put_back());
  for (const auto* filesystem : all) {
    EXPECT_TRUE(frozen(*filesystem)) << filesystem->mount_point();
  }
  const auto held = Clock::now();
  const auto post = expect(0, {"post-script"});

  for (std::size_t i = 0; i < all.size(); ++i) {
    EXPECT_TRUE(writable(*all[i])) << all[i]->mount_point();
    EXPECT_TRUE(writers[i]->goes_on()) << all[i]->mount_point();
    EXPECT_EQ(options_of(*all[i]), options[i]);
    const Stall stall = writers[i]->stall_at(held);
    EXPECT_GT(stall.end, post.started) << "a write ended before post-script was called";
    EXPECT_LT(stall.end, post.exited + Milliseconds(100)) << "post-script ended long before the thaw";
  }
}

TEST_F(Freezing, OfManyFilesystemsRaisesTheLimitOnDescriptors) {
  constexpr int kCount = 6;
  constexpr const char* kTooFewForThem = "20:4096";
  std::vector<const Filesystem*> all;
  for (int i = 0; i < kCount; ++i) all.push_back(&add("ext4", "/srv/data" + std::to_string(i)));
  expect(0, {"pre-script"}, {.wrapper = {"prlimit", std::string("--nofile=") + kTooFewForThem, "--"}});
  for (const auto* filesystem : all) EXPECT_TRUE(frozen(*filesystem)) << filesystem->mount_point();
  expect(0, {"post-script"});
}

TEST_F(Freezing, CanBeRepeated) {
  const auto& data = add("ext4", "/srv/data");
  for (int round = 0; round < 5; ++round) {
    expect(0, {"pre-script"});
    EXPECT_TRUE(frozen(data));
    expect(0, {"post-script"});
    EXPECT_TRUE(writable(data));
    EXPECT_TRUE(all_gone(Milliseconds(200)));
  }
}

TEST_F(Freezing, NeedsNoConfigurationFile) {
  const auto& data = add("ext4", "/srv/data");
  if (std::filesystem::exists("/etc/dlm-freeze")) mount_tmpfs("/etc/dlm-freeze");  // this host's own is no matter here
  auto pre = AgentRun({binary(), "pre-script", "--auto-thaw", "20"}, {}).wait();
  EXPECT_EQ(pre.exit_code, 0) << pre.text();
  EXPECT_TRUE(frozen(data));
  auto post = AgentRun({binary(), "post-script"}, {}).wait();
  EXPECT_EQ(post.exit_code, 0) << post.text();
  EXPECT_TRUE(writable(data));
}

TEST_F(Freezing, KeepsItsStateWhereStateDirSays) {
  const auto& data = add("ext4", "/srv/data");
  mount_tmpfs("/srv/state");
  expect(0, {"--state-dir", "/srv/state/a", "pre-script"});
  EXPECT_TRUE(frozen(data));
  expect(205, {"post-script"});
  EXPECT_TRUE(frozen(data));
  expect(0, {"--state-dir", "/srv/state/a", "post-script"});
  EXPECT_TRUE(writable(data));
}

TEST_F(Freezing, OfNothingIsNoErrorButAWarning) {
  const auto pre = expect(0, {"pre-script"});
  EXPECT_THAT(pre.out, HasSubstr("WARN: "));
  expect(0, {"post-script"});
}

TEST_F(Freezing, MakesASnapshotOfTheDeviceCleanAndComplete) {
  const auto& data = add("ext4", "/srv/data");
  const std::string balance(1 << 20, '7');
  write_text("/srv/data/balance", balance);
  expect(0, {"pre-script"});
  const std::string snapshot = "/srv/images/snapshot";
  run_tool({"cp", "--sparse=always", data.image(), snapshot});
  expect(0, {"post-script"});
  EXPECT_THAT(run_tool({"e2fsck", "-n", "-f", snapshot}), testing::Not(HasSubstr("recovering")));
  run_tool({"debugfs", "-R", "dump balance /srv/images/balance", snapshot});
  EXPECT_EQ(read_text("/srv/images/balance"), balance);
}

}  // namespace
}  // namespace dlm_freeze::integration
