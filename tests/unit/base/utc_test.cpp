// SPDX-License-Identifier: Apache-2.0
#include "base/utc.hpp"

#include <gtest/gtest.h>

#include <chrono>

namespace dlm_freeze {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

const WallTime kMoment = std::chrono::system_clock::from_time_t(1'796'004'900);  // 2026-11-30T02:15:00Z

TEST(Utc, IsReadInTheWaysInWhichAwsAndPeopleWriteIt) {
  EXPECT_EQ(parse_utc("2026-11-30T02:15:00Z"), kMoment);
  EXPECT_EQ(parse_utc("2026-11-30T02:15:00.25Z"), kMoment + milliseconds(250));
  EXPECT_EQ(parse_utc("2026-11-30T02:15:00.250000+00:00"), kMoment + milliseconds(250));
  EXPECT_EQ(parse_utc("2026-11-30T02:15:00.123456789Z"), kMoment + microseconds(123'456));
  EXPECT_EQ(parse_utc("2026-11-30T03:15:00+01:00"), kMoment);
  EXPECT_EQ(parse_utc("2026-11-29T20:45:00-05:30"), kMoment);
  EXPECT_EQ(parse_utc("2028-02-29T00:00:00Z"), std::chrono::sys_days(std::chrono::year(2028) / 2 / 29));
}

TEST(Utc, IsNothingElse) {
  for (const char* text : {"",
                           "now",
                           "2026-11-30",
                           "2026-11-30T02:15:00",
                           "2026-11-30 02:15:00Z",
                           "2026-11-30T02:15Z",
                           "2026-11-30T02:15:00.Z",
                           "2026-11-30T02:15:00z",
                           "2026-11-30T24:00:00Z",
                           "2026-11-30T02:60:00Z",
                           "2026-11-30T02:15:60Z",
                           "2026-11-31T02:15:00Z",
                           "2026-13-01T02:15:00Z",
                           "2027-02-29T00:00:00Z",
                           "2026-11-30T02:15:00ZZ",
                           "2026-11-30T02:15:00+1:00",
                           "+026-11-30T02:15:00Z",
                           "2026-11-30T02:15: 0Z",
                           "2026-11-3",
                           "20"}) {
    EXPECT_FALSE(parse_utc(text)) << text;
  }
}

TEST(Utc, IsWrittenWithMilliseconds) {
  EXPECT_EQ(format_utc_milliseconds(kMoment + microseconds(7'999)), "2026-11-30T02:15:00.007Z");
  EXPECT_EQ(parse_utc(format_utc_milliseconds(kMoment)), kMoment);
}

}  // namespace
}  // namespace dlm_freeze
