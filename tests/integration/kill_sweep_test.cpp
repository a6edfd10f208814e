// SPDX-License-Identifier: Apache-2.0
// SIGKILL at moments spread over pre-script's whole run.
#include <signal.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>

#include "harness/host_test.hpp"
#include "rounds.hpp"

namespace dlm_freeze::integration {
namespace {

class KillSweep : public HostTest {
 protected:
  void SetUp() override {
    HostTest::SetUp();
    if (IsSkipped()) return;
    one_ = &add("ext4", "/srv/one");
    two_ = &add("ext4", "/srv/two");
    measure();
  }

  /// What pre-script takes, start to exit: the median of some runs.
  void measure() {
    std::array<Clock::duration, 7> times{};
    for (auto& time : times) {
      time = expect(0, {"pre-script"}).run_time();
      expect(0, {"post-script"});
    }
    std::sort(times.begin(), times.end());
    run_time_ = times[times.size() / 2];
  }

  /// The `number`th of `count` moments from the start to a fifth past the usual end.
  [[nodiscard]] Clock::duration moment(int number, int count) const { return run_time_ * 12 * number / (10 * count); }

  [[nodiscard]] bool both_writable(Milliseconds limit) { return writable(*one_, limit) && writable(*two_, limit); }

  /// A freezer whose syncfs waits for the disk stays until that returns; it has frozen nothing.
  static constexpr std::chrono::seconds kBusyDisk{8};

  const Filesystem* one_ = nullptr;
  const Filesystem* two_ = nullptr;
  Clock::duration run_time_{0};
};

TEST_F(KillSweep, OfPreScriptsGroupLeavesNothingFrozen) {
  const int count = moments_of(50, 200);
  int killed = 0;
  int between_success_and_exit = 0;
  for (int number = 0; number < count; ++number) {
    restart_safety_limit();
    const auto pre = start({"pre-script", "--auto-thaw", "3"});
    sleep_for(moment(number, count));
    pre->kill_group();
    const auto result = pre->wait();
    SCOPED_TRACE("moment " + std::to_string(number) + ": " + result.text());
    if (result.exit_code) {
      // It was faster than the kill, which then must not have reached the watchdog.
      ASSERT_EQ(result.exit_code, 0);
      ASSERT_FALSE(writable(*one_, Milliseconds(20)));
      expect(0, {"post-script"});
      ASSERT_TRUE(both_writable(Milliseconds(500)));
      continue;
    }
    ++killed;
    if (!both_writable(std::chrono::seconds(1))) {
      // Killed after the watchdog had taken over and before the exit: nobody can tell these two
      // apart. Then all the lines must have been written, and the session must be a whole one.
      ++between_success_and_exit;
      ASSERT_NE(result.out.find("pre-script completed"), std::string::npos);
      expect(0, {"post-script"});
      ASSERT_TRUE(both_writable(Milliseconds(500)));
      continue;
    }
    ASSERT_TRUE(all_gone(kBusyDisk));
    ASSERT_TRUE(both_writable(Milliseconds(500))) << "it was frozen after the fact";
  }
  EXPECT_GT(killed, count / 3) << "the moments do not cover the run";
  EXPECT_LE(between_success_and_exit, count / 10);  // a sanitizer makes the exit last
  RecordProperty("killed", killed);
  RecordProperty("between_success_and_exit", between_success_and_exit);
}

TEST_F(KillSweep, OfAnyOtherProcessDuringPreScriptLeavesNothingFrozen) {
  const int count = moments_of(20, 40);
  for (const std::string name : {"dlm-watchdog", "dlm-sentinel", "dlm-freezer"}) {
    const int steps = name == "dlm-freezer" ? 4 * count : count;  // The freezer's life is short.
    int killed = 0;
    // On a busy machine more rounds, until it was there to be killed often enough.
    for (int number = 0; number < count || (killed <= count / 8 && number < 5 * count); ++number) {
      restart_safety_limit();
      const auto pre = start({"pre-script", "--auto-thaw", "3"});
      // Looked for all the time: to look takes as long as the freezer lives on a machine with many processes.
      std::optional<AgentProcess> victim;
      const auto latest = Clock::now() + 2 * run_time_;
      while (!victim && Clock::now() < latest) victim = agent_process(binary(), name);
      sleep_for(moment(number % count, steps));
      if (victim) killed += victim->signal(SIGKILL) ? 1 : 0;
      const auto result = pre->wait();
      SCOPED_TRACE(name + " at moment " + std::to_string(number) + ": " + result.text());
      ASSERT_TRUE(result.exit_code == 0 || result.exit_code == 201);
      if (result.exit_code == 0) {
        // Success, so either it is still held or post-script says that it is not.
        const bool held = !writable(*one_, Milliseconds(50));
        const auto post = run({"post-script"});
        ASSERT_TRUE(post.exit_code == 0 || post.exit_code == 202) << post.text();
        ASSERT_TRUE(held || post.exit_code == 202) << "it was not held, and post-script did not say so";
      }
      ASSERT_TRUE(both_writable(std::chrono::seconds(1)));
      ASSERT_TRUE(all_gone(kBusyDisk));
    }
    EXPECT_GT(killed, count / 8) << name << " was hardly ever there to be killed";
  }
}

TEST_F(KillSweep, OfAllProcessesAtOnceIsMendedByTheNextCommand) {
  const int count = moments_of(20, 60);
  for (int number = 0; number < count; ++number) {
    restart_safety_limit();
    const auto pre = start({"pre-script", "--auto-thaw", "3"});
    sleep_for(moment(number, count));
    const auto result = kill_all_at_once(*pre);
    SCOPED_TRACE("moment " + std::to_string(number) + ": " + result.text());
    ASSERT_TRUE(all_gone(kBusyDisk));
    // Alternately the two commands that may come next.
    if (number % 2 == 0) {
      const auto post = run({"post-script"});
      ASSERT_TRUE(post.exit_code == 202 || post.exit_code == 205) << post.text();
    } else {
      expect(0, {"pre-script"});
      expect(0, {"post-script"});
    }
    ASSERT_TRUE(both_writable(Milliseconds(500)));
    ASSERT_TRUE(rcu_is_put_back());
  }
}

}  // namespace
}  // namespace dlm_freeze::integration
