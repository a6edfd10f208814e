// SPDX-License-Identifier: Apache-2.0
#include "fs/block_stack.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/sysmacros.h>

#include <cstdlib>
#include <string>

#include "fakes/fake_devices.hpp"
#include "fakes/mount_tables.hpp"

namespace dlm_freeze {
namespace {

using fakes::FakeDevices;
using fakes::table_from;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

class BlockStackTest : public testing::Test {
 protected:
  /// The stack of a filesystem of `type` with device number `number`, mounted from `source`.
  [[nodiscard]] BlockStack stack_of(const std::string& number, const std::string& source = "/dev/x",
                                    const std::string& type = "ext4") const {
    const MountTable table = table_from("9 1 " + number + " / /data rw - " + type + " " + source + " rw\n");
    const BlockStacks stacks = read_block_stacks(table, devices_.roots());
    return stacks.empty() ? BlockStack() : stacks.begin()->second;
  }

  FakeDevices devices_;
};

using ADisk = BlockStackTest;

TEST_F(ADisk, HasTheVolumeIdInItsNvmeSerialNumber) {
  devices_.add({.name = "nvme1n1", .number = "259:1", .sectors = 209'715'200, .serial = "vol0123456789abcdef0"});
  const BlockStack stack = stack_of("259:1");
  EXPECT_THAT(stack.devices, ElementsAre("nvme1n1"));
  EXPECT_THAT(stack.volume_ids, ElementsAre("vol-0123456789abcdef0"));
  EXPECT_THAT(stack.backing_files, IsEmpty());
  EXPECT_EQ(stack.size_bytes, std::uint64_t{100} << 30);
}

TEST_F(ADisk, MayHaveASerialNumberPaddedWithBlanksOrWithADash) {
  devices_.add({.name = "nvme1n1", .number = "259:1", .serial = "vol0123456789abcdef0     "});
  devices_.add({.name = "nvme2n1", .number = "259:2", .serial = "vol-0123456789abcdef1"});
  EXPECT_THAT(stack_of("259:1").volume_ids, ElementsAre("vol-0123456789abcdef0"));
  EXPECT_THAT(stack_of("259:2").volume_ids, ElementsAre("vol-0123456789abcdef1"));
}

TEST_F(ADisk, HasNoVolumeIdWhenItIsNotOfEbs) {
  devices_.add({.name = "nvme1n1", .number = "259:1", .serial = "AWS22A1B2C3D4E5F6071"});
  devices_.add({.name = "nvme2n1", .number = "259:2", .serial = "vol"});
  devices_.add({.name = "xvda", .number = "202:0"});
  EXPECT_THAT(stack_of("259:1").volume_ids, IsEmpty());
  EXPECT_THAT(stack_of("259:2").volume_ids, IsEmpty());
  EXPECT_THAT(stack_of("202:0").volume_ids, IsEmpty());
  EXPECT_THAT(stack_of("202:0").devices, ElementsAre("xvda"));
}

TEST_F(ADisk, OfAnExt4WithQuotasSaysSo) {
  if (std::system("command -v mkfs.ext4 >/dev/null") != 0) GTEST_SKIP() << "no mkfs.ext4";
  devices_.add({.name = "sdb", .number = "8:16"});
  const std::string node = devices_.roots().dev + "/sdb";
  for (const std::string features : {"quota", "^quota", "quota,project"}) {
    const std::string make =
        "rm -f " + node + " && truncate -s 8M " + node + " && mkfs.ext4 -q -F -O " + features + " " + node;
    ASSERT_EQ(std::system(make.c_str()), 0);
    EXPECT_EQ(stack_of("8:16").has_quotas, features[0] != '^') << features;
    EXPECT_FALSE(stack_of("8:16", "/dev/sdb", "xfs").has_quotas);
  }
  const MountTable table = table_from("9 1 8:16 / /data rw - ext4 /dev/sdb rw,usrquota\n");
  devices_.remove_node("sdb");
  EXPECT_FALSE(stack_of("8:16").has_quotas);
  EXPECT_TRUE(read_block_stacks(table, devices_.roots()).begin()->second.has_quotas);
}

TEST_F(ADisk, OfTheEc2HostIsNamed) {
  devices_.add({.name = "nvme1n1", .number = "259:1", .model = "Amazon EC2 NVMe Instance Storage"});
  devices_.add({.name = "nvme2n1", .number = "259:2", .serial = "vol0123456789abcdef0"});
  devices_.add({.name = "dm-0", .number = "253:0", .slaves = {"nvme1n1", "nvme2n1"}});
  EXPECT_THAT(stack_of("253:0").instance_stores, ElementsAre("nvme1n1"));
  EXPECT_THAT(stack_of("259:2").instance_stores, IsEmpty());
}

TEST_F(ADisk, LendsItsVolumeToItsPartitionsButNotItsSize) {
  devices_.add({.name = "nvme1n1", .number = "259:1", .sectors = 4096, .serial = "vol0123456789abcdef0"});
  devices_.add_partition("nvme1n1", "nvme1n1p1", "259:2", 1000);
  const BlockStack stack = stack_of("259:2");
  EXPECT_THAT(stack.devices, ElementsAre("nvme1n1p1"));
  EXPECT_THAT(stack.volume_ids, ElementsAre("vol-0123456789abcdef0"));
  EXPECT_EQ(stack.size_bytes, 512'000U);
}

TEST_F(ADisk, IsFoundByItsNumberWhateverItsSourceIsCalled) {
  devices_.add({.name = "nvme0n1", .number = "259:1"});
  EXPECT_THAT(stack_of("259:1", "/dev/root").devices, ElementsAre("nvme0n1"));
}

TEST_F(ADisk, ThatSysfsDoesNotKnowAnyMoreIsGone) {
  devices_.add({.name = "nvme0n1", .number = "259:1"});
  const BlockStack stack = stack_of("259:77");
  EXPECT_THAT(stack.devices, IsEmpty());
  EXPECT_TRUE(stack.device_gone);
  EXPECT_FALSE(stack_of("259:1").device_gone);
}

TEST_F(ADisk, IsKnownGroundUnlessAProgramServesIt) {
  devices_.add({.name = "nvme0n1", .number = "259:1"});
  devices_.add({.name = "sda", .number = "8:0"});
  devices_.add({.name = "zram0", .number = "252:0"});
  devices_.add({.name = "nbd0", .number = "43:0"});
  devices_.add({.name = "dm-0", .number = "253:0", .slaves = {"sda"}});
  devices_.add({.name = "dm-1", .number = "253:1", .slaves = {"sda", "nbd0"}});
  for (const char* number : {"259:1", "8:0", "252:0", "253:0"}) EXPECT_FALSE(stack_of(number).ground_unknown) << number;
  for (const char* number : {"43:0", "253:1"}) EXPECT_TRUE(stack_of(number).ground_unknown) << number;
}

using ALoopDevice = BlockStackTest;

TEST_F(ALoopDevice, HasABackingFile) {
  devices_.add({.name = "loop3", .number = "7:3", .backing_file = "/data/image of mine"});
  EXPECT_THAT(stack_of("7:3").backing_files, ElementsAre("/data/image of mine"));
}

TEST_F(ALoopDevice, StillLiesWhereItsFileWasDeleted) {
  devices_.add({.name = "loop3", .number = "7:3", .backing_file = "/data/image (deleted)"});
  EXPECT_THAT(stack_of("7:3").backing_files, ElementsAre("/data/image"));
}

TEST_F(ALoopDevice, IsSeenThroughItsPartitions) {
  devices_.add({.name = "loop3", .number = "7:3", .backing_file = "/data/image"});
  devices_.add_partition("loop3", "loop3p1", "259:9");
  EXPECT_THAT(stack_of("259:9").backing_files, ElementsAre("/data/image"));
}

TEST_F(ALoopDevice, IsSeenThroughDeviceMapperAndMd) {
  devices_.add({.name = "loop1", .number = "7:1", .backing_file = "/one/image"});
  devices_.add({.name = "loop2", .number = "7:2", .backing_file = "/two/image"});
  devices_.add_partition("loop2", "loop2p1", "259:9");
  devices_.add({.name = "md0", .number = "9:0", .slaves = {"loop1", "loop2p1"}});
  devices_.add({.name = "dm-0", .number = "253:0", .slaves = {"md0"}, .dm_name = "crypt"});
  EXPECT_THAT(stack_of("253:0").backing_files, UnorderedElementsAre("/one/image", "/two/image"));
}

TEST_F(ALoopDevice, MayLieOnAnotherDevice) {
  devices_.add({.name = "loop1", .number = "7:1", .backing_file = "/data/image"});
  devices_.add({.name = "dm-0", .number = "253:0", .slaves = {"loop1"}, .dm_name = "luks"});
  devices_.add({.name = "loop2", .number = "7:2", .backing_file = "/dev/mapper/luks"});
  devices_.add({.name = "loop3", .number = "7:3", .backing_file = "/dev/loop2"});
  EXPECT_THAT(stack_of("7:3").backing_files, ElementsAre("/data/image"));
  EXPECT_FALSE(stack_of("7:3").ground_unknown);
}

TEST_F(ALoopDevice, WritesNobodyKnowsWhereOnceItsFileCannotBeFound) {
  devices_.add({.name = "sda", .number = "8:0"});
  devices_.add({.name = "nbd0", .number = "43:0"});
  devices_.add({.name = "loop3", .number = "7:3", .backing_file = "/data/image"});
  devices_.add_partition("loop3", "loop3p1", "259:9");
  devices_.add({.name = "dm-0", .number = "253:0", .slaves = {"sda", "loop3p1"}, .dm_name = "crypt"});
  for (const char* number : {"8:0", "7:3", "253:0"}) EXPECT_FALSE(stack_of(number).writes_untold) << number;
  EXPECT_TRUE(stack_of("43:0").writes_untold) << "a program has it";
  devices_.remove_node("loop3");
  for (const char* number : {"7:3", "259:9", "253:0"}) EXPECT_TRUE(stack_of(number).writes_untold) << number;
}

using Lvm = BlockStackTest;

TEST_F(Lvm, HasTheVolumesOfAllItsDisksSortedAndEachOnce) {
  devices_.add({.name = "nvme1n1", .number = "259:1", .serial = "vol00000000000000002"});
  devices_.add({.name = "nvme2n1", .number = "259:2", .serial = "vol00000000000000001"});
  devices_.add_partition("nvme1n1", "nvme1n1p1", "259:3");
  devices_.add_partition("nvme1n1", "nvme1n1p2", "259:4");
  devices_.add({.name = "dm-0",
                .number = "253:0",
                .sectors = 10,
                .slaves = {"nvme1n1p1", "nvme1n1p2", "nvme2n1"},
                .dm_name = "vg-lv"});
  const BlockStack stack = stack_of("253:0", "/dev/mapper/vg-lv");
  EXPECT_THAT(stack.devices, ElementsAre("dm-0"));
  EXPECT_THAT(stack.volume_ids, ElementsAre("vol-00000000000000001", "vol-00000000000000002"));
  EXPECT_EQ(stack.size_bytes, 5120U);
}

TEST_F(Lvm, LiesOnWhatLiesBelowMultipathAndItsPartitionMap) {
  devices_.add({.name = "sda", .number = "8:0"});
  devices_.add({.name = "sdb", .number = "8:16"});
  devices_.add({.name = "loop0", .number = "7:0", .backing_file = "/data/lun"});
  devices_.add({.name = "dm-0", .number = "253:0", .slaves = {"sda", "sdb", "loop0"}, .dm_name = "mpatha"});
  devices_.add({.name = "dm-1", .number = "253:1", .slaves = {"dm-0"}, .dm_name = "mpatha1"});
  EXPECT_THAT(stack_of("253:1").backing_files, ElementsAre("/data/lun"));
}

using ABtrfs = BlockStackTest;

TEST_F(ABtrfs, IsFoundByItsSourceSinceItsNumberIsAnonymous) {
  devices_.add({.name = "nvme1n1", .number = "259:1", .serial = "vol00000000000000001"});
  devices_.add_btrfs("11111111-1111-4111-8111-111111111111", {"nvme1n1"});
  const BlockStack stack = stack_of("0:44", "/dev/nvme1n1", "btrfs");
  EXPECT_THAT(stack.devices, ElementsAre("nvme1n1"));
  EXPECT_THAT(stack.volume_ids, ElementsAre("vol-00000000000000001"));
}

TEST_F(ABtrfs, MayLieOnSeveralDevices) {
  devices_.add({.name = "nvme1n1", .number = "259:1", .sectors = 10, .serial = "vol00000000000000001"});
  devices_.add({.name = "nvme2n1", .number = "259:2", .sectors = 20, .serial = "vol00000000000000002"});
  devices_.add({.name = "loop0", .number = "7:0", .sectors = 30, .backing_file = "/data/third"});
  devices_.add_btrfs("22222222-2222-4222-8222-222222222222", {"nvme1n1", "nvme2n1", "loop0"});
  const BlockStack stack = stack_of("0:44", "/dev/nvme2n1", "btrfs");
  EXPECT_THAT(stack.devices, UnorderedElementsAre("nvme1n1", "nvme2n1", "loop0"));
  EXPECT_THAT(stack.volume_ids, ElementsAre("vol-00000000000000001", "vol-00000000000000002"));
  EXPECT_THAT(stack.backing_files, ElementsAre("/data/third"));
  EXPECT_EQ(stack.size_bytes, 60U * 512U);
}

TEST_F(ABtrfs, IsFoundThroughALinkInDev) {
  devices_.add({.name = "nvme1n1", .number = "259:1"});
  devices_.add({.name = "dm-0", .number = "253:0", .slaves = {"nvme1n1"}, .dm_name = "luks"});
  EXPECT_THAT(stack_of("0:44", "/dev/mapper/luks", "btrfs").devices, ElementsAre("dm-0"));
}

using WithoutADevice = BlockStackTest;

TEST_F(WithoutADevice, AFilesystemIsNotInTheResult) {
  const MountTable table = table_from(
      "1 0 0:30 / /a rw - tmpfs tmpfs rw\n"
      "2 1 0:31 / /b rw - nfs4 server:/ rw\n"
      "3 1 0:32 / /c rw - overlay overlay rw\n"
      "4 1 0:33 / /d rw - fuse /dev/fuse rw\n");
  EXPECT_THAT(read_block_stacks(table, devices_.roots()), IsEmpty());
}

TEST_F(WithoutADevice, WhatMustHaveOneLiesOnUnknownGround) {
  devices_.add({.name = "nvme1n1", .number = "259:1"});
  EXPECT_TRUE(stack_of("0:44", "tank/data", "zfs").ground_unknown);
  const BlockStack pool = stack_of("0:44", "/dev/nowhere", "btrfs");
  EXPECT_TRUE(pool.ground_unknown);
  EXPECT_FALSE(pool.device_gone);
}

TEST_F(WithoutADevice, ASourceOutsideDevIsNotFollowed) {
  devices_.add({.name = "nvme1n1", .number = "259:1"});
  EXPECT_THAT(stack_of("0:44", "nvme1n1", "btrfs").devices, IsEmpty());
  EXPECT_THAT(stack_of("0:44", "/etc/nvme1n1", "btrfs").devices, IsEmpty());
}

TEST_F(WithoutADevice, NothingButTheLackOfItIsFoundWhereThereIsNoSysfs) {
  const MountTable table = table_from("1 0 259:1 / / rw - ext4 /dev/nvme0n1p1 rw\n");
  const BlockStacks stacks = read_block_stacks(table, {"/nowhere", "/nowhere", "/nowhere"});
  ASSERT_EQ(stacks.size(), 1U);
  const BlockStack& stack = stacks.begin()->second;
  EXPECT_THAT(stack.devices, IsEmpty());
  EXPECT_TRUE(stack.ground_unknown);
  EXPECT_FALSE(stack.device_gone) << "that cannot be told";
}

TEST_F(ABtrfs, IsSeveralDevicesInTheSourceOfABcachefs) {
  devices_.add({.name = "nvme1n1", .number = "259:1"});
  devices_.add({.name = "nvme2n1", .number = "259:2"});
  EXPECT_THAT(stack_of("0:44", "/dev/nvme1n1:/dev/nvme2n1", "bcachefs").devices, ElementsAre("nvme1n1", "nvme2n1"));
}

TEST_F(ALoopDevice, OnAPathThatLeadsNowhereLiesOnUnknownGround) {
  devices_.add({.name = "loop3", .number = "7:3", .backing_file = "/elsewhere/image"});
  devices_.add({.name = "loop4", .number = "7:4", .backing_file = "/data/image"});
  EXPECT_TRUE(stack_of("7:3").ground_unknown);
  EXPECT_FALSE(stack_of("7:4").ground_unknown);
}

TEST_F(ALoopDevice, WithoutANodeToAskItByLiesOnUnknownGround) {
  devices_.add({.name = "loop3", .number = "7:3", .backing_file = "/data/image"});
  devices_.remove_node("loop3");
  EXPECT_TRUE(stack_of("7:3").ground_unknown);
}

TEST_F(ADisk, WithAnExt4WhoseJournalIsElsewhereLiesOnUnknownGround) {
  devices_.add({.name = "nvme1n1", .number = "259:1"});
  devices_.add({.name = "nvme2n1", .number = "259:2"});
  devices_.add({.name = "loop0", .number = "7:0", .backing_file = "/data/journal"});
  devices_.add_journal("nvme1n1-8");
  EXPECT_FALSE(stack_of("259:1").ground_unknown);
  EXPECT_FALSE(stack_of("259:2").ground_unknown) << "it has no journal";
  devices_.add_journal("loop0");
  EXPECT_FALSE(stack_of("259:1").ground_unknown);
  EXPECT_TRUE(stack_of("259:2").ground_unknown);
}

TEST_F(ADisk, LiesAlsoOnTheDeviceOfItsLogOrJournal) {
  devices_.add({.name = "nvme1n1", .number = "259:1"});
  devices_.add({.name = "loop0", .number = "7:0", .backing_file = "/data/log"});
  devices_.add({.name = "loop1", .number = "7:1", .backing_file = "/data/realtime"});
  devices_.add({.name = "dm-0", .number = "253:0", .slaves = {"loop1"}, .dm_name = "r t"});
  const MountTable table =
      table_from("9 1 259:1 / /data rw - xfs /dev/x rw,logdev=/dev/loop0,rtdev=/dev/mapper/r\\040t\n");
  const BlockStacks stacks = read_block_stacks(table, devices_.roots());
  EXPECT_THAT(stacks.begin()->second.backing_files, ElementsAre("/data/log", "/data/realtime"));
  EXPECT_FALSE(stacks.begin()->second.ground_unknown);
  devices_.add_journal("loop0");
  EXPECT_THAT(stack_of("259:1").backing_files, ElementsAre("/data/log"));
}

TEST(BlockStacks, OfAnotherMountNamespaceDoNotFollowItsPaths) {
  FakeDevices devices;
  devices.add({.name = "sda", .number = "8:0"});
  devices.add({.name = "loop0", .number = "7:0", .backing_file = "/data/image"});
  devices.add_btrfs("11111111-1111-4111-8111-111111111111", {"sda"});
  const MountTable table = table_from(
      "1 0 8:1 / / rw - ext4 /dev/root rw\n"
      "2 1 7:0 / /image rw - ext4 /dev/loop0 rw\n"
      "3 1 0:44 / /data rw - btrfs /dev/sda rw\n");
  const MountTable here = table_from("1 0 0:50 / / rw - tmpfs x rw\n");
  const BlockStacks stacks = read_block_stacks(table, devices.roots(), &here);
  EXPECT_THAT(stacks.at(makedev(7, 0)).backing_files, IsEmpty());
  EXPECT_TRUE(stacks.at(makedev(7, 0)).ground_unknown);
  EXPECT_THAT(stacks.at(makedev(0, 44)).devices, ElementsAre("sda")) << "devices have the same names";
}

TEST(BlockStacks, DescribeASuperblockOnceHoweverOftenItIsMounted) {
  FakeDevices devices;
  devices.add({.name = "nvme1n1", .number = "259:1"});
  devices.add({.name = "nvme2n1", .number = "259:2"});
  const MountTable table = table_from(
      "1 0 259:1 / /a rw - ext4 /dev/nvme1n1 rw\n"
      "2 0 259:1 /x /b rw - ext4 /dev/nvme1n1 rw\n"
      "3 0 259:2 / /c rw - ext4 /dev/nvme2n1 rw\n");
  const BlockStacks stacks = read_block_stacks(table, devices.roots());
  ASSERT_EQ(stacks.size(), 2U);
  EXPECT_THAT(stacks.at(makedev(259, 1)).devices, ElementsAre("nvme1n1"));
  EXPECT_THAT(stacks.at(makedev(259, 2)).devices, ElementsAre("nvme2n1"));
}

TEST(BlockStacks, OfThisVeryHostCanBeRead) {
  const auto table = MountTable::read();
  ASSERT_TRUE(table);
  for (const auto& [device, stack] : read_block_stacks(*table)) {
    EXPECT_FALSE(stack.device_gone);
    if (stack.devices.empty()) continue;
    EXPECT_GT(stack.size_bytes, 0U) << stack.devices.front();
  }
}

}  // namespace
}  // namespace dlm_freeze
