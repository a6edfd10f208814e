// SPDX-License-Identifier: Apache-2.0
#include "fs/attached_disks.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fakes/fake_devices.hpp"

namespace dlm_freeze {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class Disks : public testing::Test {
 protected:
  Disks() {
    devices_.add_all(
        "nvme0n1 259:0 serial=vol00aa sectors=16777216\n"
        "nvme0n1p1 259:1 on=nvme0n1\n"
        "nvme1n1 259:2 serial=vol00bb\n"
        "nvme2n1 259:3 serial=vol00cc\n"
        "nvme2n1p1 259:4 on=nvme2n1\n"
        "sda 8:0\n"
        "loop0 7:0 backing=/srv/image\n"
        "loop1 7:1 sectors=0\n"
        "zram0 252:0\n"
        "sr0 11:0\n");
    devices_.add({.name = "dm-0",
                  .number = "253:0",
                  .slaves = {"nvme1n1", "nvme2n1p1"},
                  .dm_name = "vg0-data",
                  .dm_uuid = "LVM-abc"});
  }

  [[nodiscard]] std::vector<std::string> below(const std::string& name) const {
    std::vector<std::string> names;
    const auto disks = AttachedDisks::read(devices_.roots());
    for (const std::size_t at : disks.below(name)) names.push_back(disks.disks()[at].label());
    return names;
  }

  [[nodiscard]] Disk disk(const std::string& name) const {
    const auto disks = AttachedDisks::read(devices_.roots());
    for (const Disk& one : disks.disks()) {
      if (one.name == name) return one;
    }
    return {};
  }

  [[nodiscard]] std::vector<std::string> parts_of(const std::string& name) const {
    std::vector<std::string> parts;
    for (const DiskPart& part : disk(name).parts) parts.push_back(part.name + (part.is_swap ? " (swap)" : ""));
    return parts;
  }

  fakes::FakeDevices devices_;
};

TEST_F(Disks, AreWhatNothingIsBelowButNotMemoryAndOpticalDrives) {
  std::vector<std::string> names;
  const auto disks = AttachedDisks::read(devices_.roots());
  for (const Disk& one : disks.disks()) names.push_back(one.name);
  EXPECT_THAT(names, ElementsAre("loop0", "nvme0n1", "nvme1n1", "nvme2n1", "sda"));
  EXPECT_EQ(disk("nvme0n1").volume_id, "vol-00aa");
  EXPECT_EQ(disk("nvme0n1").size_bytes, std::uint64_t{8} << 30);
  EXPECT_EQ(disk("sda").label(), "sda");
  EXPECT_TRUE(disk("loop0").is_image);
}

TEST_F(Disks, AreFoundBelowPartitionsAndDeviceMapper) {
  EXPECT_THAT(below("nvme0n1p1"), ElementsAre("vol-00aa"));
  EXPECT_THAT(below("dm-0"), ElementsAre("vol-00bb", "vol-00cc"));
  EXPECT_THAT(below("nowhere"), IsEmpty());
}

TEST_F(Disks, HaveThePartsThatHoldData) {
  devices_.add_partition("nvme0n1", "nvme0n1p2", "259:9");
  devices_.add_swap({"nvme0n1p1"});
  EXPECT_THAT(parts_of("nvme0n1"), ElementsAre("nvme0n1p1 (swap)", "nvme0n1p2"));
  EXPECT_THAT(parts_of("nvme1n1"), ElementsAre("LVM vg0-data"));
  EXPECT_THAT(parts_of("nvme2n1"), ElementsAre("LVM vg0-data")) << "through its partition";
  EXPECT_THAT(parts_of("sda"), ElementsAre("sda"));
  devices_.add({.name = "md0", .number = "9:0", .slaves = {"sda"}});
  EXPECT_THAT(parts_of("sda"), ElementsAre("RAID md0"));
}

TEST_F(Disks, HaveNoPartsInWhatOnlyHoldsOthers) {
  devices_.add_partition("sda", "sda1", "8:1", 2);  // Extended.
  devices_.add_partition("sda", "sda5", "8:5");
  EXPECT_THAT(parts_of("sda"), ElementsAre("sda5"));
  devices_.add(
      {.name = "dm-1", .number = "253:1", .slaves = {"sda5"}, .dm_name = "vg-p-tpool", .dm_uuid = "LVM-x-tpool"});
  devices_.add({.name = "dm-2", .number = "253:2", .slaves = {"dm-1"}, .dm_name = "vg-p", .dm_uuid = "LVM-x-pool"});
  devices_.add({.name = "dm-3", .number = "253:3", .slaves = {"dm-1"}, .dm_name = "vg-thin", .dm_uuid = "LVM-y"});
  EXPECT_THAT(parts_of("sda"), ElementsAre("LVM vg-thin"));
}

TEST_F(Disks, KnowTheInstanceStoreOfEc2) {
  devices_.add({.name = "nvme3n1", .number = "259:5", .serial = "AWS1", .model = "Amazon EC2 NVMe Instance Storage"});
  devices_.add({.name = "nvme4n1", .number = "259:6", .serial = "vol00dd", .model = "Amazon Elastic Block Store"});
  EXPECT_TRUE(disk("nvme3n1").is_instance_store);
  EXPECT_FALSE(disk("nvme4n1").is_instance_store);
}

TEST_F(Disks, KnowTheNumbersOfDevices) {
  const auto disks = AttachedDisks::read(devices_.roots());
  EXPECT_EQ(disks.name_of(makedev(259, 4)), "nvme2n1p1");
  EXPECT_EQ(disks.number_of("dm-0"), "253:0");
  EXPECT_EQ(disks.disk_of_partition("nvme2n1p1"), "nvme2n1");
  EXPECT_EQ(disks.disk_of_partition("dm-0"), "");
}

TEST(DisksWithoutSysfs, AreNone) {
  const fakes::Scratch scratch;
  EXPECT_THAT(AttachedDisks::read({scratch / "sys", scratch / "dev", scratch / "proc"}).disks(), IsEmpty());
}

}  // namespace
}  // namespace dlm_freeze
