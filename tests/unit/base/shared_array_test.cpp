// SPDX-License-Identifier: Apache-2.0
#include "base/shared_array.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <utility>

#include "fakes/processes.hpp"

namespace dlm_freeze {
namespace {

using Counters = SharedArray<std::atomic<int>>;

TEST(SharedArray, BeginsWithZeros) {
  const auto array = Counters::create(100'000);
  ASSERT_TRUE(array);
  EXPECT_EQ(array->size(), 100'000U);
  EXPECT_EQ((*array)[0].load(), 0);
  EXPECT_EQ((*array)[99'999].load(), 0);
}

TEST(SharedArray, MayBeEmpty) {
  const auto array = Counters::create(0);
  ASSERT_TRUE(array);
  EXPECT_EQ(array->size(), 0U);
}

TEST(SharedArray, ShowsWhatAForkedProcessWrites) {
  auto array = Counters::create(2);
  ASSERT_TRUE(array);
  EXPECT_EQ(fakes::in_child([&] { return (*array)[1].exchange(7); }), 0);
  EXPECT_EQ((*array)[1].load(), 7);
}

TEST(SharedArray, OutlivesTheUnmappingByAForkedProcess) {
  auto array = Counters::create(1);
  ASSERT_TRUE(array);
  EXPECT_EQ(fakes::in_child([&] {
              const Counters gone = std::move(*array);
              gone[0].store(1);
              return 0;
            }),
            0);
  EXPECT_EQ((*array)[0].load(), 1);
}

TEST(SharedArray, IsMovedWithItsContent) {
  auto one = Counters::create(1);
  auto two = Counters::create(2);
  ASSERT_TRUE(one && two);
  (*two)[1].store(5);
  *one = std::move(*two);
  EXPECT_EQ(one->size(), 2U);
  EXPECT_EQ((*one)[1].load(), 5);
}

}  // namespace
}  // namespace dlm_freeze
