// SPDX-License-Identifier: Apache-2.0
#include "fs/dirty_limit.hpp"

#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "fakes/mount_tables.hpp"
#include "fakes/scratch.hpp"
#include "fs/dirty_memory.hpp"

namespace dlm_freeze {
namespace {

using fakes::content_of;
using testing::ElementsAre;
using testing::IsEmpty;

/// A host that has nothing but its files in /sys and /proc.
class DirtyLimits : public testing::Test {
 protected:
  [[nodiscard]] DeviceRoots roots() const {
    return {.sys = scratch_ / "sys", .dev = scratch_ / "dev", .proc = scratch_ / "proc"};
  }

  void add_bdi(const std::string& name, const std::string& fine_ratio = "1000000") const {
    const std::string directory = "sys/class/bdi/" + name + "/";
    scratch_.write(directory + "max_bytes", "4858220544\n");
    scratch_.write(directory + "max_ratio_fine", fine_ratio + "\n");
    scratch_.write(directory + "strict_limit", "0\n");
  }
  [[nodiscard]] std::string value(const std::string& bdi, const std::string& file) const {
    return content_of(scratch_ / ("sys/class/bdi/" + bdi + "/" + file));
  }
  void add_vm(const std::string& bytes, const std::string& ratio) const {
    for (const std::string name : {"dirty_", "dirty_background_"}) {
      scratch_.write("proc/sys/vm/" + name + "bytes", bytes + "\n");
      scratch_.write("proc/sys/vm/" + name + "ratio", ratio + "\n");
    }
  }
  void link(const std::string& name, const std::string& target) const {
    const std::filesystem::path path(scratch_ / name);
    std::filesystem::create_directories(path.parent_path());
    std::filesystem::create_symlink(target, path);
  }

  fakes::Scratch scratch_;
};

TEST_F(DirtyLimits, LastFromSetToLift) {
  add_bdi("7:0", "500000");
  DirtyLimit limit = DirtyLimit::open({"7:0"}, roots());
  ASSERT_EQ(limit.size(), 1);
  EXPECT_FALSE(limit.is_set());
  EXPECT_TRUE(limit.set(0, 1234567890));
  EXPECT_TRUE(limit.is_set());
  EXPECT_EQ(value("7:0", "max_bytes"), "1234567890\n");
  EXPECT_EQ(value("7:0", "strict_limit"), "1\n");
  scratch_.write("sys/class/bdi/7:0/max_ratio_fine", "222222\n");  // What the kernel makes of it.
  limit.lift();
  EXPECT_FALSE(limit.is_set());
  EXPECT_EQ(value("7:0", "strict_limit"), "0\n");
  EXPECT_EQ(value("7:0", "max_ratio_fine"), "500000\n");
}

TEST_F(DirtyLimits, AreLiftedByWhoeverIsLeft) {
  add_bdi("7:0");
  DirtyLimit limit = DirtyLimit::open({"7:0"}, roots());
  const pid_t child = ::fork();
  if (child == 0) {
    limit.set(0, 1);
    ::_exit(0);
  }
  ::waitpid(child, nullptr, 0);
  EXPECT_EQ(value("7:0", "strict_limit"), "1\n");
  limit.lift();
  EXPECT_EQ(value("7:0", "strict_limit"), "0\n");
}

TEST_F(DirtyLimits, AreLiftedOnlyWhereTheyWereSet) {
  add_bdi("7:0");
  DirtyLimit limit = DirtyLimit::open({"7:0"}, roots());
  scratch_.write("sys/class/bdi/7:0/strict_limit", "1\n");  // An administrator, meanwhile.
  limit.lift();
  EXPECT_EQ(value("7:0", "strict_limit"), "1\n");
}

TEST_F(DirtyLimits, ArePutBackByTheRecordAlone) {
  add_bdi("7:0", "500000");
  std::vector<KernelVariable> recorded;
  {
    DirtyLimit limit = DirtyLimit::open({"7:0"}, roots());
    recorded = limit.earlier();
    limit.set(0, 1);
  }
  scratch_.write("sys/class/bdi/7:0/max_ratio_fine", "111111\n");
  put_back(recorded);
  EXPECT_EQ(value("7:0", "strict_limit"), "0\n");
  EXPECT_EQ(value("7:0", "max_ratio_fine"), "500000\n");
}

TEST_F(DirtyLimits, OfARecordAreNoOtherFiles) {
  const std::string other = scratch_.write("etc/shadow", "kept");
  put_back({{other, "x"}, {scratch_ / "sys/class/bdi/../../../etc/shadow", "x"}});
  EXPECT_EQ(content_of(other), "kept");
}

TEST_F(DirtyLimits, AreNotToBeHadBeforeLinux62) {
  scratch_.write("sys/class/bdi/7:0/max_ratio", "100\n");
  EXPECT_EQ(DirtyLimit::open({"7:0"}, roots()).size(), 0);
}

TEST_F(DirtyLimits, OfTheHostComeBackAsTheRatioThatTheyReplaced) {
  add_vm("0", "20");
  DirtyLimit limit = DirtyLimit::open_host(roots());
  ASSERT_EQ(limit.size(), 1);
  limit.set(0, 200);
  EXPECT_EQ(content_of(scratch_ / "proc/sys/vm/dirty_bytes"), "200");
  EXPECT_EQ(content_of(scratch_ / "proc/sys/vm/dirty_background_bytes"), "100");
  scratch_.write("proc/sys/vm/dirty_ratio", "0\n");  // As the kernel does.
  limit.lift();
  EXPECT_EQ(content_of(scratch_ / "proc/sys/vm/dirty_ratio"), "20");
}

TEST_F(DirtyLimits, OfTheHostComeBackAsTheBytesThatWereSet) {
  add_vm("900000000", "0");
  DirtyLimit limit = DirtyLimit::open_host(roots());
  limit.set(0, 100000000);
  limit.lift();
  EXPECT_EQ(content_of(scratch_ / "proc/sys/vm/dirty_bytes").substr(0, 9), "900000000");
}

class BackingDevices : public DirtyLimits {
 protected:
  [[nodiscard]] std::vector<std::string> of(const std::string& mountinfo) const {
    const MountTable table = fakes::table_from(mountinfo);
    FreezePlan plan;
    for (const Mount& mount : table.mounts()) {
      if (mount.mount_point.starts_with("/data"))
        plan.filesystems.emplace_back(PlannedFilesystem{mount.device, 0, {mount}, {}}).stack.devices = {
            mount.source.substr(5)};
    }
    return backing_devices(plan, table, roots());
  }
  void add_partition(const std::string& number, const std::string& disk, const std::string& disk_number) const {
    scratch_.write("sys/devices/" + disk + "/dev", disk_number + "\n");
    scratch_.write("sys/devices/" + disk + "/" + number + "/partition", "1\n");
    link("sys/dev/block/" + number, scratch_ / ("sys/devices/" + disk + "/" + number));
  }
};

TEST_F(BackingDevices, AreThoseOfTheDisks) {
  add_partition("259:1", "nvme1n1", "259:0");
  EXPECT_THAT(of("20 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
                 "21 20 259:1 / /data rw - xfs /dev/nvme1n1p1 rw\n"
                 "22 20 253:3 / /data2 rw - ext4 /dev/dm-3 rw\n"),
              ElementsAre("259:0", "253:3"));
}

TEST_F(BackingDevices, AreNotThoseThatOthersWriteTo) {
  add_partition("259:1", "nvme1n1", "259:0");
  add_partition("259:2", "nvme1n1", "259:0");
  EXPECT_THAT(of("20 1 259:2 / / rw - ext4 /dev/nvme1n1p2 rw\n"
                 "21 20 259:1 / /data rw - xfs /dev/nvme1n1p1 rw\n"),
              IsEmpty());
}

TEST_F(BackingDevices, OfABtrfsAreItsOwn) {
  scratch_.write("sys/fs/btrfs/6f0e/devices/loop3/dev", "7:3\n");
  link("sys/fs/btrfs/6f0e/bdi", "../../../devices/virtual/bdi/btrfs-2");
  EXPECT_THAT(of("20 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
                 "21 20 0:44 / /data rw - btrfs /dev/loop3 rw\n"),
              ElementsAre("btrfs-2"));
}

class DirtyMemories : public DirtyLimits {
 protected:
  void host_says(int dirty_pages, int written_pages, const std::string& diskstats) const {
    scratch_.write("proc/vmstat", "nr_free_pages 1\nnr_dirty " + std::to_string(dirty_pages) +
                                      "\nnr_writeback 0\nnr_written " + std::to_string(written_pages) + "\n");
    scratch_.write("proc/diskstats", diskstats);
  }
  const std::uint64_t page_ = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
};

TEST_F(DirtyMemories, AreWhatTheKernelSaysOfEach) {
  scratch_.write(
      "sys/kernel/debug/bdi/7:0/stats",
      "BdiWriteback:            1024 kB\nBdiReclaimable:         2048 kB\nBdiWritten:             4096 kB\n");
  DirtyMemory memory = DirtyMemory::open({"7:0"}, roots());
  const auto samples = memory.look();
  ASSERT_EQ(samples.size(), 1);
  EXPECT_EQ(samples[0].dirty, 3U << 20);
  EXPECT_EQ(samples[0].written, 4U << 20);
}

TEST_F(DirtyMemories, AreTheHostsOfWhoIsWrittenNearlyAll) {
  host_says(1000, 0, "   7 0 loop0 0 0 0 0 0 0 0 0\n   7 1 loop1 0 0 0 0 0 0 0 0\n");
  DirtyMemory memory = DirtyMemory::open({"7:0", "7:1"}, roots());
  static_cast<void>(memory.look());
  const int pages = 1000;
  const auto sectors = std::to_string(static_cast<std::uint64_t>(pages) * page_ / 512);
  host_says(900, pages, "   7 0 loop0 0 0 0 0 9 0 " + sectors + " 0\n   7 1 loop1 0 0 0 0 1 0 8 0\n");
  const auto samples = memory.look();
  EXPECT_EQ(samples[0].dirty, 900 * page_);
  EXPECT_EQ(samples[0].written, 1000 * page_);
  EXPECT_EQ(samples[1].dirty, 0);
}

TEST_F(DirtyMemories, AreNobodysWhereOthersAreWritten) {
  host_says(1000, 0, "   7 0 loop0 0 0 0 0 0 0 0 0\n");
  DirtyMemory memory = DirtyMemory::open({"7:0"}, roots());
  static_cast<void>(memory.look());
  host_says(1000, 1000, "   7 0 loop0 0 0 0 0 1 0 8 0\n");
  EXPECT_EQ(memory.look()[0].dirty, 0);
}

}  // namespace
}  // namespace dlm_freeze
