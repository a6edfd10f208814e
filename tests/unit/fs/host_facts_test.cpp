// SPDX-License-Identifier: Apache-2.0
#include "fs/host_facts.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/sysmacros.h>

#include <filesystem>
#include <string>

#include "fakes/fake_devices.hpp"
#include "fakes/mount_tables.hpp"
#include "fakes/scratch.hpp"
#include "fs/unseen.hpp"

namespace dlm_freeze {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(FileMounts, AreThoseWhoseMountPointIsNoDirectory) {
  const fakes::Scratch scratch;
  scratch.write("file", "x");
  std::filesystem::create_directory(scratch / "directory");
  const MountTable table = fakes::table_from(
      "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n"
      "2 1 8:2 /x " +
      (scratch / "file") + " rw - ext4 /dev/sdb rw\n" + "3 1 8:2 /d " + (scratch / "directory") +
      " rw - ext4 /dev/sdb rw\n"
      "4 1 8:2 /y /nowhere/file rw - ext4 /dev/sdb rw\n");
  EXPECT_THAT(find_file_mounts(table), ElementsAre(2));
}

TEST(FoundLayers, AreWhereTheirLinksLead) {
  const fakes::Scratch scratch;
  for (const char* name : {"disk/l", "disk/u:p", "disk/w", "net", "ov"})
    std::filesystem::create_directories(scratch / name);
  std::filesystem::create_directory_symlink(scratch / "disk", scratch / "link");
  const auto layers = [&](const std::string& options) {
    std::string table =
        "1 0 8:1 / / rw - xfs /dev/a rw\n2 1 8:2 / @/disk rw - ext4 /dev/b rw\n3 1 0:30 / @/net rw - fuse x rw\n"
        "4 1 0:40 / @/ov rw - overlay o rw," +
        options + "\n";
    for (std::size_t at = table.find('@'); at != std::string::npos; at = table.find('@'))
      table.replace(at, 1, scratch.path());
    return find_layers(fakes::table_from(table)).at(makedev(0, 40));
  };
  for (const char* options : {"lowerdir=l,upperdir=@/disk/w", "lowerdir=@/gone,upperdir=@/disk/w", "lowerdir=@/net",
                              "lowerdir=@/ov", "redirect_dir=on"}) {
    EXPECT_FALSE(layers(options).told) << options;
  }
  EXPECT_EQ(layers("lowerdir=@/disk,upperdir=@/gone").upper, "");
  // An overlay's root directory has the times of its upper layer's.
  std::filesystem::remove(scratch / "ov");
  std::filesystem::create_directory_symlink(scratch / "disk/u:p", scratch / "ov");
  const Layers linked = layers("lowerdir=@/link/l::@/disk,upperdir=@/link/u\\134:p,workdir=@/link/w");
  EXPECT_TRUE(linked.told);
  EXPECT_EQ(linked.upper, scratch / "disk/u:p");
  EXPECT_THAT(linked.paths, testing::IsSupersetOf({scratch / "disk/l", scratch / "disk/w", scratch / "disk"}));
}

class AnUpperLayer : public testing::Test {
 protected:
  AnUpperLayer() {
    for (const char* name : {"disk/u", "disk/v"}) std::filesystem::create_directories(scratch_ / name);
    std::filesystem::last_write_time(scratch_ / "disk/v", std::filesystem::file_time_type::clock::now());
    // As an overlay on disk/u shows it.
    std::filesystem::create_directory_symlink(scratch_ / "disk/u", scratch_ / "ov");
  }

  [[nodiscard]] bool is_told(const std::string& upper, const std::string& overlay_root = "/",
                             const std::string& type_of_root = "xfs") const {
    const std::string at = scratch_.path();
    const MountTable table = fakes::table_from("1 0 8:1 / / rw - " + type_of_root + " /dev/a rw\n2 1 8:2 / " + at +
                                               "/disk rw - ext4 /dev/b rw\n3 1 0:40 " + overlay_root + " " + at +
                                               "/ov rw - overlay o rw,lowerdir=" + at + "/disk,upperdir=" + at + upper +
                                               ",workdir=" + at + "/disk\n");
    const Layers layers = find_layers(table).at(makedev(0, 40));
    EXPECT_EQ(layers.told, !layers.upper.empty());
    return layers.told;
  }

  fakes::Scratch scratch_;
};

TEST_F(AnUpperLayer, IsToldByWhatTheOverlayShowsOfIt) {
  EXPECT_TRUE(is_told("/disk/u"));
  EXPECT_FALSE(is_told("/disk/v")) << "another filesystem is mounted on its path";
}

TEST_F(AnUpperLayer, IsNotToldWhereOnlyAPartOfTheOverlayIsMounted) { EXPECT_FALSE(is_told("/disk/u", "/etc")); }

TEST_F(AnUpperLayer, IsNotToldWhereAnotherFilesystemLooksTheSame) {
  EXPECT_FALSE(is_told("/disk/u", "/", "ext4")) << "both are the one that the scratch directory is on";
}

class UnseenFilesystems : public testing::Test {
 protected:
  UnseenFilesystems() {
    devices_.add({.name = "sda", .number = "8:0"});
    devices_.add({.name = "sdb", .number = "8:16"});
    devices_.add({.name = "sdc", .number = "8:32"});
    add_process("self", "mnt:[1]", kOwn);
    add_process("1", "mnt:[1]", kOwn);
  }

  /// Without a name of its namespace where that may not be asked for.
  void add_process(const std::string& pid, const std::string& name_space, const std::string& mountinfo) {
    proc_.write(pid + "/mountinfo", mountinfo);
    proc_.write(pid + "/comm", "command-" + pid + "\n");
    std::filesystem::create_directories(proc_ / (pid + "/ns"));
    if (!name_space.empty()) std::filesystem::create_symlink(name_space, proc_ / (pid + "/ns/mnt"));
  }

  [[nodiscard]] Unseen find(const std::set<dev_t>& known = {},
                            BootClock::duration patience = std::chrono::minutes(1)) const {
    DeviceRoots roots = devices_.roots();
    roots.proc = proc_ / "";
    const MountTable table = fakes::table_from(kOwn);
    return UnseenSearch(roots).look(table, read_block_stacks(table, roots), known, patience);
  }

  /// "mount point of process", each.
  static std::vector<std::string> described(const Unseen& unseen) {
    std::vector<std::string> all;
    for (const auto& one : unseen.filesystems) {
      const MountElsewhere& first = one.mounts.front();
      all.push_back(first.mount.mount_point + " of " + (first.process == 0 ? first.mount.source : first.command));
    }
    return all;
  }

  static constexpr const char* kOwn = "1 0 8:0 / / rw - ext4 /dev/sda rw\n";
  const std::string kPod =
      "10 0 8:0 /x / rw - ext4 /dev/sda rw\n"
      "11 10 8:16 / /pod\\040data rw - ext4 /dev/sdb rw\n"
      "12 10 8:16 /y /again rw - ext4 /dev/sdb rw\n"
      "13 10 0:30 / /tmp rw - tmpfs tmpfs rw\n"
      "14 10 8:32 / /archive ro - ext4 /dev/sdc ro\n";
  const std::string kSickPod = "11 10 8:16 / /sick rw - xfs /dev/sdb ro\n";
  fakes::FakeDevices devices_;
  fakes::Scratch proc_;
};

TEST_F(UnseenFilesystems, AreWritableOnesOfOtherNamespacesEachOnce) {
  add_process("77", "mnt:[2]", kPod);
  add_process("78", "mnt:[2]", kPod);
  add_process("79", "mnt:[3]", kPod);
  const Unseen unseen = find();
  EXPECT_TRUE(unseen.complete);
  ASSERT_EQ(unseen.filesystems.size(), 1U);
  EXPECT_EQ(unseen.filesystems[0].mount().mount_point, "/pod data");
  EXPECT_EQ(unseen.filesystems[0].mount().device, makedev(8, 16));
  EXPECT_EQ(unseen.filesystems[0].mounts.size(), 4U) << "two in each namespace";
  EXPECT_EQ(unseen.stacks.at(makedev(8, 16)).devices, std::vector<std::string>{"sdb"});
}

TEST_F(UnseenFilesystems, AreToldByTheContainerThatHasThem) {
  add_process("77", "mnt:[2]", kPod);
  proc_.write("77/cgroup", "0::/system.slice/docker-" + std::string(64, 'a') + ".scope\n");
  const Unseen unseen = find();
  ASSERT_EQ(unseen.filesystems.size(), 1U);
  EXPECT_EQ(unseen.filesystems[0].mounts[0].where(), "docker container aaaaaaaaaaaa (process 77, command-77)");
  EXPECT_EQ(unseen.filesystems[0].mounts[0].name(), "/pod data (docker container aaaaaaaaaaaa)");
  EXPECT_FALSE(unseen.filesystems[0].mounts[0].is_of_first);
}

TEST_F(UnseenFilesystems, KnowWhichAreThoseOfTheHostsInit) {
  std::filesystem::remove(proc_ / "1/ns/mnt");
  add_process("1", "mnt:[5]", kPod);
  const Unseen unseen = find();
  ASSERT_EQ(unseen.filesystems.size(), 1U);
  EXPECT_TRUE(unseen.filesystems[0].mounts[0].is_of_first);
}

TEST_F(UnseenFilesystems, AreThoseThatTheKernelMadeReadOnly) {
  add_process("77", "mnt:[2]", kSickPod);
  EXPECT_THAT(described(find()), ElementsAre("/sick of command-77"));
}

TEST_F(UnseenFilesystems, AreFoundWhereTheNamespaceMayNotBeAskedFor) {
  add_process("77", "", kPod);
  EXPECT_THAT(described(find()), ElementsAre("/pod data of command-77"));
}

TEST_F(UnseenFilesystems, AreNotThoseThatAreKnown) {
  add_process("77", "mnt:[2]", kPod);
  EXPECT_THAT(described(find({makedev(8, 16)})), IsEmpty());
}

TEST_F(UnseenFilesystems, AreNotLookedForLongerThanAllowed) {
  add_process("77", "mnt:[2]", kPod);
  EXPECT_FALSE(find({}, {}).complete);
}

TEST_F(UnseenFilesystems, AreNotMissedBecauseAProcessEnds) {
  add_process("77", "mnt:[2]", "");
  add_process("78", "mnt:[2]", kPod);
  EXPECT_THAT(described(find()), ElementsAre("/pod data of command-78"));
}

TEST_F(UnseenFilesystems, AreInSysfsWhereNoProcessHasThem) {
  devices_.add_ext4("sda");
  devices_.add_ext4("sdb");
  devices_.add_ext4("features");
  devices_.add_btrfs("11111111-1111-4111-8111-111111111111", {"sdc"});
  EXPECT_THAT(described(find()), ElementsAre(" of /dev/sdb", " of /dev/sdc"));
  add_process("77", "mnt:[2]", kPod);
  EXPECT_THAT(described(find()), ElementsAre("/pod data of command-77")) << "read-only ones are accounted for too";
}

TEST_F(UnseenFilesystems, AreLookedForAgainInTablesThatHaveChanged) {
  add_process("77", "mnt:[2]", kOwn);
  DeviceRoots roots = devices_.roots();
  roots.proc = proc_ / "";
  const MountTable table = fakes::table_from(kOwn);
  UnseenSearch search(roots);
  EXPECT_THAT(search.look(table, {}, {}, std::chrono::minutes(1)).filesystems, IsEmpty());
  const auto again = [&] { return described(search.look_again(table, Deadline::in(std::chrono::minutes(1)))); };
  const auto newcomers = [&] {
    return described(search.look_again_and_at_newcomers(table, Deadline::in(std::chrono::minutes(1))));
  };
  EXPECT_THAT(again(), IsEmpty());
  proc_.write("77/mountinfo", kPod);
  EXPECT_THAT(again(), ElementsAre("/pod data of command-77"));
  EXPECT_THAT(again(), IsEmpty()) << "it has not changed since";
  add_process("78", "mnt:[3]", kSickPod);
  EXPECT_THAT(again(), IsEmpty()) << "nothing is opened";
  EXPECT_THAT(newcomers(), ElementsAre("/sick of command-78"));
  EXPECT_THAT(newcomers(), IsEmpty());
  proc_.write("78/mountinfo", kPod);
  EXPECT_THAT(again(), ElementsAre("/pod data of command-78"));
}

TEST_F(UnseenFilesystems, AreLookedForAgainInVeryManyTables) {
  DeviceRoots roots = devices_.roots();
  roots.proc = proc_ / "";
  const MountTable table = fakes::table_from(kOwn);
  UnseenSearch search(roots);
  for (int i = 100; i < 400; ++i) add_process(std::to_string(i), "mnt:[" + std::to_string(i) + "]", kOwn);
  EXPECT_TRUE(search.look(table, {}, {}, std::chrono::minutes(1)).complete);
  const auto again = [&](std::chrono::seconds time) { return search.look_again(table, Deadline::in(time)); };
  EXPECT_TRUE(again(std::chrono::minutes(1)).complete);
  EXPECT_FALSE(again(std::chrono::seconds(0)).complete);
  EXPECT_FALSE(search.look_again_and_at_newcomers(table, Deadline::in(std::chrono::seconds(0))).complete);
  for (int i = 100; i < 400; ++i) proc_.write(std::to_string(i) + "/mountinfo", kPod);
  const Unseen found = again(std::chrono::minutes(1));
  EXPECT_TRUE(found.complete);
  EXPECT_EQ(found.filesystems.size(), 1);
}

TEST(UnseenFilesystemsOfThisHost, CanBeLookedForInAMoment) {
  const auto table = MountTable::read();
  ASSERT_TRUE(table);
  const Unseen unseen = UnseenSearch().look(*table, read_block_stacks(*table), {}, std::chrono::seconds(10));
  EXPECT_TRUE(unseen.complete);
  for (const auto& one : unseen.filesystems) EXPECT_NE(one.mount().device, table->root()->device);
}

}  // namespace
}  // namespace dlm_freeze
