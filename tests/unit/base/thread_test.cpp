// SPDX-License-Identifier: Apache-2.0
#include "dlm_freeze/base/thread.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "fakes/processes.hpp"

namespace dlm_freeze {
namespace {

TEST(RunInParallel, RunsEveryJobOnceAndWaitsForAll) {
  std::atomic<int> sum{0};
  std::vector<std::function<void()>> jobs;
  for (int i = 1; i <= 50; ++i) jobs.emplace_back([&sum, i] { sum += i; });
  run_in_parallel(jobs);
  EXPECT_EQ(sum.load(), 1275);
}

TEST(RunInParallel, RunsThemAtTheSameTime) {
  constexpr int kJobs = 8;
  std::mutex mutex;
  std::condition_variable all_there;
  int there = 0;
  const auto wait_for_all = [&] {
    std::unique_lock lock(mutex);
    ++there;
    all_there.notify_all();
    all_there.wait(lock, [&] { return there == kJobs; });  // For ever, if they ran one after another.
  };
  run_in_parallel(std::vector<std::function<void()>>(kJobs, wait_for_all));
  EXPECT_EQ(there, kJobs);
}

TEST(RunInParallel, HasNothingToDoWithoutJobs) { run_in_parallel({}); }

TEST(RunDetached, DoesNotWaitForTheJob) {
  std::mutex mutex;
  std::condition_variable changed;
  bool go = false;
  bool done = false;
  run_detached([&] {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return go; });
    done = true;
    changed.notify_all();
  });
  std::unique_lock lock(mutex);
  EXPECT_FALSE(done);
  go = true;
  changed.notify_all();
  changed.wait(lock, [&] { return done; });
}

TEST(Threads, AreThereWithTheSmallStacksToo) {
  const int status = fakes::in_child([] {
    use_small_thread_stacks();
    std::atomic<bool> elsewhere{false};
    run_in_parallel({[&, here = std::this_thread::get_id()] { elsewhere = std::this_thread::get_id() != here; }});
    return elsewhere ? 0 : 1;
  });
  EXPECT_EQ(status, 0) << "no thread could be had";
}

TEST(Threads, AreRunHereWhenThereAreNone) {
  // Root may have threads beyond any limit of its number; memory for their stacks nobody has without limit.
  const int status = fakes::in_child([] {
    use_small_thread_stacks();
    const rlimit none = {0, 0};
    if (::setuid(65534) != 0 && ::geteuid() == 0) return 77;
    if (::setrlimit(RLIMIT_NPROC, &none) != 0) return 77;
    std::atomic<int> count{0};
    run_in_parallel({[&] { ++count; }, [&] { ++count; }, [&] { ++count; }});
    run_detached([&] { ++count; });
    return count.load() == 4 ? 0 : 1;
  });
  if (status == 77) GTEST_SKIP() << "threads cannot be forbidden here";
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace dlm_freeze
