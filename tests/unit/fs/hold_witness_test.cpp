// SPDX-License-Identifier: Apache-2.0
#include "fs/hold_witness.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/sysmacros.h>

#include <map>

#include "fakes/fake_devices.hpp"
#include "fs/freeze_plan.hpp"

namespace dlm_freeze {
namespace {

using testing::HasSubstr;

class Witnesses : public testing::Test {
 protected:
  /// The reason, by label, of each device that is chosen; empty where it proves something. All but the root filesystem
  /// and `not_frozen` are frozen.
  std::map<std::string, std::string> choose(const std::string& mountinfo, const std::set<dev_t>& not_frozen = {}) {
    const MountTable table = std::move(MountTable::parse(mountinfo).value());
    const BlockStacks stacks = read_block_stacks(table, devices_.roots());
    const FreezePlan plan = plan_freeze(table, stacks, {});
    std::set<dev_t> frozen;
    for (const PlannedFilesystem& planned : plan.filesystems) {
      if (!not_frozen.contains(planned.device)) frozen.insert(planned.device);
    }
    std::map<std::string, std::string> chosen;
    const AttachedDisks disks = AttachedDisks::read(devices_.roots());
    for (const WitnessedDevice& device : choose_witnesses(table, plan, stacks, frozen, disks, devices_.roots()))
      chosen[device.label] = device.why_not;
    return chosen;
  }

  fakes::FakeDevices devices_;
};

constexpr const char* kData = "30 1 259:1 / /data rw - ext4 /dev/nvme1n1 rw\n";

TEST_F(Witnesses, WatchTheVolumeThatAFilesystemHasForItself) {
  devices_.add_all("nvme1n1 259:1 sectors=2048 serial=vol0123456789abcdef0\n");
  const auto chosen = choose(kData);
  ASSERT_EQ(chosen.size(), 1U);
  EXPECT_EQ(chosen.begin()->first, "vol-0123456789abcdef0");
  EXPECT_EQ(chosen.begin()->second, "");
}

TEST_F(Witnesses, WatchThePartitionWhereTheVolumeIsShared) {
  devices_.add_all("nvme1n1 259:1 serial=vol0a\nnvme1n1p1 259:2 on=nvme1n1\nnvme1n1p2 259:3 on=nvme1n1\n");
  const std::string both =
      "30 1 259:2 / /data rw - ext4 /dev/nvme1n1p1 rw\n31 1 259:3 / /more rw - ext4 /dev/nvme1n1p2 rw\n";
  // Both are frozen: the volume itself.
  const auto all = choose(both);
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all.at("vol-0a"), "");
  // One is not.
  const auto one = choose(both, {makedev(259, 3)});
  EXPECT_EQ(one.at("nvme1n1p1 of vol-0a"), "");
  EXPECT_THAT(one.at("vol-0a"), HasSubstr("/more, which is not frozen"));
  // Nobody has mounted it.
  const auto unmounted = choose("30 1 259:2 / /data rw - ext4 /dev/nvme1n1p1 rw\n");
  EXPECT_EQ(unmounted.at("nvme1n1p1 of vol-0a"), "");
  EXPECT_THAT(unmounted.at("vol-0a"), HasSubstr("nvme1n1p2 has nothing mounted"));
  // It is swap.
  devices_.add_swap({"nvme1n1p2"});
  EXPECT_EQ(choose("30 1 259:2 / /data rw - ext4 /dev/nvme1n1p1 rw\n").at("vol-0a"), "swap is on nvme1n1p2");
}

TEST_F(Witnesses, TakeAReadOnlyFilesystemForSilent) {
  devices_.add_all("nvme1n1 259:1 serial=vol0a\nnvme1n1p1 259:2 on=nvme1n1\nnvme1n1p2 259:3 on=nvme1n1\n");
  const auto chosen =
      choose("30 1 259:2 / /data rw - ext4 /dev/nvme1n1p1 rw\n31 1 259:3 / /tools ro - ext4 /dev/nvme1n1p2 ro\n");
  EXPECT_EQ(chosen.at("vol-0a"), "");
}

TEST_F(Witnesses, KnowWhichDriversKeepRecordsOfTheirOwn) {
  devices_.add_all("nvme1n1 259:1 serial=vol0a\n");
  const std::string mapped = "30 1 253:0 / /data rw - ext4 /dev/mapper/x rw\n";
  devices_.add({.name = "dm-0", .number = "253:0", .slaves = {"nvme1n1"}, .dm_name = "x", .dm_uuid = "LVM-abc"});
  const auto lvm = choose(mapped);
  EXPECT_EQ(lvm.at("dm-0"), "");
  EXPECT_EQ(lvm.at("vol-0a"), "LVM keeps records of its own on it");

  devices_.add_all("nvme2n1 259:2 serial=vol0b\n");
  devices_.add({.name = "dm-1", .number = "253:1", .slaves = {"nvme2n1"}, .dm_name = "y", .dm_uuid = "CRYPT-LUKS2-a"});
  const auto encrypted = choose("30 1 253:1 / /data rw - ext4 /dev/mapper/y rw\n");
  EXPECT_EQ(encrypted.size(), 1U);
  EXPECT_EQ(encrypted.at("vol-0b"), "");

  devices_.add_all("nvme3n1 259:3 serial=vol0c\nmd0 9:0 slaves=nvme3n1\n");
  const auto raid = choose("30 1 9:0 / /data rw - ext4 /dev/md0 rw\n");
  EXPECT_EQ(raid.at("md0"), "");
  EXPECT_EQ(raid.at("vol-0c"), "RAID md0 keeps records of its own on it");
}

TEST_F(Witnesses, KnowThatSwapFilesAreWrittenPastTheFilesystem) {
  devices_.add_all("nvme1n1 259:1 serial=vol0a\n");
  devices_.write("proc/swaps", "Filename Type Size Used Priority\n/data/a\\040b file 1 0 -2\n");
  EXPECT_EQ(choose(kData).at("vol-0a"), "the swap file /data/a b is on it");
}

TEST_F(Witnesses, ProveNothingOfATypeThatWasNeverWatched) {
  devices_.add_all("nvme1n1 259:1 serial=vol0a\n");
  EXPECT_THAT(choose("30 1 259:1 / /data rw - gfs2 /dev/nvme1n1 rw\n").at("vol-0a"), HasSubstr("whether gfs2"));
}

TEST_F(Witnesses, AskWhetherTheKernelCounts) {
  devices_.add_all("nvme1n1 259:1 serial=vol0a\n");
  devices_.write("sys/class/block/nvme1n1/queue/iostats", "0\n");
  EXPECT_THAT(choose(kData).at("vol-0a"), HasSubstr("does not count"));
}

TEST(SectorsWritten, AreTheSeventhField) {
  EXPECT_EQ(sectors_written("   46  0  368  1   7  2  4321  9  0  3  4  1  2  3  4  0  0\n"), 4321U);
  EXPECT_FALSE(sectors_written(""));
  EXPECT_FALSE(sectors_written("1 2 3 4 5 6"));
  EXPECT_FALSE(sectors_written("1 2 3 4 5 6 x"));
}

}  // namespace
}  // namespace dlm_freeze
