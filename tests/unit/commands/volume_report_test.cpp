// SPDX-License-Identifier: Apache-2.0
#include "commands/volume_report.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "planned_host.hpp"

namespace dlm_freeze {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr const char* kDevices =
    "nvme0n1 259:0 serial=vol00aa sectors=16777216\n"
    "nvme0n1p1 259:1 on=nvme0n1\n"
    "nvme1n1 259:2 serial=vol00bb\n"
    "nvme2n1 259:3 serial=vol00cc\n";
constexpr const char* kRoot = "1 0 259:1 / / rw - ext4 /dev/nvme0n1p1 rw\n";
constexpr const char* kData = "2 1 259:2 / /nowhere/data rw - xfs /dev/nvme1n1 rw\n";

TEST(VolumeReport, HasARowForEachVolumeWorstFirst) {
  PlannedHost host(kDevices, std::string(kRoot) + kData + "3 1 259:3 / /nowhere/usb rw - vfat /dev/nvme2n1 rw\n" +
                                 "4 1 0:20 / /run rw - tmpfs tmpfs rw\n5 1 0:21 / /proc rw - proc proc rw\n");
  const VolumeReport report = host.report();
  EXPECT_THAT(rows_of(report),
              ElementsAre("vol-00cc NOT covered [/nowhere/usb] vfat cannot be frozen",
                          "vol-00aa boot [/] / and /boot are never frozen", "vol-00bb frozen [/nowhere/data] "));
  EXPECT_EQ(report.without_device, 2U);
  EXPECT_EQ(report.rows[1].size_bytes, std::uint64_t{8} << 30);
  ASSERT_EQ(report.advice.size(), 1U);
  EXPECT_EQ(report.advice[0].name, "/nowhere/usb");
}

TEST(VolumeReport, CountsAFilesystemOnceHoweverOftenItIsMounted) {
  PlannedHost host(kDevices, std::string(kRoot) + kData + "3 1 259:2 /x /nowhere/bind rw - xfs /dev/nvme1n1 rw\n");
  EXPECT_THAT(rows_of(host.report()), testing::Contains("vol-00bb frozen [/nowhere/data] "));
}

TEST(VolumeReport, JudgesAVolumeByTheWorstOfItsFilesystems) {
  const std::string devices = std::string(kDevices) + "nvme0n1p2 259:4 on=nvme0n1\nnvme0n1p3 259:5 on=nvme0n1\n";
  const std::string mounts = std::string(kRoot) + "2 1 259:4 / /nowhere/a rw - ext4 /dev/nvme0n1p2 rw\n" +
                             "3 1 259:5 / /nowhere/b rw - ext4 /dev/nvme0n1p3 rw\n";
  PlannedHost host(devices, mounts);
  EXPECT_THAT(rows_of(host.report()),
              testing::Contains("vol-00aa boot [/, /nowhere/a, /nowhere/b] / and /boot are never frozen; 2 other "
                                "filesystems are frozen"));
  host.settings.filesystems.exclude = {"/nowhere/b"};
  host.replan(mounts);
  EXPECT_THAT(rows_of(host.report()),
              testing::Contains("vol-00aa NOT covered [/nowhere/b, /, /nowhere/a] /nowhere/b: excluded by the "
                                "configuration; 1 other filesystem is frozen"));
}

TEST(VolumeReport, HasTheAttachedVolumesOfWhichNothingIsMounted) {
  PlannedHost host(std::string(kDevices) + "nvme3n1 259:6 serial=vol00dd\nnvme4n1 259:7 serial=vol00ee\n",
                   std::string(kRoot) + kData);
  host.devices.add({.name = "dm-0", .number = "253:0", .slaves = {"nvme3n1"}, .dm_name = "vg-x", .dm_uuid = "LVM-1"});
  host.devices.add_swap({"nvme4n1"});
  EXPECT_THAT(
      rows_of(host.report()),
      ElementsAre("vol-00aa boot [/] / and /boot are never frozen", "vol-00bb frozen [/nowhere/data] ",
                  "vol-00ee not needed [] swap, which a snapshot does not need",
                  "vol-00cc not mounted [] nothing of it is mounted", "vol-00dd not mounted [] not mounted: LVM vg-x"));
}

class PartlyMounted : public testing::Test {
 protected:
  PartlyMounted() {
    host_.devices.add_partition("nvme1n1", "nvme1n1p1", "259:10");
    host_.devices.add_partition("nvme1n1", "nvme1n1p2", "259:11");
    host_.replan(kMounts);
  }

  static constexpr const char* kMounts =
      "1 0 259:1 / / rw - ext4 /dev/nvme0n1p1 rw\n2 1 259:10 / /nowhere/data rw - xfs /dev/nvme1n1p1 rw\n";
  PlannedHost host_{kDevices, kRoot};
};

TEST_F(PartlyMounted, IsAVolumeWithARawPartition) {
  EXPECT_THAT(rows_of(host_.report()),
              testing::Contains("vol-00bb partly covered [/nowhere/data] not mounted: nvme1n1p2"));
}

TEST_F(PartlyMounted, IsAVolumeWithAnIdleLogicalVolume) {
  for (const char* name : {"dm-0", "dm-1"}) {
    host_.devices.add({.name = name,
                       .number = std::string("253:") + name[3],
                       .slaves = {"nvme1n1p2"},
                       .dm_name = std::string("vg-") + name,
                       .dm_uuid = "LVM-1"});
  }
  host_.replan(std::string(kMounts) + "3 1 253:0 / /nowhere/more rw - ext4 /dev/mapper/vg-dm-0 rw\n");
  EXPECT_THAT(rows_of(host_.report()),
              testing::Contains("vol-00bb partly covered [/nowhere/data, /nowhere/more] not mounted: LVM vg-dm-1"));
}

TEST_F(PartlyMounted, IsNoVolumeWhoseRestIsSwap) {
  host_.devices.add_swap({"nvme1n1p2"});
  EXPECT_THAT(rows_of(host_.report()), testing::Contains("vol-00bb frozen [/nowhere/data] swap (nvme1n1p2), which a "
                                                         "snapshot does not need"));
}

TEST_F(PartlyMounted, IsNoVolumeWhoseRestIsALogOfAFilesystem) {
  host_.replan(
      "1 0 259:1 / / rw - ext4 /dev/nvme0n1p1 rw\n"
      "2 1 259:10 / /nowhere/data rw - xfs /dev/nvme1n1p1 rw,logdev=/dev/nvme1n1p2\n");
  EXPECT_THAT(rows_of(host_.report()), testing::Contains("vol-00bb frozen [/nowhere/data] "));
}

TEST_F(PartlyMounted, IsAReadOnlyVolumeThatMayBeWrittenElsewhere) {
  host_.replan(
      "1 0 259:1 / / rw - ext4 /dev/nvme0n1p1 rw\n"
      "2 1 259:10 / /nowhere/data ro - xfs /dev/nvme1n1p1 ro\n");
  EXPECT_THAT(rows_of(host_.report()),
              testing::Contains("vol-00bb partly covered [/nowhere/data] read-only; not mounted: nvme1n1p2"));
}

TEST_F(PartlyMounted, IsNotSaidOfTheRootsVolumeOrOneThatIsLeftOut) {
  host_.devices.add_partition("nvme0n1", "nvme0n1p14", "259:12");
  host_.settings.filesystems.exclude = {"/nowhere/data"};
  host_.replan(kMounts);
  EXPECT_THAT(rows_of(host_.report()),
              testing::AllOf(testing::Contains("vol-00aa boot [/] / and /boot are never frozen"),
                             testing::Contains("vol-00bb NOT covered [/nowhere/data] excluded by the configuration")));
}

TEST(VolumeReport, SpreadsAFilesystemOverAllItsVolumes) {
  PlannedHost host(kDevices, kRoot);
  host.devices.add({.name = "dm-0", .number = "253:0", .slaves = {"nvme1n1", "nvme2n1"}, .dm_name = "vg-x"});
  host.replan(std::string(kRoot) + "2 1 253:0 / /nowhere/data rw - xfs /dev/mapper/vg-x rw\n");
  EXPECT_THAT(rows_of(host.report()),
              ElementsAre("vol-00aa boot [/] / and /boot are never frozen", "vol-00bb frozen [/nowhere/data] ",
                          "vol-00cc frozen [/nowhere/data] "));
}

TEST(VolumeReport, SaysThatADatabaseOnTheRootIsQuiescedOnly) {
  PlannedHost host(kDevices, std::string(kRoot) + kData);
  host.add_database("shop", {{"data", "/nowhere/else/shop"}});
  const VolumeReport report = host.report();
  EXPECT_THAT(rows_of(report),
              testing::Contains(
                  "vol-00aa quiesced only [/] / and /boot are never frozen; only the data of shop is protected, by "
                  "quiescing"));
  ASSERT_EQ(report.advice.size(), 1U);
  EXPECT_THAT(report.advice[0].text, HasSubstr("a volume of their own"));
}

TEST(VolumeReport, SaysTheSameOfADatabaseThatMustGoOnWriting) {
  PlannedHost host(kDevices, std::string(kRoot) + kData);
  host.settings.filesystems.protect = {"/nowhere/data/journal"};
  host.replan(std::string(kRoot) + kData);
  host.add_database("iris", {{"journal", "/nowhere/data/journal", false}});
  EXPECT_THAT(rows_of(host.report()), testing::Contains("vol-00bb quiesced only [/nowhere/data] holds "
                                                        "/nowhere/data/journal; only the data of iris is protected, by "
                                                        "quiescing"));
}

TEST(VolumeReport, DoesNotCountADatabaseThatDoesNotRunNorItsLogs) {
  PlannedHost host(kDevices, std::string(kRoot) + kData);
  host.add_database("shop", {{"server log", "/nowhere/else/log", true, DataRole::log}});
  host.add_database("old", {{"data", "/nowhere/else/old"}}, false);
  EXPECT_THAT(rows_of(host.report()), testing::Contains("vol-00aa boot [/] / and /boot are never frozen"));
}

TEST(VolumeReport, TakesWhatCannotBeOpenedForNotCovered) {
  PlannedHost host(kDevices, std::string(kRoot) + kData);
  host.plan.unopened = {{makedev(259, 2), "cannot open /nowhere/data: Input/output error"}};
  EXPECT_THAT(rows_of(host.report()),
              testing::Contains("vol-00bb NOT covered [/nowhere/data] cannot open /nowhere/data: Input/output error"));
}

TEST(VolumeReport, HasWhatIsMountedElsewhereOnly) {
  PlannedHost host(kDevices, kRoot);
  Mount mount;
  mount.device = makedev(259, 3);
  mount.mount_point = "/pod/data";
  mount.type = "ext4";
  mount.source = "/dev/nvme2n1";
  mount.super_options = "rw";
  host.facts.unseen = {{{{mount, 12, "pod"}}}};
  host.facts.out_of_reach = "TEST";
  host.replan(kRoot);
  EXPECT_THAT(rows_of(host.report()),
              testing::Contains("vol-00cc NOT covered [/pod/data (process 12, pod)] mounted only in another mount "
                                "namespace: that of process 12 (pod); TEST"));
}

TEST(VolumeReport, HasWhatIsMountedHereFirst) {
  PlannedHost host(kDevices, kRoot);
  Mount mount;
  mount.device = makedev(259, 2);
  mount.mount_point = "/pod/data";
  mount.type = "ext4";
  mount.source = "/dev/nvme1n1";
  host.facts.unseen = {{{{mount, 12, "pod"}}}};
  host.facts.out_of_reach = "TEST";
  host.replan(std::string(kRoot) + "2 1 259:3 / /nowhere/usb rw - vfat /dev/nvme2n1 rw\n");
  const auto rows = rows_of(host.report());
  ASSERT_GE(rows.size(), 2U);
  EXPECT_THAT(rows[0], testing::StartsWith("vol-00cc NOT covered [/nowhere/usb]"));
  EXPECT_THAT(rows[1], testing::StartsWith("vol-00bb NOT covered [/pod/data (process 12, pod)]"));
}

TEST(VolumeReport, KnowsThatInstanceStoreIsInNoSnapshot) {
  PlannedHost host(kDevices, kRoot);
  host.devices.add({.name = "nvme3n1", .number = "259:6", .model = "Amazon EC2 NVMe Instance Storage"});
  host.replan(std::string(kRoot) + "2 1 259:6 / /nowhere/fast rw - ext4 /dev/nvme3n1 rw\n");
  EXPECT_THAT(rows_of(host.report()),
              testing::Contains("nvme3n1 NOT covered [/nowhere/fast] EC2 instance store, which has no snapshots"));
}

TEST(VolumeReport, NamesWhatHasNoDeviceThatIsKnownByItsSource) {
  PlannedHost host(kDevices, std::string(kRoot) + "2 1 0:50 / /nowhere/tank rw - zfs tank/data rw\n");
  EXPECT_THAT(rows_of(host.report()), testing::Contains("tank/data NOT covered [/nowhere/tank] zfs cannot be frozen"));
}

TEST(VolumeReport, OfAReadOnlyFilesystemIsNoGap) {
  PlannedHost host(kDevices, std::string(kRoot) + "2 1 259:2 / /nowhere/old ro - ext4 /dev/nvme1n1 ro\n");
  const VolumeReport report = host.report();
  EXPECT_THAT(rows_of(report), testing::Contains("vol-00bb read-only [/nowhere/old] read-only"));
  EXPECT_THAT(report.advice, IsEmpty());
}

}  // namespace
}  // namespace dlm_freeze
