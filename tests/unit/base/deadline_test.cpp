// SPDX-License-Identifier: Apache-2.0
#include "dlm_freeze/base/deadline.hpp"

#include <gtest/gtest.h>
#include <poll.h>

#include <chrono>
#include <climits>
#include <ctime>

namespace dlm_freeze {
namespace {

using std::chrono::hours;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

TEST(Deadline, IsExpiredFromItsMomentOn) {
  EXPECT_FALSE(Deadline::in(hours(1)).expired());
  EXPECT_TRUE(Deadline::in(seconds(0)).expired());
  EXPECT_TRUE(Deadline::in(seconds(-1)).expired());
}

TEST(Deadline, HasNeverLessThanNothingLeft) {
  EXPECT_EQ(Deadline::in(seconds(-5)).remaining(), seconds(0));
  EXPECT_EQ(Deadline::in(seconds(-5)).poll_timeout(), 0);
  EXPECT_GT(Deadline::in(hours(1)).remaining(), milliseconds(3'590'000));
  EXPECT_LE(Deadline::in(hours(1)).remaining(), hours(1));
}

TEST(Deadline, RoundsUpSoThatPollDoesNotReturnBeforeIt) {
  for (int i = 0; i < 20; ++i) {
    const Deadline deadline = Deadline::in(microseconds(1500));
    ASSERT_EQ(::poll(nullptr, 0, deadline.poll_timeout()), 0);
    EXPECT_TRUE(deadline.expired());
  }
}

TEST(Deadline, IsCutToWhatPollCanWait) { EXPECT_EQ(Deadline::in(hours(24 * 365)).poll_timeout(), INT_MAX); }

TEST(Deadline, GivesTheEarlierOfTwo) {
  const Deadline soon = Deadline::in(seconds(1));
  const Deadline late = Deadline::in(seconds(2));
  EXPECT_EQ(soon.or_earlier(late).at(), soon.at());
  EXPECT_EQ(late.or_earlier(soon).at(), soon.at());
}

TEST(BootClock, IsTheKernelsClockThatGoesOnInSuspend) {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  const auto expected = seconds(now.tv_sec) + nanoseconds(now.tv_nsec);
  EXPECT_LT(BootClock::now().time_since_epoch() - expected, seconds(10));
  EXPECT_GE(BootClock::now().time_since_epoch(), expected);
}

TEST(FormatUtc, WritesIso8601InUtcWhateverTheTimeZone) {
  ::setenv("TZ", "Asia/Kolkata", 1);
  ::tzset();
  const auto when = std::chrono::system_clock::from_time_t(1'795'452'002) + milliseconds(999);
  EXPECT_EQ(format_utc(when), "2026-11-23T16:40:02Z");
  ::unsetenv("TZ");
  ::tzset();
}

TEST(FormatUtc, WritesTheEpoch) { EXPECT_EQ(format_utc(WallTime()), "1970-01-01T00:00:00Z"); }

TEST(FormatSeconds, HasThreeDecimals) {
  EXPECT_EQ(format_seconds(milliseconds(42)), "0.042");
  EXPECT_EQ(format_seconds(seconds(3600)), "3600.000");
  EXPECT_EQ(format_seconds(nanoseconds(0)), "0.000");
  EXPECT_EQ(format_seconds(microseconds(1999)), "0.002");
}

}  // namespace
}  // namespace dlm_freeze
