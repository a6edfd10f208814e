// SPDX-License-Identifier: Apache-2.0
#include "fs/mount_table.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <chrono>
#include <string>
#include <vector>

#include "dlm_freeze/base/unique_fd.hpp"
#include "fakes/mount_tables.hpp"
#include "fakes/scratch.hpp"

namespace dlm_freeze {
namespace {

using fakes::table_from;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

int id_at(const MountTable& table, std::string_view path) {
  const Mount* mount = table.resolve(path);
  return mount != nullptr ? mount->id : -1;
}

std::vector<int> ids(const std::vector<const Mount*>& mounts) {
  std::vector<int> all;
  for (const Mount* mount : mounts) all.push_back(mount->id);
  return all;
}

TEST(MountTable, HasEveryFieldOfALine) {
  const MountTable table =
      table_from("64 27 259:4 /sub /data rw,noatime shared:33 master:2 - ext4 /dev/nvme1n1p1 rw,errors=remount-ro\n");
  ASSERT_EQ(table.mounts().size(), 1U);
  const Mount& mount = table.mounts()[0];
  EXPECT_EQ(mount.id, 64);
  EXPECT_EQ(mount.parent_id, 27);
  EXPECT_EQ(mount.device, makedev(259, 4));
  EXPECT_EQ(mount.root, "/sub");
  EXPECT_EQ(mount.mount_point, "/data");
  EXPECT_EQ(mount.type, "ext4");
  EXPECT_EQ(mount.source, "/dev/nvme1n1p1");
  EXPECT_EQ(mount.options, "rw,noatime");
  EXPECT_EQ(mount.super_options, "rw,errors=remount-ro");
}

TEST(MountTable, UndoesEscapes) {
  const MountTable table = table_from(
      "1 0 8:1 /a\\040b / rw - ext4 /dev/sda1 rw\n"
      "2 1 8:2 / /two\\040words rw - ext4 /dev/a\\040disk rw\n"
      "3 1 8:3 / /tab\\011new\\012line rw - ext4 /dev/sdc rw\n"
      "4 1 8:4 / /back\\134slash rw - ext4 /dev/sdd rw\n"
      "5 1 8:5 / /\\134040 rw - ext4 /dev/sde rw\n"
      "6 1 8:6 / /M\xc3\xbcller rw - ext4 /dev/sdf rw\n"
      "7 1 8:7 / /latin1-\xfc rw - ext4 /dev/sdg rw\n");
  EXPECT_EQ(table.find(1)->root, "/a b");
  EXPECT_EQ(table.find(2)->mount_point, "/two words");
  EXPECT_EQ(table.find(2)->source, "/dev/a disk");
  EXPECT_EQ(table.find(3)->mount_point, "/tab\tnew\nline");
  EXPECT_EQ(table.find(4)->mount_point, "/back\\slash");
  EXPECT_EQ(table.find(5)->mount_point, "/\\040") << "an escaped backslash begins no escape";
  EXPECT_EQ(table.find(6)->mount_point, "/M\xc3\xbcller");
  EXPECT_EQ(table.find(7)->mount_point, "/latin1-\xfc");
}

TEST(MountTable, KeepsTheOrderOfTheTable) {
  const MountTable table = table_from(
      "9 1 8:2 / /b rw - ext4 /dev/b rw\n"
      "1 0 8:1 / / rw - ext4 /dev/a rw\n"
      "5 1 8:3 / /a rw - ext4 /dev/c rw\n");
  EXPECT_THAT(ids({&table.mounts()[0], &table.mounts()[1], &table.mounts()[2]}), ElementsAre(9, 1, 5));
}

TEST(MountTable, ReadsTheTableOfThisVeryHost) {
  const auto table = MountTable::read();
  ASSERT_TRUE(table) << table.error().message;
  ASSERT_NE(table->resolve("/"), nullptr);
  struct stat info {};
  ASSERT_EQ(::stat("/proc", &info), 0);
  const Mount* proc = table->resolve("/proc/self");
  ASSERT_NE(proc, nullptr);
  EXPECT_EQ(proc->type, "proc");
  EXPECT_EQ(proc->device, info.st_dev);
}

TEST(MountTable, SaysWhichFileItCannotRead) {
  const auto table = MountTable::read("/nowhere/mountinfo");
  ASSERT_FALSE(table);
  EXPECT_THAT(table.error().message, HasSubstr("/nowhere/mountinfo"));
}

TEST(MountTable, IsEmptyForAnEmptyFile) {
  const MountTable table = table_from("");
  EXPECT_THAT(table.mounts(), IsEmpty());
  EXPECT_EQ(table.resolve("/"), nullptr);
}

TEST(MountTable, ReadsATableWithoutARootAsAChrootDoes) {
  // The root directory is no mount point, so it has no line; the parents of the others are not shown either.
  const MountTable table = table_from(
      "7 3 8:2 / /data rw - ext4 /dev/b rw\n"
      "8 7 8:3 / /data/sub rw - ext4 /dev/c rw\n"
      "9 3 0:4 / /proc rw - proc proc rw\n");
  EXPECT_EQ(table.root(), nullptr);
  EXPECT_EQ(id_at(table, "/etc"), -1);
  EXPECT_EQ(id_at(table, "/data/x"), 7);
  EXPECT_EQ(id_at(table, "/data/sub/x"), 8);
  EXPECT_TRUE(table.is_visible(*table.find(8)));
}

TEST(SuperOptions, AreFoundWholeAndOfTheSuperblockAlone) {
  Mount mount;
  mount.options = "ro,noatime";
  mount.super_options = "rw,errors=remount-ro,logdev=/dev/x,empty=";
  EXPECT_TRUE(mount.has_super_option("rw"));
  EXPECT_TRUE(mount.has_super_option("logdev"));
  EXPECT_TRUE(mount.has_super_option("empty"));
  EXPECT_FALSE(mount.has_super_option("noatime")) << "that is the mount's";
  EXPECT_FALSE(mount.has_super_option("log"));
  EXPECT_FALSE(mount.has_super_option("remount-ro"));
  EXPECT_FALSE(mount.has_super_option(""));
  EXPECT_FALSE(mount.is_read_only());
  mount.super_options = "ro,errors=remount-ro";
  EXPECT_TRUE(mount.is_read_only());
}

TEST(MountTable, BeginsAtTheRootOfTheProcessWhateverIsMountedOverIt) {
  const std::string text =
      "1 0 8:1 / / rw - ext4 /dev/a rw\n"
      "2 1 8:2 / /data rw - ext4 /dev/b rw\n"
      "3 1 8:1 / / rw - ext4 /dev/a rw\n";
  const auto table = MountTable::parse(text, 1);
  ASSERT_TRUE(table);
  EXPECT_EQ(table->root()->id, 1);
  EXPECT_EQ(table->resolve("/data/x")->id, 2);
  EXPECT_EQ(table->resolve("/etc")->id, 1);
  EXPECT_FALSE(table->is_visible(*table->find(3)));
  EXPECT_EQ(MountTable::parse(text)->root()->id, 3) << "the best guess of a captured table";
  EXPECT_EQ(MountTable::parse(text, 99)->root(), nullptr) << "a directory that is not a mount point";
}

/// The layers of an overlay with these options, as the table prints them.
Layers overlay(const std::string& options) {
  const MountTable table = table_from("1 0 0:40 / / rw - overlay overlay rw," + options + "\n");
  return layers_of(table.mounts()[0]).value();
}

TEST(OverlayLayers, AreThoseOfEveryOptionThatNamesOne) {
  const Layers layers = overlay("lowerdir=/low/one:/low/two::/data/only,upperdir=/up,workdir=/work,uuid=on");
  EXPECT_THAT(layers.paths, UnorderedElementsAre("/low/one", "/low/two", "/data/only", "/up", "/work"));
  EXPECT_EQ(layers.upper, "/up");
}

TEST(OverlayLayers, AreThoseOfOptionsThatNameOneEach) {
  const Layers layers = overlay("lowerdir+=/a:b,lowerdir+=/c\\054d,datadir+=/e\\040f,redirect_dir=on,metacopy=on");
  EXPECT_THAT(layers.paths, UnorderedElementsAre("/a:b", "/c,d", "/e f"));
  EXPECT_EQ(layers.upper, "");
}

TEST(OverlayLayers, MayHaveColonsAndCommasInEitherWayOfPrintingThem) {
  // mount -o 'lowerdir=/a\:b:/c\,d', printed as it was given; and a kernel that prints the paths themselves.
  EXPECT_THAT(overlay("lowerdir=/a\\134:b:/c\\134\\054d").paths, testing::IsSupersetOf({"/a:b", "/c,d"}));
  EXPECT_THAT(overlay("lowerdir=/a\\072b:/c\\054d:/e\\134f").paths, testing::IsSupersetOf({"/a:b", "/c,d", "/e\\f"}));
  EXPECT_EQ(overlay("upperdir=/u\\134\\054p").upper, "/u,p");
}

TEST(OverlayLayers, ArePathsOfTheHostOnly) {
  EXPECT_THAT(overlay("lowerdir=l/AAAA:l/BBBB:/abs,upperdir=u").paths, ElementsAre("/abs"));
}

TEST(LayersOf, OthersThanOverlays) {
  const MountTable table = table_from(
      "1 0 8:1 / / rw - ext4 /dev/a rw,lowerdir=/x\n"
      "2 1 0:40 / /home/me rw - ecryptfs /home/.ecryptfs/me rw,ecryptfs_sig=1\n"
      "3 1 0:41 / /image ro - erofs /data/image.erofs ro\n"
      "4 1 7:0 / /loop ro - erofs /dev/loop0 ro\n"
      "5 1 0:42 / /union rw - aufs none rw,si=12\n");
  EXPECT_FALSE(layers_of(*table.find(1)));
  EXPECT_EQ(layers_of(*table.find(2))->upper, "/home/.ecryptfs/me");
  EXPECT_THAT(layers_of(*table.find(3))->paths, ElementsAre("/data/image.erofs"));
  EXPECT_FALSE(layers_of(*table.find(4)));
  EXPECT_THAT(layers_of(*table.find(5))->paths, IsEmpty()) << "there are some, but who knows where";
}

TEST(LiesWithin, ComparesWholeComponents) {
  EXPECT_TRUE(lies_within("/data", "/data"));
  EXPECT_TRUE(lies_within("/data/x", "/data"));
  EXPECT_FALSE(lies_within("/database", "/data"));
  EXPECT_FALSE(lies_within("/dat", "/data"));
  EXPECT_TRUE(lies_within("/anything", "/"));
  EXPECT_TRUE(lies_within("/", "/"));
  EXPECT_FALSE(lies_within("/", "/data"));
}

constexpr std::string_view kNested =
    "1 0 8:1 / / rw - ext4 /dev/a rw\n"
    "2 1 8:2 / /data rw - ext4 /dev/b rw\n"
    "3 2 8:3 / /data/sub/deep rw - ext4 /dev/c rw\n"
    "4 1 8:4 / /database rw - ext4 /dev/d rw\n"
    "5 1 8:5 / /data\\040x rw - ext4 /dev/e rw\n";

TEST(Resolve, FindsTheMountThatAPathLiesOn) {
  const MountTable table = table_from(kNested);
  EXPECT_EQ(id_at(table, "/"), 1);
  EXPECT_EQ(id_at(table, "/etc/passwd"), 1);
  EXPECT_EQ(id_at(table, "/data"), 2);
  EXPECT_EQ(id_at(table, "/data/"), 2);
  EXPECT_EQ(id_at(table, "/data/sub"), 2);
  EXPECT_EQ(id_at(table, "/data/sub/deep"), 3);
  EXPECT_EQ(id_at(table, "/data/sub/deep/er"), 3);
  EXPECT_EQ(id_at(table, "/data/sub/deeper"), 2);
  EXPECT_EQ(id_at(table, "/database/x"), 4);
  EXPECT_EQ(id_at(table, "/databases"), 1);
  EXPECT_EQ(id_at(table, "/data x/y"), 5);
}

TEST(Resolve, StepsOntoTheTopOfOverMounts) {
  const MountTable table = table_from(
      "1 0 8:1 / / rw - ext4 /dev/a rw\n"
      "2 1 8:2 / /data rw - ext4 /dev/b rw\n"
      "3 2 8:3 / /data rw - ext4 /dev/c rw\n"
      "4 3 8:4 / /data rw - ext4 /dev/d rw\n"
      "5 2 8:5 / /data/sub rw - ext4 /dev/e rw\n"
      "6 4 8:6 / /data/sub rw - ext4 /dev/f rw\n");
  EXPECT_EQ(id_at(table, "/data"), 4);
  EXPECT_EQ(id_at(table, "/data/other"), 4);
  EXPECT_EQ(id_at(table, "/data/sub"), 6) << "5 is below what is hidden";
  EXPECT_FALSE(table.is_visible(*table.find(2)));
  EXPECT_FALSE(table.is_visible(*table.find(3)));
  EXPECT_TRUE(table.is_visible(*table.find(4)));
  EXPECT_FALSE(table.is_visible(*table.find(5)));
  EXPECT_TRUE(table.is_visible(*table.find(6)));
}

TEST(Resolve, SeesThatALaterMountAboveHidesOneBelow) {
  // /srv/a was mounted first, /srv afterwards: nobody reaches /srv/a any more.
  const MountTable table = table_from(
      "1 0 8:1 / / rw - ext4 /dev/a rw\n"
      "2 1 8:2 / /srv/a rw - ext4 /dev/b rw\n"
      "3 1 8:3 / /srv rw - ext4 /dev/c rw\n");
  EXPECT_EQ(id_at(table, "/srv/a"), 3);
  EXPECT_FALSE(table.is_visible(*table.find(2)));
}

TEST(Resolve, BeginsAtTheTopMostRoot) {
  // As after an initramfs: rootfs, and the real root on top of it.
  const MountTable rootfs = table_from(
      "1 1 0:2 / / rw - rootfs rootfs rw\n"
      "2 1 8:1 / / rw - ext4 /dev/a rw\n"
      "3 2 8:2 / /data rw - ext4 /dev/b rw\n");
  EXPECT_EQ(id_at(rootfs, "/"), 2);
  EXPECT_EQ(id_at(rootfs, "/data/x"), 3);
  EXPECT_FALSE(rootfs.is_visible(*rootfs.find(1)));
}

TEST(Resolve, TakesBindMountsForMountsOfTheirOwn) {
  const MountTable table = table_from(
      "1 0 8:1 / / rw - ext4 /dev/a rw\n"
      "2 1 8:2 / /data rw - ext4 /dev/b rw\n"
      "3 1 8:2 /export /srv/export rw - ext4 /dev/b rw\n"
      "4 1 8:1 /etc/hosts /srv/hosts rw - ext4 /dev/a rw\n");
  EXPECT_EQ(id_at(table, "/srv/export/x"), 3);
  EXPECT_EQ(id_at(table, "/srv/hosts"), 4);
  EXPECT_EQ(id_at(table, "/data/export/x"), 2);
}

TEST(Resolve, SurvivesATableThatGoesInCircles) {
  const MountTable table = table_from(
      "1 2 8:1 / / rw - ext4 /dev/a rw\n"
      "2 1 8:2 / / rw - ext4 /dev/b rw\n"
      "3 3 8:3 / /x rw - ext4 /dev/c rw\n");
  EXPECT_EQ(table.resolve("/x"), nullptr) << "it has no root";
  EXPECT_LE(table.ancestors(*table.find(1)).size(), 3U);
}

TEST(Ancestors, GoUpToTheRoot) {
  const MountTable table = table_from(kNested);
  EXPECT_THAT(ids(table.ancestors(*table.find(3))), ElementsAre(2, 1));
  EXPECT_THAT(table.ancestors(*table.find(1)), IsEmpty());
}

TEST(Find, GivesNullForAnIdThatIsNotThere) {
  const MountTable table = table_from(kNested);
  EXPECT_EQ(table.find(3)->mount_point, "/data/sub/deep");
  EXPECT_EQ(table.find(0), nullptr);
  EXPECT_EQ(table.find(99), nullptr);
}

TEST(MountTable, ResolvesEveryMountOfATableOf1000InAMoment) {
  std::string text = "1 0 8:1 / / rw - ext4 /dev/a rw\n";
  std::string deep = "/deep";
  for (int i = 2; i <= 1000; ++i) {
    // Half of them side by side, half of them within one another.
    const bool side = i % 2 == 0;
    if (!side) deep += "/d" + std::to_string(i);
    const int parent = side || i == 3 ? 1 : i - 2;
    text += std::to_string(i) + " " + std::to_string(parent) + " 8:" + std::to_string(i) + " / " +
            (side ? "/side/m" + std::to_string(i) : deep) + " rw - ext4 /dev/x rw\n";
  }
  const MountTable table = table_from(text);
  ASSERT_EQ(table.mounts().size(), 1000U);
  const auto begin = std::chrono::steady_clock::now();
  for (const Mount& mount : table.mounts()) ASSERT_TRUE(table.is_visible(mount)) << mount.mount_point;
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
}

TEST(MountIdentity, IsTheIdInTheTable) {
  const auto table = MountTable::read();
  ASSERT_TRUE(table);
  const UniqueFd proc(::open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const auto id = mount_id_of(proc.get());
  ASSERT_TRUE(id) << id.error().message;
  EXPECT_EQ(*id, table->resolve("/proc")->id);
}

TEST(MountIdentity, NeedsAnOpenDescriptor) { EXPECT_FALSE(mount_id_of(1'000'000)); }

TEST(SuperOptions, BeginWithTheStateAndEndWithANameThatMayHoldAnything) {
  const MountTable table = fakes::table_from(
      "1 0 0:30 / / rw,relatime - btrfs /dev/a rw,ssd,subvolid=256,subvol=/x,ro,shutdown,logdev=/dev/b\n"
      "2 1 0:31 / /b rw - btrfs /dev/b ro,emergency_ro,subvolid=5,subvol=/\n"
      "3 1 8:1 / /c ro - ext4 /dev/c rw,ro_named\n"
      "4 1 8:2 / /d rw - ext4 /dev/d ro\n");
  const auto& mounts = table.mounts();
  EXPECT_FALSE(mounts[0].is_read_only());
  EXPECT_FALSE(mounts[0].has_super_option("shutdown"));
  EXPECT_TRUE(mounts[0].has_super_option("ssd"));
  EXPECT_EQ(mounts[0].super_option("logdev"), std::nullopt);
  EXPECT_EQ(mounts[0].super_option("subvolid"), "256");
  EXPECT_TRUE(mounts[1].is_read_only());
  EXPECT_TRUE(mounts[1].has_super_option("emergency_ro"));
  EXPECT_FALSE(mounts[2].is_read_only());
  EXPECT_FALSE(mounts[2].is_meant_for_writing());
  EXPECT_TRUE(mounts[3].is_read_only());
  EXPECT_TRUE(mounts[3].is_meant_for_writing());
}

}  // namespace
}  // namespace dlm_freeze
