// SPDX-License-Identifier: Apache-2.0
#include "fs/freeze_plan.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "fakes/mount_tables.hpp"

namespace dlm_freeze {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

/// By device number, the files below loop devices.
using Images = std::map<std::string, std::vector<std::string>>;

const std::string kRoot = "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n";

dev_t device_of(const std::string& number) {
  unsigned major = 0;
  unsigned minor = 0;
  std::sscanf(number.c_str(), "%u:%u", &major, &minor);
  return makedev(major, minor);
}

/// The plan for `mountinfo`. What has a major number, and each btrfs, lies on a block device.
FreezePlan plan(const std::string& mountinfo, const Selection& wanted = {}, const Images& images = {},
                const HostFacts& facts = {}) {
  const MountTable table = fakes::table_from(mountinfo);
  BlockStacks stacks;
  for (const Mount& mount : table.mounts()) {
    if (major(mount.device) != 0 || mount.type == "btrfs") stacks[mount.device].devices = {"disk"};
  }
  for (const auto& [number, files] : images) stacks[device_of(number)].backing_files = files;
  return plan_freeze(table, stacks, wanted, facts);
}

using Paths = std::vector<std::string>;

Selection selection(Paths include, Paths exclude, Paths protect) {
  return {true, std::move(include), std::move(exclude), std::move(protect)};
}
Selection including(Paths paths) { return selection(std::move(paths), {}, {}); }
Selection excluding(Paths paths) { return selection({}, std::move(paths), {}); }
Selection protecting(Paths paths) { return selection({}, {}, std::move(paths)); }

Selection nothing() {
  Selection off;
  off.freeze = false;
  return off;
}

const PlannedMount& at(const FreezePlan& plan, std::string_view mount_point, int nth = 0) {
  for (const PlannedMount& planned : plan.mounts) {
    if (planned.mount.mount_point == mount_point && nth-- == 0) return planned;
  }
  throw std::runtime_error("no mount at " + std::string(mount_point));
}

/// The first mount points of filesystems that deserve a warning.
std::vector<std::string> warnings(const FreezePlan& plan) {
  std::vector<std::string> mount_points;
  for (const Gap& gap : plan.gaps) {
    if (!gap.expected) mount_points.push_back(plan.mounts[gap.mount].mount.mount_point);
  }
  return mount_points;
}

/// "freeze 0", "same 1" or the reason for which it is passed over.
std::string fate(const FreezePlan& plan, std::string_view mount_point, int nth = 0) {
  const PlannedMount& planned = at(plan, mount_point, nth);
  if (planned.verdict == Verdict::pass_over) return std::string(to_string(planned.reason));
  return std::string(to_string(planned.verdict)) + " " + std::to_string(planned.level);
}

std::vector<std::string> order(const FreezePlan& plan) {
  std::vector<std::string> all;
  for (const PlannedFilesystem& filesystem : plan.filesystems) {
    all.push_back(std::to_string(filesystem.level) + " " + filesystem.mount_point());
  }
  return all;
}

TEST(FreezePlan, FreezesADataDisk) {
  const FreezePlan p = plan(kRoot + "2 1 8:2 / /data rw - ext4 /dev/sdb rw\n");
  EXPECT_EQ(fate(p, "/data"), "freeze 0");
  EXPECT_EQ(at(p, "/data").reason, Reason::data);
  ASSERT_EQ(p.filesystems.size(), 1U);
  EXPECT_EQ(p.filesystems[0].device, makedev(8, 2));
  EXPECT_THAT(p.filesystems[0].stack.devices, ElementsAre("disk"));
}

TEST(FreezePlan, IsEmptyForAnEmptyTable) {
  const FreezePlan p = plan("");
  EXPECT_THAT(p.mounts, IsEmpty());
  EXPECT_THAT(p.filesystems, IsEmpty());
}

// Rule 1: root and /boot.

TEST(FreezePlan, PassesOverRoot) { EXPECT_EQ(fate(plan(kRoot), "/"), "root_or_boot"); }

TEST(FreezePlan, PassesOverBootAndWhatIsBelowIt) {
  const FreezePlan p = plan(kRoot +
                            "2 1 8:2 / /boot rw - ext4 /dev/sda2 rw\n"
                            "3 2 8:3 / /boot/efi rw - vfat /dev/sda3 rw\n"
                            "4 1 8:4 / /boot/a/b rw - ext4 /dev/sda4 rw\n");
  EXPECT_EQ(fate(p, "/boot"), "root_or_boot");
  EXPECT_EQ(fate(p, "/boot/efi"), "root_or_boot");
  EXPECT_EQ(fate(p, "/boot/a/b"), "root_or_boot");
}

TEST(FreezePlan, TakesAPathThatOnlyContainsBootForData) {
  const FreezePlan p = plan(kRoot +
                            "2 1 8:2 / /data/bootstrap rw - ext4 /dev/sdb rw\n"
                            "3 1 8:3 / /boots rw - ext4 /dev/sdc rw\n"
                            "4 1 8:4 / /srv/boot rw - ext4 /dev/sdd rw\n"
                            "5 1 8:5 / /boot\\040x rw - ext4 /dev/sde rw\n");
  for (const char* mount_point : {"/data/bootstrap", "/boots", "/srv/boot", "/boot x"}) {
    EXPECT_EQ(fate(p, mount_point), "freeze 0");
  }
}

TEST(FreezePlan, PassesOverABindMountOfRoot) {
  const FreezePlan p = plan(kRoot +
                            "2 1 8:1 /var/www /srv/www rw - ext4 /dev/sda1 rw\n"
                            "3 1 8:1 / /mnt/root rw - ext4 /dev/sda1 rw\n");
  EXPECT_EQ(fate(p, "/srv/www"), "root_or_boot");
  EXPECT_EQ(fate(p, "/mnt/root"), "root_or_boot");
  EXPECT_THAT(p.filesystems, IsEmpty());
}

TEST(FreezePlan, PassesOverWhereALinkOfTheSystemLeads) {
  const std::string table = kRoot + "2 1 8:2 / /mnt/b rw - ext4 /dev/sdb rw\n3 1 8:3 / /data rw - ext4 /dev/sdc rw\n";
  const auto with_link = [](const std::string& from, const std::string& to) {
    HostFacts facts;
    facts.links = {{from, to}};
    return facts;
  };
  EXPECT_EQ(fate(plan(table), "/mnt/b"), "freeze 0");
  for (const char* boot : {"/boot", "/boot/grub", "/boot/efi"}) {
    const FreezePlan p = plan(table, {}, {}, with_link(boot, "/mnt/b/of/boot"));
    EXPECT_EQ(fate(p, "/mnt/b"), "root_or_boot") << boot;
    EXPECT_EQ(fate(p, "/data"), "freeze 0");
  }
  EXPECT_EQ(fate(plan(table, {}, {}, with_link("/boot", "/srv/boot")), "/mnt/b"), "freeze 0");
  // Of a root that is written to itself, these are data like any other.
  EXPECT_EQ(fate(plan(table, {}, {}, with_link("/etc", "/mnt/b/etc")), "/mnt/b"), "freeze 0");
  const std::string image = "1 0 8:1 / / ro - ext4 /dev/sda1 ro\n2 1 8:2 / /mnt/b rw - ext4 /dev/sdb rw\n";
  EXPECT_EQ(fate(plan(image, {}, {}, with_link("/etc", "/mnt/b/etc")), "/mnt/b"), "holds_root");
}

TEST(FreezePlan, PassesOverWhatHoldsTheImageOfASwapDevice) {
  const std::string table = kRoot + "2 1 8:2 / /data rw - ext4 /dev/sdb rw\n3 1 8:3 / /more rw - ext4 /dev/sdc rw\n";
  HostFacts facts;
  facts.swap.resize(1);
  facts.swap[0].devices = {"sdd"};
  EXPECT_EQ(fate(plan(table, {}, {}, facts), "/data"), "freeze 0");
  facts.swap[0].backing_files = {"/data/swap"};
  const FreezePlan by_path = plan(table, {}, {}, facts);
  EXPECT_EQ(at(by_path, "/data").why, "holds /data/swap, which is used for swap");
  EXPECT_THAT(warnings(by_path), ElementsAre("/data"));
  EXPECT_EQ(fate(by_path, "/more"), "freeze 0");
  facts.swap[0].backing_files.clear();
  facts.swap[0].backing_devices = {makedev(8, 3)};
  EXPECT_EQ(fate(plan(table, {}, {}, facts), "/more"), "protected_path");
}

TEST(FreezePlan, LeavesExt4WithQuotasToWhoNamesIt) {
  const MountTable table = fakes::table_from(kRoot + "2 1 8:2 / /data rw - ext4 /dev/sdb rw\n");
  BlockStacks stacks;
  stacks[makedev(8, 2)].devices = {"sdb"};
  stacks[makedev(8, 2)].has_quotas = true;
  const FreezePlan p = plan_freeze(table, stacks, {});
  EXPECT_EQ(fate(p, "/data"), "cannot_freeze");
  EXPECT_THAT(warnings(p), ElementsAre("/data"));
  EXPECT_EQ(fate(plan_freeze(table, stacks, including({"/data"})), "/data"), "freeze 0");
  EXPECT_EQ(fate(plan_freeze(table, stacks, excluding({"/data"})), "/data"), "excluded");
}

TEST(FreezePlan, PassesOverABindMountOfBoot) {
  const FreezePlan p = plan(kRoot +
                            "2 1 8:2 /kernels /srv/kernels rw - ext4 /dev/sda2 rw\n"
                            "3 1 8:2 / /boot rw - ext4 /dev/sda2 rw\n");
  EXPECT_EQ(fate(p, "/srv/kernels"), "root_or_boot");
}

TEST(FreezePlan, PassesOverSubvolumesOfTheRootBtrfs) {
  const FreezePlan p = plan(
      "1 0 0:30 /@ / rw - btrfs /dev/sda1 rw\n"
      "2 1 0:30 /@home /home rw - btrfs /dev/sda1 rw\n"
      "3 1 0:31 /@data /data rw - btrfs /dev/sdb rw\n");
  EXPECT_EQ(fate(p, "/home"), "root_or_boot");
  EXPECT_EQ(fate(p, "/data"), "freeze 0");
}

TEST(FreezePlan, PassesOverAHiddenRootAndTheOneOnTopOfIt) {
  const FreezePlan p = plan(
      "1 1 8:9 / / rw - ext4 /dev/sdz rw\n"
      "2 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
      "3 2 8:9 /x /mnt rw - ext4 /dev/sdz rw\n");
  EXPECT_EQ(fate(p, "/", 0), "root_or_boot");
  EXPECT_EQ(fate(p, "/", 1), "root_or_boot");
  EXPECT_EQ(fate(p, "/mnt"), "root_or_boot");
}

TEST(FreezePlan, PassesOverWhatHoldsTheImageOfRoot) {
  const FreezePlan p = plan(
      "1 0 7:0 / / rw - ext4 /dev/loop0 rw\n"
      "2 1 8:1 / /run/live/medium rw - ext4 /dev/sda1 rw\n"
      "3 1 8:2 / /data rw - ext4 /dev/sdb rw\n",
      {}, {{"7:0", {"/run/live/medium/root.img"}}});
  EXPECT_EQ(fate(p, "/run/live/medium"), "holds_root");
  EXPECT_EQ(at(p, "/run/live/medium").why, "holds the image of /");
  EXPECT_EQ(fate(p, "/data"), "freeze 0");
}

TEST(FreezePlan, PassesOverEverythingBelowTheImageOfRoot) {
  const FreezePlan p = plan(
      "1 0 7:0 / / rw - ext4 /dev/loop0 rw\n"
      "2 1 7:1 / /medium rw - ext4 /dev/loop1 rw\n"
      "3 1 8:2 / /deepest rw - ext4 /dev/sdb rw\n"
      "4 1 7:2 / /beside rw - ext4 /dev/loop2 rw\n",
      {}, {{"7:0", {"/medium/root.img"}}, {"7:1", {"/deepest/medium.img"}}, {"7:2", {"/deepest/other.img"}}});
  EXPECT_EQ(fate(p, "/medium"), "holds_root");
  EXPECT_EQ(fate(p, "/deepest"), "holds_root");
  EXPECT_EQ(fate(p, "/beside"), "freeze 0") << "lies beside root, not below it";
}

TEST(FreezePlan, PassesOverWhatHoldsTheImageOfBoot) {
  const FreezePlan p = plan(kRoot +
                                "2 1 7:0 / /boot rw - ext4 /dev/loop0 rw\n"
                                "3 1 8:2 / /data rw - ext4 /dev/sdb rw\n",
                            {}, {{"7:0", {"/data/boot.img"}}});
  EXPECT_EQ(fate(p, "/boot"), "root_or_boot");
  EXPECT_EQ(fate(p, "/data"), "holds_root");
}

TEST(FreezePlan, PassesOverTheLayersOfAnOverlayRoot) {
  const FreezePlan p = plan(
      "1 0 0:40 / / rw - overlay overlay rw,lowerdir=/low/one:/low/two/x,upperdir=/up/dir,workdir=/work/dir\n"
      "2 1 8:1 / /low/one rw - ext4 /dev/sda rw\n"
      "3 1 8:2 / /low/two rw - ext4 /dev/sdb rw\n"
      "4 1 8:3 / /up rw - ext4 /dev/sdc rw\n"
      "5 1 8:4 / /work rw - ext4 /dev/sdd rw\n"
      "6 1 8:5 / /data rw - ext4 /dev/sde rw\n");
  EXPECT_EQ(fate(p, "/"), "root_or_boot");
  for (const char* layer : {"/low/one", "/low/two", "/up", "/work"}) {
    EXPECT_EQ(fate(p, layer), "holds_root") << layer;
    EXPECT_EQ(at(p, layer).why, "holds a layer of the root filesystem");
  }
  EXPECT_EQ(fate(p, "/data"), "freeze 0");
}

TEST(FreezePlan, PassesOverTheImageBelowALayerOfAnOverlayRoot) {
  const FreezePlan p = plan(
      "1 0 0:40 / / rw - overlay overlay rw,lowerdir=/ro,upperdir=/rw/up,workdir=/rw/work\n"
      "2 1 7:0 / /ro ro - squashfs /dev/loop0 ro\n"
      "3 1 8:1 / /medium rw - ext4 /dev/sda rw\n"
      "4 1 0:41 / /rw rw - tmpfs tmpfs rw\n",
      {}, {{"7:0", {"/medium/root.squashfs"}}});
  EXPECT_EQ(fate(p, "/medium"), "holds_root");
}

// The root in other shapes.

/// An image-mode host: the root is an overlay over objects on the disk that also carries /etc and /var.
std::string image_mode(const std::string& layers) {
  return "22 1 0:33 / / ro - overlay composefs ro," + layers +
         "\n"
         "25 22 0:25 / /run rw - tmpfs tmpfs rw\n"
         "26 22 259:4 /deploy/etc /etc rw - xfs /dev/nvme0n1p4 rw\n"
         "27 22 259:4 / /sysroot ro - xfs /dev/nvme0n1p4 rw\n"
         "28 22 259:4 /deploy/var /var rw - xfs /dev/nvme0n1p4 rw\n"
         "30 28 9:127 / /var/mnt/data rw - xfs /dev/md127 rw\n";
}

class ImageModeHost : public testing::TestWithParam<const char*> {};
TEST_P(ImageModeHost, KeepsTheDiskOfItsRoot) {
  const FreezePlan p = plan(image_mode(GetParam()));
  for (const char* part : {"/etc", "/sysroot", "/var"}) EXPECT_EQ(fate(p, part), "holds_root") << part;
  EXPECT_EQ(fate(p, "/var/mnt/data"), "freeze 0");
  EXPECT_THAT(warnings(p), ElementsAre("/etc")) << "once for the filesystem";
}
INSTANTIATE_TEST_SUITE_P(
    WithOptionsLike, ImageModeHost,
    testing::Values("lowerdir+=/run/ostree/.private/cfsroot-lower,datadir+=/sysroot/ostree/repo/objects,metacopy=on",
                    "lowerdir=/run/ostree/.private/cfsroot-lower::/sysroot/ostree/repo/objects",
                    "lowerdir+=/,metacopy=on", "lowerdir=relative:paths", "redirect_dir=on"));

TEST(FreezePlan, TakesAVarOfItsOwnForDataIfTheRootSaysWhatItLiesOn) {
  const std::string table =
      "4 1 7:0 / / ro - erofs /dev/loop0 ro\n"
      "5 4 8:1 / /sysroot rw - ext4 /dev/sda1 rw\n"
      "6 4 8:1 /etc /etc rw - ext4 /dev/sda1 rw\n"
      "7 4 8:2 / /var rw - ext4 /dev/sdb rw\n"
      "8 4 8:3 / /data rw - ext4 /dev/sdc rw\n";
  const FreezePlan told = plan(table, {}, {{"7:0", {"/sysroot/root.erofs"}}});
  EXPECT_EQ(fate(told, "/sysroot"), "holds_root");
  EXPECT_EQ(fate(told, "/etc"), "holds_root");
  EXPECT_EQ(fate(told, "/var"), "freeze 0");
  const FreezePlan untold = plan(table);
  EXPECT_EQ(fate(untold, "/sysroot"), "holds_root");
  EXPECT_EQ(fate(untold, "/var"), "holds_root");
  EXPECT_EQ(fate(untold, "/data"), "freeze 0");
}

TEST(FreezePlan, KeepsThePartsOfARootThatIsReadOnlyOrInMemory) {
  for (const char* root :
       {"8:1 / / ro - ext4 /dev/dm-0 ro", "0:30 / / rw - tmpfs tmpfs rw", "8:1 / / ro - squashfs /dev/sda ro",
        "0:31 / / ro - erofs /nowhere/file ro", "0:32 / / rw - ramfs ramfs rw"}) {
    const FreezePlan p = plan("1 0 " + std::string(root) + "\n" +
                              "2 1 8:2 /var /var rw - xfs /dev/sdb rw\n"
                              "3 1 8:2 /opt /opt rw - xfs /dev/sdb rw\n"
                              "4 1 8:3 / /data rw - xfs /dev/sdc rw\n");
    EXPECT_EQ(fate(p, "/var"), "holds_root") << root;
    EXPECT_EQ(fate(p, "/opt"), "holds_root") << root;
    EXPECT_EQ(fate(p, "/data"), "freeze 0") << root;
  }
}

TEST(FreezePlan, TakesVarForDataWhereTheRootIsAFilesystemLikeAnyOther) {
  const FreezePlan p = plan(kRoot +
                            "2 1 8:2 / /var rw - xfs /dev/sdb rw\n"
                            "3 1 8:3 / /usr rw - xfs /dev/sdc rw\n");
  EXPECT_EQ(fate(p, "/var"), "freeze 0");
  EXPECT_EQ(fate(p, "/usr"), "freeze 0");
}

TEST(FreezePlan, FollowsAnOverlayRootThroughOtherOverlaysAndImages) {
  const FreezePlan p = plan(
      "1 0 0:40 / / rw - overlay overlay rw,lowerdir=/base,upperdir=/up/u,workdir=/up/w\n"
      "2 1 0:41 / /base ro - overlay overlay ro,lowerdir+=/meta,datadir+=/objects/o\n"
      "3 1 0:42 / /meta ro - erofs /images/meta.erofs ro\n"
      "4 1 7:0 / /objects ro - squashfs /dev/loop0 ro\n"
      "5 1 8:1 / /images rw - ext4 /dev/sda rw\n"
      "6 1 8:2 / /medium rw - ext4 /dev/sdb rw\n"
      "7 1 8:3 / /up rw - ext4 /dev/sdc rw\n"
      "8 1 8:4 / /data rw - ext4 /dev/sdd rw\n",
      {}, {{"7:0", {"/medium/objects.squashfs"}}});
  for (const char* below : {"/images", "/medium", "/up"}) EXPECT_EQ(fate(p, below), "holds_root") << below;
  EXPECT_EQ(fate(p, "/data"), "freeze 0");
}

TEST(FreezePlan, NeverTakesWhatHoldsTheHostsRoot) {
  // A container that names what it means, and with it a directory of the host's root.
  const HostFacts facts = {{}, {makedev(259, 1)}, {}};
  const FreezePlan p = plan(
      "1 0 0:66 / / rw - overlay overlay rw,lowerdir=l/AAAA\n"
      "2 1 259:1 /srv/share /share rw - xfs /dev/nvme0n1p1 rw\n"
      "3 1 259:3 / /data rw - ext4 /dev/nvme1n1 rw\n",
      including({"/share", "/data"}), {}, facts);
  EXPECT_EQ(fate(p, "/share"), "holds_root");
  EXPECT_EQ(fate(p, "/data"), "freeze 0");
}

TEST(FreezePlan, NeverTakesWhatHoldsTheFilesThatAContainerGetsFromItsHost) {
  for (const char* file : {"/etc/hosts", "/etc/resolv.conf", "/etc/hostname"}) {
    const FreezePlan p = plan(
        "1 0 0:66 / / rw - overlay overlay rw,lowerdir=l/AAAA\n"
        "2 1 259:1 /containers/b7d4/file " +
            std::string(file) + " rw - xfs /dev/nvme0n1p1 rw\n" +
            "3 1 259:1 /volumes/x /data rw - xfs /dev/nvme0n1p1 rw\n",
        including({"/data"}));
    EXPECT_EQ(fate(p, "/data"), "holds_root") << file;
  }
}

TEST(FreezePlan, NeverTakesWhatIsMountedForSingleFilesOnly) {
  const std::string table = kRoot +
                            "2 1 8:2 /message /dev/termination-log rw - ext4 /dev/sdb rw\n"
                            "3 1 8:3 /hosts /srv/hosts rw - ext4 /dev/sdc rw\n"
                            "4 1 8:3 / /srv/data rw - ext4 /dev/sdc rw\n";
  const FreezePlan p = plan(table, {}, {}, {{2, 3}, {}, {}});
  EXPECT_EQ(fate(p, "/dev/termination-log"), "only_files");
  EXPECT_EQ(fate(p, "/srv/data"), "freeze 0");
  EXPECT_EQ(fate(p, "/srv/hosts"), "same 0");
  EXPECT_EQ(p.filesystems[0].mounts.size(), 1U) << "a file is no way in";
  EXPECT_THAT(warnings(p), ElementsAre("/dev/termination-log"));
}

TEST(FreezePlan, KnowsWhatTheRootOfATableLiesOn) {
  const MountTable table = fakes::table_from(
      "1 0 0:40 / / rw - overlay overlay rw,lowerdir=/disk/low,upperdir=/disk/up\n"
      "2 1 8:1 / /disk rw - ext4 /dev/sda rw\n"
      "3 1 8:2 / /boot rw - ext4 /dev/sdb rw\n"
      "4 1 8:3 / /data rw - ext4 /dev/sdc rw\n");
  EXPECT_THAT(superblocks_of_root(table, {}), ElementsAre(makedev(8, 1), makedev(8, 2)));
}

// Rule 2: not backed by a block device.

TEST(FreezePlan, PassesOverWhatHasNoBlockDevice) {
  const FreezePlan p = plan(kRoot +
                            "2 1 0:30 / /t rw - tmpfs tmpfs rw\n"
                            "3 1 0:31 / /o rw - overlay overlay rw\n"
                            "4 1 0:32 / /n rw - nfs4 server:/ rw\n"
                            "5 1 0:33 / /a rw - autofs systemd-1 rw\n"
                            "6 1 0:34 / /f rw - fuse.sshfs host:/ rw\n");
  for (const char* mount_point : {"/t", "/o", "/n", "/a", "/f"}) {
    EXPECT_EQ(fate(p, mount_point), "not_block_backed") << mount_point;
  }
}

TEST(FreezePlan, PassesOverFuseAlsoOnABlockDeviceAndSaysSo) {
  const FreezePlan p = plan(kRoot +
                            "2 1 8:2 / /usb rw - fuseblk /dev/sdb1 rw\n"
                            "3 1 0:40 / /ntfs rw - fuse.ntfs-3g /dev/sdc1 rw\n");
  EXPECT_EQ(fate(p, "/usb"), "cannot_freeze");
  EXPECT_EQ(fate(p, "/ntfs"), "cannot_freeze");
  EXPECT_THAT(warnings(p), ElementsAre("/usb", "/ntfs"));
}

TEST(FreezePlan, TakesANumberForAVolumeWhateverElseIsKnownOfIt) {
  const MountTable table = fakes::table_from(kRoot +
                                             "2 1 8:2 / /data rw - ext4 /dev/sdb rw\n"
                                             "3 1 0:44 / /pool rw - btrfs /srv/node rw\n"
                                             "4 1 0:45 / /many rw - bcachefs /dev/sdc:/dev/sdd rw\n");
  const FreezePlan p = plan_freeze(table, {}, {});
  EXPECT_EQ(fate(p, "/data"), "freeze 2") << "each may lie on any other";
  EXPECT_EQ(fate(p, "/pool"), "freeze 1");
  EXPECT_EQ(fate(p, "/many"), "freeze 0");
}

TEST(FreezePlan, WarnsOfWhatItKnowsNothingAbout) {
  const FreezePlan p = plan(kRoot +
                            "2 1 0:30 / /new rw - newfs something rw\n"
                            "3 1 0:31 / /tank rw - zfs tank/data rw\n"
                            "4 1 0:32 / /still ro - newfs something ro\n");
  EXPECT_EQ(fate(p, "/new"), "unknown_type");
  EXPECT_EQ(fate(p, "/tank"), "cannot_freeze");
  EXPECT_EQ(fate(p, "/still"), "read_only");
  EXPECT_THAT(warnings(p), ElementsAre("/new", "/tank"));
}

// Rule 3: read-only, broken, and types that cannot freeze.

TEST(FreezePlan, PassesOverWhatNobodyCanWriteTo) {
  const FreezePlan p = plan(kRoot +
                            "2 1 8:2 / /super ro - ext4 /dev/sdb ro\n"
                            "3 1 8:3 / /mount ro - ext4 /dev/sdc rw\n");
  EXPECT_EQ(fate(p, "/super"), "read_only");
  EXPECT_EQ(fate(p, "/mount"), "freeze 0") << "others write through mounts that are not seen here";
  EXPECT_THAT(warnings(p), IsEmpty());
}

TEST(FreezePlan, PassesOverWhatIsBrokenAndSaysSo) {
  const MountTable table = fakes::table_from(kRoot +
                                             "2 1 8:2 / /sick rw - ext4 /dev/sdb rw,emergency_ro,errors=remount-ro\n"
                                             "3 1 8:3 / /shut rw - ext4 /dev/sdc rw,shutdown\n"
                                             "4 1 8:4 / /gone rw - xfs /dev/sdd rw\n"
                                             "5 1 8:5 / /hurt ro - ext4 /dev/sde ro\n"
                                             "6 1 8:6 / /healed rw - ext4 /dev/sdf rw\n");
  BlockStacks stacks;
  for (const Mount& mount : table.mounts()) stacks[mount.device].devices = {"disk"};
  stacks[makedev(8, 4)].device_gone = true;
  stacks[makedev(8, 5)].has_had_errors = true;
  stacks[makedev(8, 6)].has_had_errors = true;
  const FreezePlan p = plan_freeze(table, stacks, {});
  for (const char* broken : {"/sick", "/shut", "/gone", "/hurt"}) EXPECT_EQ(fate(p, broken), "broken") << broken;
  EXPECT_EQ(fate(p, "/healed"), "freeze 0");
  EXPECT_THAT(warnings(p), ElementsAre("/sick", "/shut", "/gone", "/hurt"));
}

TEST(FreezePlan, FreezesWhatIsWritableThroughAnotherMount) {
  const FreezePlan p = plan(kRoot +
                            "2 1 8:2 / /readonly ro - ext4 /dev/sdb rw\n"
                            "3 1 8:2 / /writable rw - ext4 /dev/sdb rw\n");
  ASSERT_EQ(p.filesystems.size(), 1U);
  EXPECT_EQ(p.filesystems[0].device, makedev(8, 2));
}

TEST(FreezePlan, DoesNotTakeErrorsRemountRoForReadOnly) {
  EXPECT_EQ(fate(plan(kRoot + "2 1 8:2 / /d rw - ext4 /dev/sdb rw,errors=remount-ro\n"), "/d"), "freeze 0");
}

class TypesThatCannotFreeze : public testing::TestWithParam<const char*> {};
TEST_P(TypesThatCannotFreeze, ArePassedOver) {
  const FreezePlan p = plan(kRoot + "2 1 8:2 / /d rw - " + GetParam() + " /dev/sdb rw\n");
  EXPECT_EQ(fate(p, "/d"), "cannot_freeze");
  EXPECT_THAT(warnings(p), ElementsAre("/d"));
}
INSTANTIATE_TEST_SUITE_P(Like, TypesThatCannotFreeze,
                         testing::Values("squashfs", "erofs", "iso9660", "vfat", "exfat", "udf", "hfsplus", "minix",
                                         "reiserfs"));

class TypesThatFreeze : public testing::TestWithParam<const char*> {};
TEST_P(TypesThatFreeze, AreFrozen) {
  EXPECT_EQ(fate(plan(kRoot + "2 1 8:2 / /d rw - " + GetParam() + " /dev/sdb rw\n"), "/d"), "freeze 0");
}
INSTANTIATE_TEST_SUITE_P(Like, TypesThatFreeze,
                         testing::Values("ext2", "ext3", "ext4", "xfs", "jfs", "f2fs", "gfs2", "nilfs2"));

// Rule 4: protected.

TEST(FreezePlan, PassesOverWhatHoldsAProtectedPath) {
  const std::string table = kRoot +
                            "2 1 8:2 / /var rw - ext4 /dev/sdb rw\n"
                            "3 2 8:3 / /var/lib/amazon rw - ext4 /dev/sdc rw\n"
                            "4 2 8:4 / /var/lib/amazon2 rw - ext4 /dev/sdd rw\n";
  const FreezePlan p = plan(table, protecting({"/var/lib/amazon/ssm"}));
  EXPECT_EQ(fate(p, "/var"), "freeze 0");
  EXPECT_EQ(fate(p, "/var/lib/amazon"), "protected_path");
  EXPECT_EQ(at(p, "/var/lib/amazon").why, "holds /var/lib/amazon/ssm");
  EXPECT_EQ(fate(p, "/var/lib/amazon2"), "freeze 0");
  EXPECT_EQ(fate(plan(table, protecting({"/var/log/audit"})), "/var"), "protected_path");
}

TEST(FreezePlan, PassesOverWhatIsMountedBelowAProtectedPath) {
  const FreezePlan p = plan(kRoot +
                                "2 1 8:2 / /var/lib/amazon/ssm/i-0a1b/document rw - ext4 /dev/sdb rw\n"
                                "3 1 8:3 / /var/lib/amazon/ssmx rw - ext4 /dev/sdc rw\n"
                                "4 1 8:4 / /images rw - ext4 /dev/sdd rw\n"
                                "5 1 7:0 / /var/lib/amazon/ssm/logs rw - ext4 /dev/loop0 rw\n",
                            protecting({"/var/lib/amazon/ssm"}), {{"7:0", {"/images/logs.img"}}});
  for (const char* mount_point : {"/var/lib/amazon/ssm/i-0a1b/document", "/images", "/var/lib/amazon/ssm/logs"})
    EXPECT_EQ(fate(p, mount_point), "protected_path") << mount_point;
  EXPECT_EQ(fate(p, "/var/lib/amazon/ssmx"), "freeze 0");
}

TEST(FreezePlan, PassesOverOtherMountsOfAProtectedFilesystem) {
  const FreezePlan p = plan(kRoot +
                                "2 1 8:2 / /state rw - ext4 /dev/sdb rw\n"
                                "3 1 8:2 /ssm /var/lib/amazon/ssm rw - ext4 /dev/sdb rw\n",
                            protecting({"/var/lib/amazon/ssm"}));
  EXPECT_EQ(fate(p, "/state"), "protected_path");
}

TEST(FreezePlan, PassesOverWhatHoldsTheImageOfAProtectedFilesystem) {
  const FreezePlan p = plan(kRoot +
                                "2 1 8:2 / /data rw - ext4 /dev/sdb rw\n"
                                "3 1 7:0 / /ssm rw - ext4 /dev/loop0 rw\n"
                                "4 1 7:1 / /other rw - ext4 /dev/loop1 rw\n",
                            protecting({"/ssm"}), {{"7:0", {"/data/ssm.img"}}, {"7:1", {"/ssm/other.img"}}});
  EXPECT_EQ(fate(p, "/ssm"), "protected_path");
  EXPECT_EQ(fate(p, "/data"), "protected_path");
  EXPECT_EQ(at(p, "/data").why, "holds the image of the filesystem of /ssm");
  EXPECT_EQ(fate(p, "/other"), "freeze 0") << "lies on it, not below it";
}

TEST(FreezePlan, PassesOverTheLayersOfAnOverlayThatHoldsAProtectedPath) {
  const FreezePlan p = plan(kRoot +
                                "2 1 0:40 / /ov rw - overlay overlay rw,lowerdir=/low,upperdir=/up/u,workdir=/up/w\n"
                                "3 1 8:2 / /low rw - ext4 /dev/sdb rw\n"
                                "4 1 7:0 / /up rw - ext4 /dev/loop0 rw\n"
                                "5 1 8:4 / /deep rw - ext4 /dev/sdd rw\n"
                                "6 1 8:5 / /data rw - ext4 /dev/sde rw\n",
                            protecting({"/ov/ssm"}), {{"7:0", {"/deep/image"}}});
  for (const char* layer : {"/low", "/up", "/deep"}) {
    EXPECT_EQ(fate(p, layer), "protected_path") << layer;
    EXPECT_EQ(at(p, layer).holds, "/ov/ssm") << layer;
  }
  EXPECT_EQ(fate(p, "/data"), "freeze 0");
}

TEST(FreezePlan, NeedsNoProtectionForAPathOnRoot) {
  const FreezePlan p =
      plan(kRoot + "2 1 8:2 / /data rw - ext4 /dev/sdb rw\n", protecting({"/var/lib/amazon/ssm", "/nowhere"}));
  EXPECT_EQ(fate(p, "/"), "root_or_boot");
  EXPECT_EQ(fate(p, "/data"), "freeze 0");
}

// Rule 5: exclude, include.

TEST(FreezePlan, PassesOverWhatIsExcluded) {
  const FreezePlan p = plan(kRoot +
                                "2 1 8:2 / /data rw - ext4 /dev/sdb rw\n"
                                "3 2 8:3 / /data/sub rw - ext4 /dev/sdc rw\n"
                                "4 1 8:4 / /database rw - ext4 /dev/sdd rw\n",
                            excluding({"/data"}));
  EXPECT_EQ(fate(p, "/data"), "excluded");
  EXPECT_EQ(fate(p, "/data/sub"), "freeze 0") << "exact mount points, not what lies below";
  EXPECT_EQ(fate(p, "/database"), "freeze 0");
}

TEST(FreezePlan, FreezesNothingButWhatIsIncluded) {
  const FreezePlan p = plan(kRoot +
                                "2 1 8:2 / /data rw - ext4 /dev/sdb rw\n"
                                "3 1 8:3 / /other rw - ext4 /dev/sdc rw\n",
                            including({"/data"}));
  EXPECT_EQ(fate(p, "/data"), "freeze 0");
  EXPECT_EQ(fate(p, "/other"), "not_included");
}

TEST(FreezePlan, UnderstandsGlobsThatStopAtSlashes) {
  const FreezePlan p = plan(kRoot +
                                "2 1 8:2 / /srv/a rw - ext4 /dev/sdb rw\n"
                                "3 1 8:3 / /srv/a/b rw - ext4 /dev/sdc rw\n"
                                "4 1 8:4 / /mnt/disk7 rw - ext4 /dev/sdd rw\n",
                            including({"/srv/*", "/mnt/disk[0-9]"}));
  EXPECT_EQ(fate(p, "/srv/a"), "freeze 0");
  EXPECT_EQ(fate(p, "/srv/a/b"), "not_included");
  EXPECT_EQ(fate(p, "/mnt/disk7"), "freeze 0");
}

TEST(FreezePlan, TakesAMountPointThatLooksLikeAGlobLiterally) {
  const FreezePlan p = plan(kRoot +
                                "2 1 8:2 / /srv/[x] rw - ext4 /dev/sdb rw\n"
                                "3 1 8:3 / /srv/y*\\134z rw - ext4 /dev/sdc rw\n",
                            including({"/srv/[x]", "/srv/y*\\z"}));
  EXPECT_EQ(fate(p, "/srv/[x]"), "freeze 0");
  EXPECT_EQ(fate(p, "/srv/y*\\z"), "freeze 0");
}

TEST(FreezePlan, LetsExcludeWinOverInclude) {
  const FreezePlan p = plan(kRoot +
                                "2 1 8:2 / /srv/a rw - ext4 /dev/sdb rw\n"
                                "3 1 8:3 / /srv/b rw - ext4 /dev/sdc rw\n",
                            selection({"/srv/*"}, {"/srv/b"}, {}));
  EXPECT_EQ(fate(p, "/srv/a"), "freeze 0");
  EXPECT_EQ(fate(p, "/srv/b"), "excluded");
}

TEST(FreezePlan, AppliesPatternsToEveryMountOfAFilesystem) {
  const std::string table = kRoot +
                            "2 1 8:2 / /data rw - ext4 /dev/sdb rw\n"
                            "3 1 8:2 /x /bind rw - ext4 /dev/sdb rw\n";
  const FreezePlan excluded = plan(table, excluding({"/bind"}));
  EXPECT_EQ(fate(excluded, "/data"), "excluded");
  EXPECT_EQ(fate(excluded, "/bind"), "excluded");
  const FreezePlan included = plan(table, including({"/bind"}));
  EXPECT_EQ(included.filesystems.size(), 1U);
}

TEST(FreezePlan, FreezesNothingWhenItIsSwitchedOff) {
  const FreezePlan p = plan(kRoot + "2 1 8:2 / /data rw - ext4 /dev/sdb rw\n", nothing());
  EXPECT_EQ(fate(p, "/data"), "freezing_disabled");
  EXPECT_EQ(fate(p, "/"), "root_or_boot");
  EXPECT_THAT(p.filesystems, IsEmpty());
}

TEST(FreezePlan, CannotBeToldToFreezeWhatItMustNot) {
  const FreezePlan p = plan(kRoot +
                                "2 1 8:2 / /boot rw - ext4 /dev/sda2 rw\n"
                                "3 1 0:30 / /t rw - tmpfs tmpfs rw\n"
                                "4 1 8:4 / /ro ro - ext4 /dev/sdd ro\n"
                                "5 1 8:5 / /ssm rw - ext4 /dev/sde rw\n",
                            selection({"/", "/boot", "/t", "/ro", "/ssm", "*"}, {}, {"/ssm"}));
  EXPECT_THAT(p.filesystems, IsEmpty());
}

// The order of the rules: of two reasons the earlier one is given.

TEST(FreezePlan, GivesTheReasonOfTheFirstRuleThatApplies) {
  const std::string boot = kRoot + "2 1 8:2 / /boot ro - vfat /dev/sda2 ro\n";
  EXPECT_EQ(fate(plan(boot, selection({}, {"/boot"}, {"/boot"})), "/boot"), "root_or_boot");
  const std::string fuse = kRoot + "2 1 8:2 / /d ro - fuseblk /dev/sdb ro\n";
  EXPECT_EQ(fate(plan(fuse, protecting({"/d"})), "/d"), "read_only");
  const std::string squash = kRoot + "2 1 8:2 / /d ro - squashfs /dev/sdb ro\n";
  EXPECT_EQ(fate(plan(squash, protecting({"/d"})), "/d"), "read_only");
  const std::string vfat = kRoot + "2 1 8:2 / /d rw - vfat /dev/sdb rw\n";
  EXPECT_EQ(fate(plan(vfat, protecting({"/d"})), "/d"), "cannot_freeze");
  const std::string data = kRoot + "2 1 8:2 / /d rw - ext4 /dev/sdb rw\n3 2 0:50 / /d rw - tmpfs tmpfs rw\n";
  EXPECT_EQ(fate(plan(data, excluding({"/d"})), "/d"), "excluded");
  EXPECT_EQ(fate(plan(data, including({"/x"})), "/d"), "not_included");
  EXPECT_EQ(fate(plan(data), "/d"), "hidden");
}

// Rule 6: hidden; and reached only through the network.

TEST(FreezePlan, PassesOverWhatIsHiddenByAnOverMount) {
  const FreezePlan p = plan(kRoot +
                            "2 1 8:2 / /data rw - ext4 /dev/sdb rw\n"
                            "3 2 8:3 / /data rw - ext4 /dev/sdc rw\n");
  EXPECT_EQ(fate(p, "/data", 0), "freeze 0") << "the one on top, first because frozen ones are listed first";
  EXPECT_EQ(at(p, "/data", 0).mount.id, 3);
  EXPECT_EQ(fate(p, "/data", 1), "hidden");
}

TEST(FreezePlan, FreezesAHiddenFilesystemThroughAnotherMount) {
  const FreezePlan p = plan(kRoot +
                            "2 1 8:2 / /data rw - ext4 /dev/sdb rw\n"
                            "3 2 0:30 / /data rw - tmpfs tmpfs rw\n"
                            "4 1 8:2 /sub /elsewhere rw - ext4 /dev/sdb rw\n");
  EXPECT_EQ(fate(p, "/elsewhere"), "freeze 0");
  EXPECT_EQ(fate(p, "/data", 0), "same 0");
  ASSERT_EQ(p.filesystems.size(), 1U);
  EXPECT_EQ(p.filesystems[0].mount_point(), "/elsewhere");
  EXPECT_EQ(p.filesystems[0].mounts.size(), 1U);
}

TEST(FreezePlan, PassesOverWhatIsReachedOnlyThroughTheNetwork) {
  for (const char* type : {"nfs4", "nfs", "cifs", "fuse.sshfs", "fuse", "ceph", "9p", "lustre", "afs"}) {
    const FreezePlan p = plan(kRoot + "2 1 0:30 / /net rw - " + type + " server:/ rw\n" +
                              "3 2 8:2 / /net/disk rw - ext4 /dev/sdb rw\n"
                              "4 3 8:3 / /net/disk/deep rw - ext4 /dev/sdc rw\n");
    EXPECT_EQ(fate(p, "/net/disk"), "behind_network") << type;
    EXPECT_EQ(fate(p, "/net/disk/deep"), "behind_network") << type;
  }
}

TEST(FreezePlan, FreezesWhatHasAWayAroundTheNetwork) {
  const FreezePlan p = plan(kRoot +
                            "2 1 0:30 / /net rw - nfs4 server:/ rw\n"
                            "3 2 8:2 / /net/disk rw - ext4 /dev/sdb rw\n"
                            "4 1 8:2 /sub /local rw - ext4 /dev/sdb rw\n");
  EXPECT_EQ(fate(p, "/local"), "freeze 0");
  EXPECT_EQ(fate(p, "/net/disk"), "same 0");
  ASSERT_EQ(p.filesystems[0].mounts.size(), 1U);
}

// One superblock once.

TEST(FreezePlan, FreezesAFilesystemOnceHoweverOftenItIsMounted) {
  const FreezePlan p = plan(kRoot +
                            "2 1 8:2 /x /bind rw - ext4 /dev/sdb rw\n"
                            "3 1 8:2 / /data rw - ext4 /dev/sdb rw\n"
                            "4 3 8:2 / /data/again rw - ext4 /dev/sdb rw\n");
  ASSERT_EQ(p.filesystems.size(), 1U);
  EXPECT_EQ(fate(p, "/data"), "freeze 0") << "the whole filesystem rather than a part of it";
  EXPECT_EQ(fate(p, "/bind"), "same 0");
  EXPECT_EQ(at(p, "/bind").why, "same filesystem as /data");
  EXPECT_EQ(fate(p, "/data/again"), "same 0");
  EXPECT_THAT(p.filesystems[0].mounts, testing::SizeIs(3)) << "all are ways in";
}

TEST(FreezePlan, FreezesABtrfsOnceForAllItsSubvolumes) {
  const FreezePlan p = plan(kRoot +
                            "2 1 0:44 /a /srv/a rw - btrfs /dev/sdb rw\n"
                            "3 1 0:44 /b /srv/b rw - btrfs /dev/sdb rw\n");
  EXPECT_EQ(p.filesystems.size(), 1U);
  EXPECT_EQ(fate(p, "/srv/a"), "freeze 0");
  EXPECT_EQ(fate(p, "/srv/b"), "same 0");
}

// Levels.

TEST(FreezePlan, FreezesAnImageBeforeWhatItLiesOn) {
  const FreezePlan p = plan(kRoot +
                                "2 1 8:2 / /data rw - xfs /dev/sdb rw\n"
                                "3 1 7:0 / /image rw - ext4 /dev/loop0 rw\n",
                            {}, {{"7:0", {"/data/image"}}});
  EXPECT_THAT(order(p), ElementsAre("0 /image", "1 /data"));
}

TEST(FreezePlan, PutsDiskIndependentOfOneAnotherOnOneLevel) {
  const FreezePlan p = plan(kRoot +
                            "2 1 8:2 / /a rw - ext4 /dev/sdb rw\n"
                            "3 1 8:3 / /b rw - ext4 /dev/sdc rw\n"
                            "4 2 8:4 / /a/c rw - ext4 /dev/sdd rw\n");
  EXPECT_THAT(order(p), ElementsAre("0 /a", "0 /b", "0 /a/c")) << "a mount within another is no image on it";
}

TEST(FreezePlan, FollowsImagesInImagesInWhateverOrderTheyAreMounted) {
  const FreezePlan p = plan(kRoot +
                                "2 1 7:2 / /third rw - ext4 /dev/loop2 rw\n"
                                "3 1 8:2 / /data rw - ext4 /dev/sdb rw\n"
                                "4 1 7:0 / /first rw - ext4 /dev/loop0 rw\n"
                                "5 1 7:1 / /second rw - ext4 /dev/loop1 rw\n"
                                "6 1 8:9 / /alone rw - ext4 /dev/sdz rw\n",
                            {}, {{"7:0", {"/data/1"}}, {"7:1", {"/first/2"}}, {"7:2", {"/second/3"}}});
  EXPECT_THAT(order(p), ElementsAre("0 /third", "0 /alone", "1 /second", "2 /first", "3 /data"));
}

TEST(FreezePlan, WaitsForTheHighestOfSeveralStacks) {
  // Two images on /data, one of which carries another one; and a filesystem over two images.
  const FreezePlan p = plan(kRoot +
                                "2 1 8:2 / /data rw - ext4 /dev/sdb rw\n"
                                "3 1 8:3 / /more rw - ext4 /dev/sdc rw\n"
                                "4 1 7:0 / /low rw - ext4 /dev/loop0 rw\n"
                                "5 1 7:1 / /high rw - ext4 /dev/loop1 rw\n"
                                "6 1 9:0 / /raid rw - ext4 /dev/md0 rw\n",
                            {}, {{"7:0", {"/data/0"}}, {"7:1", {"/low/1"}}, {"9:0", {"/data/2", "/more/3"}}});
  EXPECT_EQ(fate(p, "/high"), "freeze 0");
  EXPECT_EQ(fate(p, "/raid"), "freeze 0");
  EXPECT_EQ(fate(p, "/low"), "freeze 1");
  EXPECT_EQ(fate(p, "/more"), "freeze 1");
  EXPECT_EQ(fate(p, "/data"), "freeze 2");
}

TEST(FreezePlan, LeavesNoGapWhereAFilesystemInBetweenIsNotFrozen) {
  const FreezePlan p = plan(kRoot +
                                "2 1 8:2 / /data rw - ext4 /dev/sdb rw\n"
                                "3 1 7:0 / /middle ro - ext4 /dev/loop0 ro\n"
                                "4 1 7:1 / /top rw - ext4 /dev/loop1 rw\n",
                            {}, {{"7:0", {"/data/0"}}, {"7:1", {"/middle/1"}}});
  EXPECT_THAT(order(p), ElementsAre("0 /top", "1 /data"));
}

TEST(FreezePlan, FindsTheFilesystemOfAnImageThroughBindAndOverMounts) {
  const FreezePlan p = plan(kRoot +
                                "2 1 8:2 / /data rw - ext4 /dev/sdb rw\n"
                                "3 2 8:3 / /data rw - ext4 /dev/sdc rw\n"
                                "4 1 8:4 /images /bind rw - ext4 /dev/sdd rw\n"
                                "5 1 8:4 / /disk rw - ext4 /dev/sdd rw\n"
                                "6 1 7:0 / /one rw - ext4 /dev/loop0 rw\n"
                                "7 1 7:1 / /two rw - ext4 /dev/loop1 rw\n",
                            {}, {{"7:0", {"/data/0"}}, {"7:1", {"/bind/1"}}});
  EXPECT_THAT(order(p), ElementsAre("0 /one", "0 /two", "1 /data", "1 /disk"));
  EXPECT_EQ(at(p, "/data", 0).mount.id, 3);
}

TEST(FreezePlan, GoesByTheDeviceBelowAnImageWhereThatIsKnown) {
  // The path is that of a time when something else was mounted there.
  const MountTable table = fakes::table_from(kRoot +
                                             "2 1 8:2 / /data rw - ext4 /dev/sdb rw\n"
                                             "3 1 8:3 / /moved rw - ext4 /dev/sdc rw\n"
                                             "4 1 7:0 / /image rw - ext4 /dev/loop0 rw\n");
  BlockStacks stacks;
  for (const Mount& mount : table.mounts()) stacks[mount.device].devices = {"disk"};
  stacks[makedev(7, 0)].backing_devices = {makedev(8, 3)};
  EXPECT_THAT(order(plan_freeze(table, stacks, {})), ElementsAre("0 /data", "0 /image", "1 /moved"));
  stacks[makedev(7, 0)].backing_devices = {makedev(7, 0)};
  EXPECT_EQ(plan_freeze(table, stacks, {}).filesystems.size(), 3U) << "on itself, which cannot be";
  EXPECT_THAT(order(plan_freeze(table, stacks, protecting({"/image"}))), ElementsAre("0 /data", "0 /moved"));
  stacks[makedev(7, 0)].backing_devices = {makedev(8, 3)};
  EXPECT_THAT(order(plan_freeze(table, stacks, protecting({"/image"}))), ElementsAre("0 /data"));
}

TEST(FreezePlan, FreezesAnImageInAnOverlayBeforeItsLayers) {
  const FreezePlan p = plan(kRoot +
                                "2 1 8:2 / /data rw - ext4 /dev/sdb rw\n"
                                "3 1 8:3 / /low rw - ext4 /dev/sdc rw\n"
                                "4 1 0:40 / /inner rw - overlay o rw,lowerdir=/low,upperdir=/data/u,workdir=/data/w\n"
                                "5 1 0:41 / /outer rw - overlay o rw,lowerdir=/inner,upperdir=/more/u,workdir=/more/w\n"
                                "6 1 7:0 / /image rw - ext4 /dev/loop0 rw\n"
                                "7 1 8:4 / /more rw - ext4 /dev/sdd rw\n"
                                "8 1 8:5 / /other rw - ext4 /dev/sde rw\n",
                            {}, {{"7:0", {"/outer/disk.img"}}});
  EXPECT_EQ(fate(p, "/image"), "freeze 0");
  EXPECT_EQ(fate(p, "/other"), "freeze 0");
  for (const char* layer : {"/data", "/low", "/more"}) EXPECT_NE(fate(p, layer), "freeze 0") << layer;
}

TEST(FreezePlan, FlushesTheDevicesOfWhatDoesNotDoThatItself) {
  const auto flushed = [](const std::string& type, const std::string& options) {
    const FreezePlan made = plan(kRoot + "2 1 8:2 / /data rw - " + type + " /dev/sdb " + options + "\n");
    return made.filesystems.at(0).to_flush;
  };
  for (const char* options : {"rw", "rw,barrier=1", "rw,barrier", "rw,barrier=flush"})
    EXPECT_THAT(flushed("ext4", options), IsEmpty()) << options;
  for (const char* options : {"rw,nobarrier", "rw,barrier=0", "rw,barrier=none"})
    EXPECT_THAT(flushed("ext4", options), ElementsAre("/dev/disk")) << options;
  for (const char* type : {"ext2", "jfs", "nilfs2", "new"})
    EXPECT_THAT(flushed(type, "rw"), ElementsAre("/dev/disk")) << type;
}

TEST(FreezePlan, FlushesWhatLiesBelowAsWellWhereThatIsNotFrozen) {
  const std::string table =
      kRoot + "2 1 8:2 / /low rw - ext4 /dev/sdb rw,nobarrier\n3 1 7:1 / /middle rw - ext2 /dev/loop1 rw\n" +
      "4 1 7:2 / /top rw - xfs /dev/loop2 rw\n";
  const auto flushes_of_top = [&](const Selection& wanted) {
    BlockStacks stacks;
    stacks[makedev(8, 1)].devices = {"sda1"};
    stacks[makedev(8, 2)].devices = {"cciss!c0d0"};
    stacks[makedev(7, 1)].devices = {"loop1"};
    stacks[makedev(7, 1)].backing_files = {"/low/f"};
    stacks[makedev(7, 2)].devices = {"loop2"};
    stacks[makedev(7, 2)].backing_files = {"/middle/f"};
    return plan_freeze(fakes::table_from(table), stacks, wanted).filesystems.front().to_flush;
  };
  EXPECT_THAT(flushes_of_top(including({"/top"})), ElementsAre("/dev/loop1", "/dev/cciss/c0d0"));
  EXPECT_THAT(flushes_of_top(excluding({"/low"})), ElementsAre("/dev/cciss/c0d0"));
  EXPECT_THAT(flushes_of_top({}), IsEmpty());
}

TEST(FreezePlan, FreezesWhatLiesOnUnknownGroundBeforeEverythingElse) {
  const std::string table = kRoot +
                            "2 1 8:2 / /data rw - ext4 /dev/sdb rw\n"
                            "3 1 7:0 / /on-data rw - ext4 /dev/loop0 rw\n"
                            "4 1 7:1 / /unknown rw - ext4 /dev/loop1 rw\n"
                            "5 1 7:2 / /on-unknown rw - ext4 /dev/loop2 rw\n";
  const MountTable mounts = fakes::table_from(table);
  BlockStacks stacks;
  for (const Mount& mount : mounts.mounts()) stacks[mount.device].devices = {"disk"};
  stacks[makedev(7, 0)].backing_files = {"/data/0"};
  stacks[makedev(7, 1)].ground_unknown = true;
  stacks[makedev(7, 2)].backing_files = {"/unknown/2"};
  EXPECT_THAT(order(plan_freeze(mounts, stacks, {})),
              ElementsAre("0 /on-unknown", "1 /unknown", "2 /on-data", "3 /data"));
}

TEST(FreezePlan, GivesEachOfUnknownGroundAPlaceOfItsOwnTheLatestFirst) {
  const MountTable mounts = fakes::table_from(kRoot +
                                              "2 1 7:9 / /a rw - ext4 /dev/loop9 rw\n"
                                              "3 1 7:5 / /b rw - ext4 /dev/loop5 rw\n"
                                              "4 1 7:7 / /c rw - ext4 /dev/loop7 rw\n"
                                              "5 1 8:2 / /data rw - ext4 /dev/sdb rw\n");
  BlockStacks stacks;
  for (const Mount& mount : mounts.mounts()) stacks[mount.device].ground_unknown = major(mount.device) == 7;
  EXPECT_THAT(order(plan_freeze(mounts, stacks, {})), ElementsAre("0 /c", "1 /b", "2 /a", "3 /data"));
  stacks[makedev(7, 9)].backing_files = {"/c/image"};
  EXPECT_THAT(order(plan_freeze(mounts, stacks, {})), ElementsAre("0 /b", "1 /a", "2 /c", "3 /data"));
}

// Overlays whose layers cannot be told.

const std::string kUntold =
    "3 1 0:40 / /ov rw - overlay o rw,lowerdir=l,upperdir=u,workdir=w\n"
    "4 1 8:2 / /data rw - ext4 /dev/sdb rw\n";

TEST(Problem, IsAProtectedPathOnAnOverlayWhoseWritesMayGoAnywhere) {
  EXPECT_EQ(plan(kRoot + kUntold).problem, "");
  EXPECT_THAT(plan(kRoot + kUntold, protecting({"/ov/ssm"})).problem, testing::HasSubstr("/ov/ssm, which must not"));
  EXPECT_EQ(plan(kRoot + kUntold, protecting({"/data", "/var"})).problem, "");
  EXPECT_EQ(plan(kRoot + kUntold, selection({}, {"/data"}, {"/ov/ssm"})).problem, "") << "nothing is frozen";
  const std::string read_only = "3 1 0:40 / /ov ro - overlay o ro,lowerdir=l:m\n4 1 8:2 / /d rw - ext4 /dev/x rw\n";
  EXPECT_EQ(plan(kRoot + read_only, protecting({"/ov/ssm"})).problem, "") << "nothing can be written there";
}

TEST(Problem, IsARootOnSuchAnOverlayWhateverElseIsKnownToHoldAPartOfIt) {
  const std::string root = "1 0 0:50 / / rw - overlay o rw,lowerdir=l,upperdir=u,workdir=w\n";
  const std::string data = "4 1 8:2 / /data rw - ext4 /dev/sdb rw\n";
  EXPECT_THAT(plan(root + data).problem, testing::HasSubstr("the root filesystem lies on an overlay"));
  EXPECT_EQ(plan(root + data, including({"/data"})).problem, "");
  const std::string with_lower =
      "1 0 0:50 / / rw - overlay o rw,lowerdir=/low,upperdir=u,workdir=w\n5 1 8:3 / /low rw - ext4 /dev/sdc rw\n";
  for (const std::string& table :
       {root + "5 1 8:3 / /sysroot rw - ext4 /dev/sdc rw\n", root + "5 1 8:3 / /boot rw - ext4 /dev/sdc rw\n",
        root + "5 1 8:3 / /etc rw - ext4 /dev/sdc rw\n", root + "5 1 8:3 /x /etc/hosts rw - ext4 /dev/sdc rw\n",
        with_lower}) {
    EXPECT_NE(plan(table + data).problem, "") << table;
  }
  EXPECT_EQ(plan(image_mode("lowerdir=l:m")).problem, "") << "nothing can be written there";
}

TEST(Problem, IsARootOrAProtectedPathOnAnImageOfWhichItCannotBeToldWhereItLies) {
  const std::string data = "2 1 8:2 / /data rw - ext4 /dev/sdb rw\n";
  const auto problem = [&](const std::string& table, const Selection& wanted) {
    const MountTable mounts = fakes::table_from(table + data);
    BlockStacks stacks;
    for (const Mount& mount : mounts.mounts()) stacks[mount.device].writes_untold = major(mount.device) == 7;
    return plan_freeze(mounts, stacks, wanted).problem;
  };
  const std::string image = "1 0 7:0 / / rw - ext4 /dev/loop0 rw\n";
  EXPECT_THAT(problem(image, {}),
              testing::HasSubstr("the root filesystem lies on an image whose location cannot be determined"));
  EXPECT_EQ(problem(image, including({"/data"})), "");
  EXPECT_EQ(problem("1 0 7:0 / / ro - squashfs /dev/loop0 ro\n", {}), "");
  EXPECT_NE(problem("1 0 0:50 / / rw - overlay o rw,lowerdir=/l,upperdir=/up/u\n3 1 7:0 / /up rw - ext4 l rw\n", {}),
            "");
  const std::string mounted = kRoot + "3 1 7:0 / /ssm rw - ext4 /dev/loop0 rw\n";
  EXPECT_EQ(problem(mounted, {}), "");
  EXPECT_THAT(problem(mounted, protecting({"/ssm/x"})), testing::HasSubstr("mount what holds the image of /ssm"));
}

TEST(Problem, IsAProtectedPathOnFuse) {
  const std::string table = kRoot + "2 1 0:50 / /vault rw - fuse.gocryptfs vault rw\n3 1 8:2 / /data rw - ext4 x rw\n";
  EXPECT_EQ(plan(table).problem, "");
  EXPECT_THAT(plan(table, protecting({"/vault/ssm"})).problem, testing::HasSubstr("a FUSE filesystem"));
}

TEST(FreezePlan, BelievesWhatWasFoundOfLayersRatherThanTheText) {
  HostFacts facts;
  facts.layers[makedev(0, 40)] = {{"/low", "/data/u"}, "/data/u", true, {}};
  const FreezePlan p = plan(kRoot + kUntold, protecting({"/ov/ssm"}), {}, facts);
  EXPECT_EQ(p.problem, "");
  EXPECT_EQ(fate(p, "/data"), "protected_path");
}

TEST(FreezePlan, DoesNotKnowWhereAnImageOnFuseOrAFilesystemWithSeveralKindsOfDevicesLies) {
  const std::string fuse = "3 1 0:50 / /sshfs rw - fuse.sshfs host:/ rw\n";
  for (const auto& [line, images] : std::vector<std::pair<std::string, Images>>{
           {"4 1 7:0 / /x rw - ext4 /dev/loop0 rw\n", {{"7:0", {"/sshfs/image"}}}},
           {"4 1 8:4 / /x rw - xfs /dev/sdd rw,logdev=/dev/loop3\n", {}},
           {"4 1 8:4 / /x rw - xfs /dev/sdd rw,rtdev=/dev/loop3\n", {}},
       }) {
    EXPECT_THAT(order(plan(kRoot + "2 1 8:2 / /data rw - ext4 /dev/sdb rw\n" + fuse + line, {}, images)),
                ElementsAre("0 /x", "1 /data"))
        << line;
  }
}

TEST(FreezePlan, EndsAlsoWhereImagesLieOnOneAnotherInACircle) {
  const FreezePlan p = plan(kRoot +
                                "2 1 7:0 / /a rw - ext4 /dev/loop0 rw\n"
                                "3 1 7:1 / /b rw - ext4 /dev/loop1 rw\n"
                                "4 1 7:2 / /self rw - ext4 /dev/loop2 rw\n",
                            {}, {{"7:0", {"/b/x"}}, {"7:1", {"/a/x"}}, {"7:2", {"/self/x"}}});
  EXPECT_EQ(p.filesystems.size(), 3U);
}

TEST(FreezePlan, ListsFrozenMountsInFreezeOrderAndThenTheOthersInThatOfTheTable) {
  const FreezePlan p = plan(
      "9 1 0:9 / /proc rw - proc proc rw\n"
      "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n"
      "2 1 8:2 / /data rw - ext4 /dev/sdb rw\n"
      "3 1 0:30 / /tmp rw - tmpfs tmpfs rw\n"
      "4 1 7:0 / /image rw - ext4 /dev/loop0 rw\n",
      {}, {{"7:0", {"/data/image"}}});
  std::vector<int> ids;
  for (const PlannedMount& planned : p.mounts) ids.push_back(planned.mount.id);
  EXPECT_THAT(ids, ElementsAre(4, 2, 9, 1, 3));
}

TEST(FreezePlan, IsMadeForATableOf1000MountsInAMoment) {
  std::string table = kRoot;
  Images images;
  for (int i = 2; i <= 1000; ++i) {
    const std::string n = std::to_string(i);
    table += n + " 1 7:" + n + " / /m/" + n + " rw - ext4 /dev/loop" + n + " rw\n";
    if (i % 10 != 0) images["7:" + n] = {"/m/" + std::to_string(i / 10 * 10) + "/image"};
  }
  const auto begin = std::chrono::steady_clock::now();
  const FreezePlan p = plan(table, excluding({"/m/5", "/m/6*"}), images);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
  EXPECT_EQ(p.mounts.size(), 1000U);
}

// No silent gap.

TEST(Gaps, AreWhatHasAVolumeAndCanBeWrittenAndIsNotFrozen) {
  const std::string table = kRoot +
                            "2 1 8:2 / /boot rw - ext4 /dev/sda2 rw\n"
                            "3 1 8:3 / /efi rw - vfat /dev/sda3 rw\n"
                            "4 1 8:4 / /ssm rw - ext4 /dev/sdb rw\n"
                            "5 1 8:4 /x /bind rw - ext4 /dev/sdb rw\n"
                            "6 1 8:5 / /home rw - ext4 /dev/sdc rw\n"
                            "7 1 8:6 / /data rw - ext4 /dev/sdd rw\n"
                            "8 1 0:30 / /tmp rw - tmpfs tmpfs rw\n"
                            "9 1 7:0 / /snap ro - squashfs /dev/loop0 ro\n";
  const FreezePlan p = plan(table, selection({}, {"/home"}, {"/ssm"}));
  EXPECT_THAT(warnings(p), ElementsAre("/efi", "/ssm"));
  std::vector<std::string> expected;
  for (const Gap& gap : p.gaps) {
    if (gap.expected) expected.push_back(p.mounts[gap.mount].mount.mount_point);
  }
  EXPECT_THAT(expected, ElementsAre("/", "/boot", "/home"));
}

TEST(Gaps, CountTheOtherMountsOfAFilesystem) {
  const FreezePlan p = plan(kRoot +
                                "2 1 8:4 / /ssm rw - ext4 /dev/sdb rw\n"
                                "3 1 8:4 /x /bind rw - ext4 /dev/sdb rw\n"
                                "4 1 8:4 /y /also rw - ext4 /dev/sdb rw\n",
                            protecting({"/ssm"}));
  ASSERT_EQ(p.gaps.size(), 2U);
  EXPECT_EQ(p.gaps[1].others, 2U);
}

TEST(Gaps, AreExpectedWhereTheConfigurationLeavesThemOutWhateverElseThereIsAgainstThem) {
  const std::string table = kRoot +
                            "2 1 8:3 / /efi rw - vfat /dev/sda3 rw\n"
                            "3 1 8:4 / /ssm rw - ext4 /dev/sdb rw\n"
                            "4 1 8:5 / /data rw - ext4 /dev/sdc rw\n";
  EXPECT_THAT(warnings(plan(table, selection({}, {"/efi"}, {"/ssm"}))), ElementsAre("/ssm"));
  EXPECT_THAT(warnings(plan(table, selection({"/data"}, {}, {"/ssm"}))), IsEmpty());
  EXPECT_THAT(warnings(plan(table, nothing())), IsEmpty());
}

/// What process 77 alone has mounted, each line a filesystem.
HostFacts unseen(const std::string& lines) {
  HostFacts facts;
  const MountTable table = fakes::table_from(lines);
  for (const Mount& mount : table.mounts()) facts.unseen.push_back({{{mount, 77, "mariadbd"}}});
  return facts;
}

TEST(Gaps, AreFilesystemsThatOtherMountNamespacesHave) {
  HostFacts facts = unseen("9 1 8:9 / /pod/data rw - ext4 /dev/sdz rw\n");
  facts.out_of_reach = "no reason";
  const FreezePlan p = plan(kRoot, {}, {}, facts);
  EXPECT_EQ(fate(p, "/pod/data"), "unseen");
  EXPECT_THAT(at(p, "/pod/data").why, testing::HasSubstr("process 77 (mariadbd)"));
  EXPECT_THAT(warnings(p), ElementsAre("/pod/data"));
  EXPECT_EQ(fate(plan(kRoot, excluding({"/pod/*"}), {}, facts), "/pod/data"), "excluded");
  EXPECT_THAT(warnings(plan(kRoot, excluding({"/pod/*"}), {}, facts)), IsEmpty());
  EXPECT_THAT(warnings(plan(kRoot, including({"/data"}), {}, facts)), IsEmpty());
}

// Filesystems of other mount namespaces.

const std::string kPodData = "9 1 8:9 / /pod/data rw - ext4 /dev/sdz rw\n";

TEST(Elsewhere, IsFrozenLikeWhatIsMountedHere) {
  const FreezePlan p = plan(kRoot + "2 1 8:2 / /data rw - ext4 /dev/sdb rw\n", {}, {}, unseen(kPodData));
  EXPECT_EQ(fate(p, "/pod/data"), "freeze 0");
  EXPECT_EQ(at(p, "/pod/data").why, "mounted only in another mount namespace: that of process 77 (mariadbd)");
  EXPECT_EQ(at(p, "/pod/data").name(), "/pod/data (process 77, mariadbd)");
  EXPECT_THAT(warnings(p), IsEmpty());
  for (const PlannedFilesystem& filesystem : p.filesystems) {
    const bool is_there = filesystem.mount_point() == "/pod/data";
    ASSERT_EQ(filesystem.elsewhere.size(), is_there ? 1U : 0U) << filesystem.mount_point();
    EXPECT_EQ(is_there ? filesystem.elsewhere[0].process : 77, 77);
  }
}

TEST(Elsewhere, IsLeftOutAsTheConfigurationSays) {
  const HostFacts facts = unseen(kPodData);
  Selection wanted;
  wanted.other_namespaces = OtherNamespaces::warn;
  EXPECT_EQ(fate(plan(kRoot, wanted, {}, facts), "/pod/data"), "unseen");
  EXPECT_THAT(warnings(plan(kRoot, wanted, {}, facts)), ElementsAre("/pod/data"));
  wanted.other_namespaces = OtherNamespaces::ignore;
  EXPECT_EQ(fate(plan(kRoot, wanted, {}, facts), "/pod/data"), "ignored");
  EXPECT_THAT(warnings(plan(kRoot, wanted, {}, facts)), IsEmpty());
  EXPECT_EQ(fate(plan(kRoot, including({"/data"}), {}, facts), "/pod/data"), "not_included");
  EXPECT_EQ(fate(plan(kRoot, including({"/pod/*"}), {}, facts), "/pod/data"), "freeze 0");
  EXPECT_THAT(plan(kRoot, including({"/pod/*"}), {}, facts).unmatched, IsEmpty());
  EXPECT_EQ(fate(plan(kRoot, nothing(), {}, facts), "/pod/data"), "freezing_disabled");
}

TEST(Elsewhere, IsExcludedByAnyOfItsMountPoints) {
  HostFacts facts = unseen(kPodData);
  facts.unseen[0].mounts.push_back(
      {fakes::table_from("19 11 8:9 /x /other rw - ext4 /dev/sdz rw\n").mounts()[0], 78, "x"});
  EXPECT_EQ(fate(plan(kRoot, excluding({"/other"}), {}, facts), "/pod/data"), "excluded");
}

TEST(Elsewhere, IsNotFrozenWhereNoMountOfItMayBeOpened) {
  HostFacts facts = unseen(kPodData);
  facts.unseen[0].mounts[0].obstacle = "it belongs to a user namespace";
  const FreezePlan shut = plan(kRoot, {}, {}, facts);
  EXPECT_EQ(fate(shut, "/pod/data"), "unseen");
  EXPECT_EQ(at(shut, "/pod/data").why,
            "mounted only in another mount namespace: that of process 77 (mariadbd); it belongs to a user namespace");
  facts.unseen[0].mounts.push_back(
      {fakes::table_from("19 11 8:9 / /other rw - ext4 /dev/sdz rw\n").mounts()[0], 78, "x"});
  const FreezePlan open = plan(kRoot, {}, {}, facts);
  EXPECT_EQ(fate(open, "/other"), "freeze 0");
  ASSERT_EQ(open.filesystems.size(), 1U);
  ASSERT_EQ(open.filesystems[0].elsewhere.size(), 1U);
  EXPECT_EQ(open.filesystems[0].elsewhere[0].process, 78);
}

TEST(Elsewhere, IsNotFrozenWhereTheHostsRootOrAProtectedPathLiesOnIt) {
  HostFacts facts = unseen("9 1 8:9 / /var rw - ext4 /dev/sdz rw\n");
  EXPECT_EQ(fate(plan(kRoot, protecting({"/var/lib/ssm"}), {}, facts), "/var"), "freeze 0")
      << "that of a container is not the host's";
  facts.unseen[0].mounts[0].is_of_first = true;
  EXPECT_EQ(fate(plan(kRoot, protecting({"/var/lib/ssm"}), {}, facts), "/var"), "protected_path");
  EXPECT_EQ(fate(plan(kRoot, protecting({"/"}), {}, facts), "/var"), "freeze 0");
  EXPECT_EQ(fate(plan(kRoot, {}, {}, facts), "/var"), "freeze 0");
  facts.roots_of_others = {makedev(8, 9)};
  EXPECT_EQ(fate(plan(kRoot, {}, {}, facts), "/var"), "holds_root");
}

TEST(Elsewhere, IsFrozenBeforeWhatItLiesOn) {
  BlockStack image;
  image.devices = image.all_devices = {"loop0"};
  image.backing_devices = {makedev(8, 9)};
  BlockStack disk;
  disk.devices = disk.all_devices = {"sdz"};
  const MountTable table = fakes::table_from(kRoot);
  const HostFacts facts = unseen(kPodData + "10 1 7:0 / /inner rw - ext4 /dev/loop0 rw\n");
  const BlockStacks stacks = {{makedev(7, 0), image}, {makedev(8, 9), disk}};
  const FreezePlan p = plan_freeze(table, stacks, {}, facts);
  EXPECT_EQ(fate(p, "/inner"), "freeze 0");
  EXPECT_EQ(fate(p, "/pod/data"), "freeze 1");
}

TEST(Elsewhere, IsNotFrozenOnAnImageThatLiesOnFuseOrAnywhere) {
  BlockStack image;
  image.devices = image.all_devices = {"loop0"};
  image.backing_devices = {makedev(0, 40)};
  const HostFacts facts = unseen("10 1 7:0 / /inner rw - ext4 /dev/loop0 rw\n");
  for (const std::string type : {"fuse.sshfs", "nfs4"}) {
    const MountTable table = fakes::table_from(kRoot + "2 1 0:40 / /remote rw - " + type + " x rw\n");
    const FreezePlan p = plan_freeze(table, {{makedev(7, 0), image}}, {}, facts);
    EXPECT_EQ(fate(p, "/inner"), "unseen") << type;
    EXPECT_THAT(at(p, "/inner").why, testing::HasSubstr("; it lies on ")) << type;
  }
  image.backing_devices.clear();
  image.ground_unknown = image.writes_untold = true;
  const FreezePlan untold = plan_freeze(fakes::table_from(kRoot), {{makedev(7, 0), image}}, {}, facts);
  EXPECT_THAT(at(untold, "/inner").why, testing::HasSubstr("it lies on an image whose location cannot be determined"));
}

TEST(Elsewhere, IsNotFrozenWhereItIsBoot) {
  const FreezePlan p = plan(kRoot, {}, {}, unseen("9 1 8:9 / /boot rw - ext4 /dev/sdz rw\n"));
  EXPECT_EQ(fate(p, "/boot"), "root_or_boot");
  EXPECT_THAT(warnings(p), IsEmpty());
}

TEST(Elsewhere, IsNotFrozenOnADeviceThatNobodyKnows) {
  const HostFacts facts = unseen("9 1 0:9 / /pool rw - btrfs /tmp/node rw\n");
  const FreezePlan p = plan_freeze(fakes::table_from(kRoot), {{makedev(0, 9), BlockStack()}}, {}, facts);
  EXPECT_THAT(at(p, "/pool").why, testing::HasSubstr("; its device cannot be determined"));
}

TEST(Elsewhere, IsNotFrozenWhereItsTypeCannotBe) {
  EXPECT_EQ(fate(plan(kRoot, {}, {}, unseen("9 1 8:9 / /efi rw - vfat /dev/sdz rw\n")), "/efi"), "cannot_freeze");
}

TEST(Gaps, AreFilesystemsThatTheKernelMadeReadOnly) {
  const std::string table = kRoot +
                            "2 1 0:40 / /sick rw,relatime - btrfs /dev/sdb ro,space_cache=v2,subvolid=5,subvol=/\n"
                            "3 1 0:40 /x /bind ro,relatime - btrfs /dev/sdb ro,space_cache=v2,subvolid=5,subvol=/\n"
                            "4 1 8:3 / /archive ro - ext4 /dev/sdc ro\n"
                            "5 1 7:0 / /snap rw - squashfs /dev/loop0 ro\n";
  const FreezePlan p = plan(table);
  EXPECT_EQ(fate(p, "/sick"), "broken");
  EXPECT_EQ(at(p, "/sick").why, "broken: the filesystem is read-only, although /sick is mounted for writing");
  EXPECT_EQ(fate(p, "/archive"), "read_only");
  EXPECT_EQ(fate(p, "/snap"), "read_only");
  EXPECT_THAT(warnings(p), ElementsAre("/sick"));
  EXPECT_THAT(warnings(plan(table, excluding({"/sick"}))), IsEmpty());
  const FreezePlan pod = plan(kRoot, {}, {}, unseen("9 1 8:9 / /pod/data rw - xfs /dev/sdz ro\n"));
  EXPECT_EQ(fate(pod, "/pod/data"), "broken");
  EXPECT_THAT(warnings(pod), ElementsAre("/pod/data"));
}

TEST(Gaps, AreOverlaysThatAreNamedWithoutWhatTakesTheirWrites) {
  const std::string table = kRoot +
                            "2 1 8:2 / /a rw - ext4 /dev/sdb rw\n"
                            "3 1 8:3 / /b rw - ext4 /dev/sdc rw\n"
                            "4 1 0:40 / /ov rw - overlay o rw,lowerdir=/a/l,upperdir=/a/u,workdir=/a/w\n"
                            "5 1 0:41 / /untold rw - overlay o rw,lowerdir=l,upperdir=u,workdir=w\n"
                            "6 1 0:42 / /ro ro - overlay o ro,lowerdir=/a:/b\n"
                            "7 1 0:43 / /memory rw - tmpfs t rw\n";
  const FreezePlan p = plan(table, including({"/ov", "/b"}));
  EXPECT_THAT(warnings(p), ElementsAre("/ov"));
  EXPECT_EQ(at(p, "/ov").why, "overlay, whose writes go to /a, which is not frozen: include that as well");
  EXPECT_THAT(warnings(plan(table, including({"/ov", "/a"}))), IsEmpty());
  EXPECT_THAT(warnings(plan(table, including({"/untold", "/memory", "/ro"}))), ElementsAre("/untold", "/memory"));
  EXPECT_THAT(warnings(plan(table, including({"/[bmo]*"}))), ElementsAre("/ov")) << "a glob did not name /memory";
  EXPECT_THAT(warnings(plan(table, selection({"/ov", "/b"}, {"/ov"}, {}))), IsEmpty());
}

// Who has to wait.

TEST(Writable, IsWhatLiesOnNothingThatIsFrozen) {
  const FreezePlan p =
      plan(kRoot +
               "2 1 8:2 / /data rw - ext4 /dev/sdb rw\n"
               "3 1 0:40 / /over-data rw - overlay o rw,lowerdir=/low,upperdir=/data/u,workdir=/data/w\n"
               "4 1 0:41 / /over-root rw - overlay o rw,lowerdir=/low,upperdir=/u,workdir=/w\n"
               "5 1 7:0 / /image rw - ext4 /dev/loop0 rw\n"
               "6 1 0:30 / /tmp rw - tmpfs tmpfs rw\n"
               "7 1 0:31 / /net rw - nfs4 server:/ rw\n"
               "8 1 0:42 / /untold rw - overlay o rw,lowerdir=l/A,upperdir=u,workdir=w\n",
           excluding({"/image"}), {{"7:0", {"/data/image"}}});
  const auto writes_at_once = [&](const char* mount_point) {
    return p.writable.contains(at(p, mount_point).mount.device);
  };
  EXPECT_TRUE(writes_at_once("/"));
  EXPECT_TRUE(writes_at_once("/tmp"));
  EXPECT_TRUE(writes_at_once("/over-root"));
  EXPECT_FALSE(writes_at_once("/data"));
  EXPECT_FALSE(writes_at_once("/over-data"));
  EXPECT_FALSE(writes_at_once("/image")) << "its device waits";
  EXPECT_FALSE(writes_at_once("/net")) << "nobody knows";
  EXPECT_FALSE(writes_at_once("/untold"));
}

TEST(Writable, IsARootOnADiskWhateverElseIsUnknown) {
  const MountTable mounts = fakes::table_from(kRoot +
                                              "2 1 8:2 / /data rw - ext4 /dev/sdb rw\n"
                                              "3 1 8:3 / /else rw - ext4 /dev/sdc rw\n");
  BlockStacks stacks;
  for (const Mount& mount : mounts.mounts()) stacks[mount.device].ground_unknown = true;
  Selection wanted = including({"/data"});
  EXPECT_THAT(plan_freeze(mounts, stacks, wanted).writable, ElementsAre(makedev(8, 1)));
  const FreezePlan untold =
      plan("1 0 0:50 / / rw - overlay o rw,lowerdir=l,upperdir=u\n2 1 8:2 / /data rw - xfs x rw\n");
  EXPECT_THAT(untold.writable, IsEmpty());
}

}  // namespace
}  // namespace dlm_freeze
