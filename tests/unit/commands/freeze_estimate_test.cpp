// SPDX-License-Identifier: Apache-2.0
#include "commands/freeze_estimate.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "planned_host.hpp"

namespace dlm_freeze {
namespace {

using testing::HasSubstr;

constexpr double kMebi = 1 << 20;

class Estimates : public testing::Test {
 protected:
  static constexpr const char* kDevices =
      "nvme0n1 259:0 serial=vol0a\n"
      "nvme1n1 259:1 serial=vol0b\n"
      "nvme1n1p1 259:2 on=nvme1n1\n"
      "nvme2n1 259:3 serial=vol0c\n";
  static constexpr const char* kMounts =
      "1 0 259:0 / / rw - ext4 /dev/nvme0n1 rw\n"
      "2 1 259:2 / /nowhere/b rw - xfs /dev/nvme1n1p1 rw\n"
      "3 1 259:3 / /nowhere/c rw - xfs /dev/nvme2n1 rw\n";

  [[nodiscard]] FreezeEstimate estimate(std::optional<double> given = {}) const {
    return estimate_freeze(host_.plan.freeze, host_.disks(), given, host_.settings.stage_budget(),
                           host_.devices.roots());
  }

  /// As mm/backing-dev.c prints it.
  void kernel_says(const std::string& number, int dirty_kib, int kib_a_second) const {
    host_.devices.write("sys/kernel/debug/bdi/" + number + "/stats",
                        "BdiWriteback:                0 kB\nBdiReclaimable:     " + std::to_string(dirty_kib) +
                            " kB\nBdiDirtyThresh:     796776 kB\nBdiWriteBandwidth:     " +
                            std::to_string(kib_a_second) + " kBps\nb_dirty:                     0\n");
  }

  PlannedHost host_{kDevices, kMounts};
};

TEST_F(Estimates, TakeTheKernelsWordForEachDevice) {
  kernel_says("259:1", 900 * 1024, 100 * 1024);  // Of the disk, not of its partition.
  kernel_says("259:3", 100 * 1024, 200 * 1024);
  kernel_says("259:0", 9'000'000, 1);  // The root is not written back.
  const FreezeEstimate found = estimate();
  EXPECT_EQ(found.dirty_bytes, std::uint64_t{1000} << 20);
  EXPECT_DOUBLE_EQ(found.seconds.value(), 9);
  EXPECT_TRUE(found.is_late());
  EXPECT_THAT(found.text(),
              HasSubstr("Write-back: needs about 9.0 s, has 7.7 s (1000.0 MiB dirty now, 100.0 MiB/s as the "
                        "kernel measures it): raise timeout_seconds"));
  EXPECT_EQ(found.late(), "the write-back ends in time: it needs about 9.0 s, and has 7.7 s");
}

TEST_F(Estimates, TakeAllThatIsDirtyAndTheSlowestDiskWhereTheKernelSaysLess) {
  kernel_says("259:1", 1, 1);
  host_.devices.write("proc/meminfo", "MemTotal: 1 kB\nDirty:    204800 kB\nWriteback:    0 kB\nWritebackTmp: 7 kB\n");
  host_.devices.write("proc/diskstats",
                      " 259 0 nvme0n1 1 0 1 1 1 0 2048000 1000000 0 1000000 9\n"  // The root: it does not matter.
                      " 259 1 nvme1n1 1 0 1 1 1 0 2048000 10000 0 40000 9\n"      // 1,000 MB in 10 s.
                      " 259 3 nvme2n1 1 0 1 1 1 0 2048000 40000 0 20000 9\n");    // In 20 s: 50 MiB/s.
  const FreezeEstimate found = estimate();
  EXPECT_EQ(found.dirty_bytes, std::uint64_t{200} << 20);
  EXPECT_DOUBLE_EQ(found.bytes_per_second.value(), 50 * kMebi);
  EXPECT_DOUBLE_EQ(found.seconds.value(), 4);
  EXPECT_FALSE(found.is_late());
  EXPECT_EQ(found.late(), "");
}

TEST_F(Estimates, BelieveWhatIsGiven) {
  host_.devices.write("proc/meminfo", "Dirty:    204800 kB\n");
  EXPECT_DOUBLE_EQ(estimate(20 * kMebi).seconds.value(), 10);
  EXPECT_THAT(estimate(20 * kMebi).text(), HasSubstr("20.0 MiB/s as given"));
}

TEST_F(Estimates, KeepTheReserveOfTheBudget) {
  kernel_says("259:1", 790 * 1024, 100 * 1024);
  kernel_says("259:3", 0, 100 * 1024);
  EXPECT_TRUE(estimate().is_late()) << "7.9 s are more than the stages have of 8";
  host_.settings.timeout = std::chrono::seconds(1);
  EXPECT_THAT(estimate().text(), HasSubstr("has 0.7 s")) << "three quarters";
}

TEST_F(Estimates, SayThatTheSpeedIsNotKnown) {
  host_.devices.write("proc/meminfo", "Dirty:    1024 kB\n");
  host_.devices.write("proc/diskstats", " 259 1 nvme1n1 1 0 1 1 1 0 8 1 0 1 9\n");  // Hardly written to.
  EXPECT_FALSE(estimate().seconds);
  EXPECT_EQ(estimate().text(), "Write-back: 1.0 MiB dirty now, at an unknown speed (set --write-speed), has 7.7 s.");
}

TEST_F(Estimates, AreNothingWhereNothingIsFrozen) {
  host_.settings.filesystems.freeze = false;
  host_.replan(kMounts);
  host_.devices.write("proc/meminfo", "Dirty:    204800 kB\n");
  EXPECT_DOUBLE_EQ(estimate().seconds.value(), 0);
  EXPECT_EQ(estimate().text(), "Write-back: nothing to write, has 7.7 s.");
  FreezeEstimate promised = estimate();
  promised.max_stall = 0.5;
  EXPECT_EQ(promised.text(),
            "Write-back: nothing to write, has 7.7 s, of which writers may wait 0.500 s (max_stall_seconds).");
}

TEST_F(Estimates, OfABtrfsAreNotTheDevices) {
  host_.devices.add_btrfs("uuid", {"nvme2n1"});
  host_.replan("1 0 259:0 / / rw - ext4 /dev/nvme0n1 rw\n2 1 0:44 / /nowhere/b rw - btrfs /dev/nvme2n1 rw\n");
  kernel_says("259:3", 1, 1);
  host_.devices.write("proc/meminfo", "Dirty:    1024 kB\n");
  EXPECT_EQ(estimate().dirty_bytes, std::uint64_t{1} << 20) << "it has a backing device of its own";
}

}  // namespace
}  // namespace dlm_freeze
