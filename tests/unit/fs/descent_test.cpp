// SPDX-License-Identifier: Apache-2.0
#include "fs/descent.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>

namespace dlm_freeze {
namespace {

using std::chrono::milliseconds;

constexpr std::uint64_t kMebi = std::uint64_t{1} << 20;

/// A device that writes so many MiB each look, five milliseconds apart, and somebody who dirties its data again.
class Device {
 public:
  Device(std::uint64_t dirty, std::uint64_t speed) : dirty_(dirty * kMebi), speed_(speed * kMebi) {}

  /// A look later. `again`: how many MiB became dirty in between.
  std::optional<std::uint64_t> look(std::uint64_t again, bool is_syncing) {
    const std::uint64_t written = std::min(dirty_, speed_);
    dirty_ = dirty_ - written + again * kMebi;
    written_ += written;
    now_ += milliseconds(5);
    return descent.next({now_, dirty_, written_}, is_syncing);
  }

  /// Looks until the descent is done; gives the last limit, and how many looks it took in `looks`.
  std::optional<std::uint64_t> run(std::uint64_t again, bool is_syncing = false) {
    std::optional<std::uint64_t> last;
    for (looks = 0; looks < 1000 && descent.state() != Descent::State::done; ++looks) {
      const auto limit = look(again, is_syncing);
      if (limit) last = limit;
    }
    return last;
  }

  Descent descent;
  int looks = 0;
  [[nodiscard]] std::uint64_t dirty() const { return dirty_; }

 private:
  std::uint64_t dirty_;
  std::uint64_t speed_;
  std::uint64_t written_ = 0;
  BootClock::time_point now_;
};

TEST(Descent, LimitsNothingWhereLittleIsDirty) {
  Device device(40, 1);
  EXPECT_FALSE(device.run(1));
}

TEST(Descent, LimitsNothingThatTheDeviceWritesInATenthOfASecond) {
  Device device(190, 10);  // 2 GB a second.
  EXPECT_FALSE(device.run(10));
}

TEST(Descent, LeavesToTheWriteBackWhatNobodyDirtiesAgain) {
  Device device(800, 5);
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(device.look(0, true));
  EXPECT_EQ(device.descent.state(), Descent::State::watching);
}

TEST(Descent, BeginsWhileTheWriteBackRunsWhereAsMuchIsDirtiedAgain) {
  Device device(800, 5);
  std::optional<std::uint64_t> limit;
  for (int i = 0; i < 20 && !limit; ++i) limit = device.look(5, true);
  ASSERT_TRUE(limit);
  EXPECT_GT(*limit, device.dirty());
}

TEST(Descent, BeginsAfterTheWriteBackWithWhatThatLeft) {
  Device device(800, 5);
  EXPECT_TRUE(device.run(5));
}

TEST(Descent, StaysAboveWhatIsDirtyAllTheWay) {
  Device device(400, 5);
  while (device.descent.state() != Descent::State::done) {
    if (const auto limit = device.look(2, false)) {
      EXPECT_GT(*limit, device.dirty());
    }
  }
}

TEST(Descent, RisesAgainWithWhatIsDirty) {
  Device device(400, 5);
  std::optional<std::uint64_t> before;
  while (!before) before = device.look(5, true);
  const auto after = device.look(200, true);
  ASSERT_TRUE(after);
  EXPECT_GT(*after, device.dirty());
}

TEST(Descent, EndsWhenTheRestFitsTheTimeUnderTheLocks) {
  Device device(400, 5);
  const auto limit = device.run(0);
  ASSERT_TRUE(limit);
  EXPECT_LT(device.looks, 200);
  // What a device of 1 GB a second writes in 40 milliseconds.
  EXPECT_LE(device.dirty(), 40 * kMebi);
  EXPECT_LE(*limit, 80 * kMebi);
}

TEST(Descent, TakesNoLongerThanTheFreezeWouldHaveWithoutIt) {
  Device device(400, 1);  // 2 seconds; and writers whom no limit stops.
  ASSERT_TRUE(device.run(1));
  EXPECT_LE(device.looks, 8 + 400 + 10 + 1);
  EXPECT_EQ(device.descent.state(), Descent::State::done);
}

TEST(Descent, GivesUpADeviceThatWritesNothing) {
  Device device(400, 0);
  ASSERT_TRUE(device.run(0));
  EXPECT_LE(device.looks, 30);
}

}  // namespace
}  // namespace dlm_freeze
