// SPDX-License-Identifier: Apache-2.0
// Programs that hold (`session`), and what is left of the programs of a quiescer when processes die.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "harness/host_test.hpp"
#include "rounds.hpp"

namespace dlm_freeze::integration {
namespace {

using std::chrono::seconds;
using testing::AnyOf;
using testing::HasSubstr;
using testing::MatchesRegex;

class Hooks : public HostTest {
 protected:
  static constexpr const char* kJournal = "/srv/journal";
  static constexpr const char* kLock = "/srv/hook.lock";

  void SetUp() override {
    HostTest::SetUp();
    if (IsSkipped()) return;
    std::filesystem::create_directories("/srv/hooks");
    data_ = &add("ext4", "/srv/data");
  }

  /// A script that holds a lock as long as it, or anything it started, lives.
  static std::string hook(const std::string& name, const std::string& body) {
    const std::string path = "/srv/hooks/" + name;
    write_text(path, std::string("#!/bin/sh\nexec 9>") + kLock + "\nflock -w 5 9 || exit 9\nnote() { echo \"$*\" >>" +
                         kJournal + "; }\n" + body + "\n");
    ::chmod(path.c_str(), 0755);
    return path;
  }

  void configure_hooks(nlohmann::json quiescer, int timeout_seconds) const {
    quiescer["type"] = "command";
    quiescer["name"] = "db";
    quiescer["timeout_seconds"] = timeout_seconds;
    configure(nlohmann::json{{"auto_thaw_seconds", 20}, {"quiescers", {quiescer}}}.dump());
  }
  void configure_session(const std::string& body, int timeout_seconds = 5) const {
    configure_hooks({{"session", {hook("session", body)}}}, timeout_seconds);
  }
  /// Holds, and notes all that happens to it.
  static constexpr const char* kHolds = "note hold; echo READY; read -r word; note \"${word:-end of input}\"";

  /// Whether no program of a hook lives, or none does soon.
  [[nodiscard]] static bool hooks_gone(Milliseconds limit = seconds(3)) {
    const UniqueFd lock(::open(kLock, O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    return eventually([&] { return ::flock(lock.get(), LOCK_EX | LOCK_NB) == 0; }, limit);
  }

  /// What was noted since the last look.
  static std::string journal() {
    if (!std::filesystem::exists(kJournal)) return "";
    const auto text = read_text(kJournal);
    std::filesystem::remove(kJournal);
    return text;
  }

  void expect_nothing_left(Milliseconds limit = seconds(3)) {
    EXPECT_TRUE(writable(*data_));
    EXPECT_TRUE(all_gone(limit));
    EXPECT_TRUE(hooks_gone(limit));
  }

  const Filesystem* data_ = nullptr;
};

TEST_F(Hooks, OfASessionHoldFromReadyToThaw) {
  // It may write where it likes, before and after.
  configure_session(std::string("echo x >/srv/data/before; ") + kHolds + "; echo x >/srv/data/after");
  expect(0, {"pre-script"});
  EXPECT_EQ(journal(), "hold\n");
  EXPECT_TRUE(frozen(*data_));
  EXPECT_FALSE(hooks_gone(Milliseconds(100)));
  expect(0, {"post-script"});
  EXPECT_EQ(journal(), "THAW completed\n");
  expect_nothing_left();
  EXPECT_TRUE(std::filesystem::exists("/srv/data/after"));
}

TEST_F(Hooks, OfASessionAreWaitedForWithinTheirTime) {
  configure_session(std::string("sleep 1; ") + kHolds);
  const auto pre = expect(0, {"pre-script"});
  EXPECT_GE(pre.run_time(), seconds(1));
  EXPECT_EQ(journal(), "hold\n");
  expect(0, {"post-script"});
}

TEST_F(Hooks, OfASessionThatAreNeverReadyAre201AndToldToThaw) {
  configure_session("echo 'waiting for a lock'; read -r word; note \"$word\"", 1);
  const auto pre = expect(201, {"pre-script"});
  EXPECT_THAT(pre.err, HasSubstr("did not say READY in time (waiting for a lock)"));
  EXPECT_EQ(journal(), "THAW rolled_back\n");
  expect_nothing_left();
  expect(205, {"post-script"});
}

TEST_F(Hooks, OfASessionThatAreNeverReadyAndDeafAreKilled) {
  configure_session("trap '' TERM HUP; sleep 1000 & sleep 1000", 1);
  const auto pre = expect(201, {"pre-script"});
  EXPECT_LT(pre.run_time(), seconds(6));
  expect_nothing_left();
}

TEST_F(Hooks, OfASessionThatAreNotReadyWithinTheBudgetOfPreScriptAreEndedAll) {
  configure_session("sleep 1000", 4);
  const auto pre = run({"pre-script", "--timeout", "2"});
  EXPECT_THAT(pre.exit_code, testing::Optional(AnyOf(201, 206))) << pre.text();
  EXPECT_LT(pre.run_time(), seconds(3));
  EXPECT_TRUE(writable(*data_));
  // The session lasts until its program has had the time to release what it may have got.
  EXPECT_TRUE(hooks_gone(seconds(10)));
  EXPECT_TRUE(all_gone());
}

TEST_F(Hooks, OfASessionThatPrintGarbageAre201) {
  configure_session("head -c 200000 /dev/urandom; echo; echo 'this is no answer'");
  const auto pre = expect(201, {"pre-script"});
  EXPECT_THAT(pre.err, HasSubstr("exited with status 0 (this is no answer) before it said READY"));
  expect_nothing_left();
}

TEST_F(Hooks, OfASessionThatEndBeforeTheyAreReadyAre201AndSayWhy) {
  configure_session("echo 'not primary' >&2; exit 3");
  const auto pre = expect(201, {"pre-script"});
  EXPECT_THAT(pre.err, HasSubstr("db: session command /srv/hooks/session exited with status 3 (not primary)"));
  expect_nothing_left();
}

TEST_F(Hooks, OfASessionThatDieWhileTheyHoldAre202) {
  configure_session("echo $$ >/srv/pid; echo READY; read -r word");
  expect(0, {"pre-script"});
  ASSERT_EQ(::kill(std::stoi(read_text("/srv/pid")), SIGKILL), 0);
  ASSERT_TRUE(hooks_gone());
  EXPECT_TRUE(frozen(*data_)) << "that is for post-script or the deadline to end";
  const auto post = expect(202, {"post-script"});
  EXPECT_THAT(post.err, HasSubstr("db was lost while it was quiesced"));
  expect_nothing_left();
}

TEST_F(Hooks, OfASessionMayTalkWhileTheyHold) {
  configure_session("echo READY; (sleep 0.3; echo 'still here') & read -r word; wait");
  expect(0, {"pre-script"});
  sleep_for(Milliseconds(600));
  expect(0, {"post-script"});
}

TEST_F(Hooks, OfASessionThatIgnoreThawAreKilledAnd202) {
  configure_session("trap '' TERM; echo READY; sleep 1000 & sleep 1000", 1);
  expect(0, {"pre-script"});
  const auto post = expect(202, {"post-script"});
  EXPECT_THAT(post.err, HasSubstr("told THAW: /srv/hooks/session did not end in time and was killed"));
  expect_nothing_left();
}

TEST_F(Hooks, OfASessionThatFailToReleaseAre202) {
  configure_session("echo READY; read -r word; echo 'cannot unlock' >&2; exit 4");
  expect(0, {"pre-script"});
  const auto post = expect(202, {"post-script"});
  EXPECT_THAT(post.err, HasSubstr("exited with status 4 (cannot unlock) after THAW"));
  expect_nothing_left();
}

TEST_F(Hooks, OfASessionAreToldOfTheDeadline) {
  configure_session(kHolds);
  expect(0, {"pre-script", "--auto-thaw", "1"});
  EXPECT_TRUE(writable(*data_, seconds(2)));
  expect_nothing_left();
  EXPECT_EQ(journal(), "hold\nTHAW auto_thawed\n");
  expect(203, {"post-script"});
}

TEST_F(Hooks, OfASessionSeeTheEndOfTheirInputWhenTheWatchdogDies) {
  configure_session(kHolds);
  expect(0, {"pre-script"});
  process("dlm-watchdog").signal(SIGKILL);
  expect_nothing_left();
  EXPECT_EQ(journal(), "hold\nend of input\n");
  expect(202, {"post-script"});
  EXPECT_EQ(journal(), "") << "nothing is run again";
}

TEST_F(Hooks, OfASessionSeeItWhenWatchdogAndSentinelDieAtOnce) {
  configure_session(kHolds);
  expect(0, {"pre-script"});
  std::vector<AgentProcess> both;
  both.push_back(process("dlm-watchdog"));
  both.push_back(process("dlm-sentinel"));
  kill_at_once(both);
  EXPECT_TRUE(hooks_gone());
  EXPECT_EQ(journal(), "hold\nend of input\n");
  expect(202, {"post-script"});
  expect_nothing_left();
}

TEST_F(Hooks, OfASessionThatDoNotSeeItAreKilled) {
  configure_session("trap '' TERM HUP; echo READY; sleep 1000 & sleep 1000", 1);
  expect(0, {"pre-script"});
  process("dlm-watchdog").signal(SIGKILL);
  expect_nothing_left(seconds(5));
  expect(202, {"post-script"});
}

TEST_F(Hooks, OfASessionThatLoseTheirKeeperEndAnd202SaysSo) {
  configure_session("echo READY; exec sleep 1000");
  expect(0, {"pre-script"});
  process("dlm-keeper").signal(SIGKILL);
  EXPECT_TRUE(hooks_gone());
  const auto post = expect(202, {"post-script"});
  EXPECT_THAT(post.err, HasSubstr("db"));
  expect_nothing_left();
}

TEST_F(Hooks, OfASessionSurviveTheEndOfPreScriptsProcessGroup) {
  configure_session(kHolds);
  const auto pre = start({"pre-script"});
  ASSERT_TRUE(eventually([&] { return frozen(*data_); }, seconds(5)));
  ASSERT_EQ(pre->wait().exit_code, 0);
  ::kill(-pre->pid(), SIGKILL);
  EXPECT_FALSE(hooks_gone(Milliseconds(200)));
  expect(0, {"post-script"});
  EXPECT_EQ(journal(), "hold\nTHAW completed\n");
}

TEST_F(Hooks, OfASessionHaveNoDescriptorsButTheirThree) {
  write_text("/srv/hooks/session",
             "#!/bin/sh\nreadlink /proc/$$/fd/* >/srv/descriptors\necho READY\nread -r word\n:\n");
  ::chmod("/srv/hooks/session", 0755);
  configure_hooks({{"session", {"/srv/hooks/session"}}}, 5);
  expect(0, {"pre-script"});
  expect(0, {"post-script"});
  EXPECT_THAT(read_text("/srv/descriptors"), MatchesRegex("((pipe:.*|/srv/hooks/session|/srv/descriptors)\n){3,4}"));
}

TEST_F(Hooks, ThatThawAreRunWhenTheWatchdogDiesWhileTheyFreeze) {
  configure_hooks({{"freeze", {hook("freeze", "note freeze; sleep 1000 & sleep 1000")}},
                   {"thaw", {hook("thaw", "note thaw $DLM_FREEZE_OUTCOME")}}},
                  60);
  const auto pre = start({"pre-script"});
  ASSERT_TRUE(eventually([] { return std::filesystem::exists(kJournal); }, seconds(5)));
  process("dlm-watchdog").signal(SIGKILL);
  EXPECT_EQ(pre->wait().exit_code, 201);
  expect_nothing_left();
  EXPECT_EQ(journal(), "freeze\nthaw rolled_back\n");
}

/// SIGKILL at moments spread over pre-script's whole run.
class HooksSweep : public Hooks {
 protected:
  const int count_ = moments_of(20, 50);

  static nlohmann::json session() {
    return {
        {"session", {hook("session", std::string("note begin; sleep 0.02; ") + kHolds + "; sleep 0.02; note end")}}};
  }
  static nlohmann::json pair() {
    return {{"freeze", {hook("freeze", "note begin; sleep 0.02; note hold; sleep 0.02")}},
            {"thaw", {hook("thaw", "sleep 0.02; note end")}}};
  }

  /// What pre-script takes: the median of some runs.
  [[nodiscard]] Clock::duration measured_run_time() {
    std::array<Clock::duration, 5> times{};
    for (auto& time : times) {
      time = expect(0, {"pre-script"}).run_time();
      expect(0, {"post-script"});
    }
    std::sort(times.begin(), times.end());
    journal();
    return times[times.size() / 2];
  }

  /// After a kill: everything is undone soon, by whoever is left, or held and then ended by post-script.
  void expect_undone(const RunResult& result) {
    if (result.exit_code == 0 || !eventually([&] { return processes().empty(); }, seconds(2))) {
      ++held_;
      const auto post = run({"post-script"});
      ASSERT_THAT(post.exit_code, testing::Optional(AnyOf(0, 202))) << post.text();
    }
    ASSERT_TRUE(writable(*data_));
    ASSERT_TRUE(all_gone());
    ASSERT_TRUE(hooks_gone());
    const std::string noted = journal();
    if (noted.empty()) return;
    ++begun_;
    ASSERT_THAT(noted, HasSubstr("end\n")) << "begun and not ended";
  }

  /// `kill(pre)` at each of count_ moments, from the start of pre-script to a fifth past its usual end. On a machine
  /// that became busier or idler since the run was measured, these do not cover it: then once more.
  template <typename Kill, typename Covered>
  void sweep(const nlohmann::json& quiescer, const Kill& kill, const Covered& covered) {
    configure_hooks(quiescer, 5);
    for (int sweeps = 0; sweeps < 3 && !covered(); ++sweeps) {
      begun_ = held_ = killed_ = 0;
      const Clock::duration run_time = measured_run_time();
      for (int number = 0; number < count_; ++number) {
        restart_safety_limit();
        const auto pre = start({"pre-script", "--auto-thaw", "10"});
        sleep_for(run_time * 12 * number / (10 * count_));
        const bool is_pre_script_killed = kill(*pre);
        const RunResult result = pre->wait();
        SCOPED_TRACE("moment " + std::to_string(number) + ": " + result.text());
        if (!is_pre_script_killed) {
          ASSERT_THAT(result.exit_code, testing::Optional(AnyOf(0, 201)));
        }
        expect_undone(result);
        if (HasFatalFailure()) return;
      }
    }
    EXPECT_TRUE(covered()) << begun_ << " begun, " << held_ << " held, " << killed_ << " killed of " << count_;
  }

  void kill_pre_script_at_all_moments(const nlohmann::json& quiescer) {
    const auto kill = [](auto& pre) {
      pre.kill_group();
      return true;
    };
    sweep(quiescer, kill, [&] { return begun_ > count_ / 4 && held_ < count_ / 2; });
  }
  void kill_the_watchdog_at_all_moments(const nlohmann::json& quiescer) {
    const auto kill = [&](auto&) {
      if (const auto watchdog = agent_process(binary(), "dlm-watchdog")) killed_ += watchdog->signal(SIGKILL) ? 1 : 0;
      return false;
    };
    sweep(quiescer, kill, [&] { return killed_ > count_ / 2 && begun_ > count_ / 4; });
  }

  int begun_ = 0;
  int held_ = 0;
  int killed_ = 0;
};

TEST_F(HooksSweep, OfPreScriptLeavesNoSessionBehind) { kill_pre_script_at_all_moments(session()); }
TEST_F(HooksSweep, OfPreScriptLeavesNoFreezeWithoutItsThaw) { kill_pre_script_at_all_moments(pair()); }
TEST_F(HooksSweep, OfTheWatchdogLeavesNoSessionBehind) { kill_the_watchdog_at_all_moments(session()); }
TEST_F(HooksSweep, OfTheWatchdogLeavesNoFreezeWithoutItsThaw) { kill_the_watchdog_at_all_moments(pair()); }

}  // namespace
}  // namespace dlm_freeze::integration
