// SPDX-License-Identifier: Apache-2.0
#include "base/workers.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <functional>
#include <set>
#include <thread>

#include "fakes/processes.hpp"

namespace dlm_freeze {
namespace {

using fakes::eventually;

TEST(Workers, DoEachJobInAThreadOfItsOwn) {
  std::array<std::atomic<std::thread::id>, 3> ran{};
  std::atomic<int> waiting{0};
  {
    auto workers = Workers::start(
        3,
        [&](std::size_t i) {
          ran.at(i).store(std::this_thread::get_id());
          ++waiting;
          while (waiting.load() < 3) std::this_thread::yield();  // All of them at the same time.
        },
        Workers::Shortage::fail);
    ASSERT_TRUE(workers);
    for (std::size_t i = 0; i < 3; ++i) workers->begin(i);
    EXPECT_TRUE(eventually([&] { return waiting.load() == 3; }));
  }
  EXPECT_EQ((std::set<std::thread::id>{ran[0].load(), ran[1].load(), ran[2].load()}).size(), 3U);
}

TEST(Workers, DoNothingUnasked) {
  std::atomic<int> done{0};
  {
    EXPECT_TRUE(Workers::start(
        4, [&](std::size_t) { ++done; }, Workers::Shortage::fail));
  }
  EXPECT_EQ(done.load(), 0);
}

TEST(Workers, DoAJobAsOftenAsItIsBegun) {
  std::atomic<int> done{0};
  auto workers = Workers::start(
      1, [&](std::size_t) { ++done; }, Workers::Shortage::fail);
  ASSERT_TRUE(workers);
  for (int i = 1; i <= 100; ++i) {
    workers->begin(0);
    ASSERT_TRUE(eventually([&] { return done.load() == i; }));
  }
}

TEST(Workers, EnterFirst) {
  std::array<std::atomic<int>, 2> entered{};
  std::array<std::atomic<bool>, 2> after{};
  auto workers = Workers::start(
      2, [&](std::size_t i) { after.at(i).store(entered.at(i).load() == 1); }, Workers::Shortage::fail,
      [&](std::size_t i) { ++entered.at(i); });
  ASSERT_TRUE(workers);
  for (std::size_t i = 0; i < 2; ++i) workers->begin(i);
  EXPECT_TRUE(eventually([&] { return after[0].load() && after[1].load(); }));
}

TEST(Workers, ThatHangAreLeftBehind) {
  static std::atomic<bool> go_on{false};
  static std::atomic<bool> gone_on{false};
  {
    auto workers = Workers::start(
        2,
        [](std::size_t) {
          while (!go_on.load()) std::this_thread::yield();
          gone_on.store(true);
        },
        Workers::Shortage::fail);
    ASSERT_TRUE(workers);
    workers->begin(0);
  }
  go_on.store(true);
  EXPECT_TRUE(eventually([] { return gone_on.load(); }));
}

/// Runs `body` where no thread can be had; as fakes::in_child.
int without_threads(const std::function<int()>& body) {
  return fakes::in_child([&] {
    const rlimit none = {0, 0};
    constexpr uid_t kNobody = 65534;
    if (::setrlimit(RLIMIT_NPROC, &none) != 0 || (::geteuid() == 0 && ::setuid(kNobody) != 0)) return 77;
    return body();
  });
}

TEST(Workers, AreAnErrorWhereNoThreadIsToBeHad) {
  EXPECT_EQ(without_threads([] {
              return Workers::start(
                         2, [](std::size_t) {}, Workers::Shortage::fail)
                         ? 1
                         : 0;
            }),
            0);
}

TEST(Workers, EndWhereTheSecondThreadIsNotToBeHad) {
  EXPECT_EQ(fakes::in_child([] {
              // As many threads as there are now, and one more.
              constexpr uid_t kNobodyElse = 54321;
              const rlimit two = {2, 2};
              if (::setrlimit(RLIMIT_NPROC, &two) != 0 || (::geteuid() == 0 && ::setuid(kNobodyElse) != 0)) return 0;
              return Workers::start(
                         4, [](std::size_t) {}, Workers::Shortage::fail)
                         ? 1
                         : 0;
            }),
            0);
}

TEST(Workers, MayShareWhatThreadsThereAre) {
  EXPECT_EQ(without_threads([] {
              int done = 0;
              auto workers = Workers::start(
                  3, [&](std::size_t i) { done += 1 << i; }, Workers::Shortage::share);
              if (!workers) return 1;
              for (std::size_t i = 0; i < 3; ++i) workers->begin(i);
              return done == 7 ? 0 : 2;
            }),
            0);
}

}  // namespace
}  // namespace dlm_freeze
