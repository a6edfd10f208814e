// SPDX-License-Identifier: Apache-2.0
// pre-script that locks and freezes at a given time, as one of several hosts.
#include <gmock/gmock.h>
#include <signal.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/utc.hpp"
#include "harness/host_test.hpp"

namespace dlm_freeze::integration {
namespace {

using nlohmann::json;
using std::chrono::seconds;
using std::chrono::system_clock;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kGroup = "shards-1";

class HoldAt : public HostTest {
 protected:
  json session() { return json::parse(expect(0, {"status", "--json"}).out)["session"]; }

  static std::string in(Milliseconds span) { return format_utc_milliseconds(system_clock::now() + span); }

  std::unique_ptr<AgentRun> start_for(const std::string& time, const std::vector<std::string>& options = {}) {
    std::vector<std::string> arguments = {"pre-script", "--hold-at", time, "--group", kGroup, "--timeout", "20"};
    arguments.insert(arguments.end(), options.begin(), options.end());
    return start(arguments);
  }

  /// Waits until everything is prepared, and nothing is locked or frozen.
  [[nodiscard]] bool is_waiting() {
    return eventually([&] { return processes().size() >= 3 && session()["phase"] == "preparing"; }, seconds(10));
  }

  /// Nothing of it is left.
  void expect_undone(const Filesystem& filesystem) {
    EXPECT_TRUE(all_gone());
    EXPECT_TRUE(writable(filesystem));
    expect(205, {"post-script"});
  }
};

TEST_F(HoldAt, FreezesThenAndNotBeforeAndCountsTheDeadlineFromThen) {
  const auto& data = add("ext4", "/srv/data");
  const auto wanted = system_clock::now() + Milliseconds(3000);  // Long enough for the second write-back.
  const auto pre = start_for(format_utc_milliseconds(wanted), {"--auto-thaw", "30"});
  ASSERT_TRUE(is_waiting());
  const bool is_in_time = writable(data, Milliseconds(2000));
  EXPECT_TRUE(is_in_time || system_clock::now() > wanted - Milliseconds(500)) << "frozen before its time";
  const auto result = pre->wait();
  ASSERT_EQ(result.exit_code, 0) << result.text();
  EXPECT_TRUE(frozen(data));
  EXPECT_THAT(result.out, HasSubstr("prepared; waiting"));
  const json held = session();
  EXPECT_EQ(held["group_id"], kGroup);
  const auto wanted_ms = std::chrono::duration_cast<Milliseconds>(wanted.time_since_epoch()).count();
  EXPECT_EQ(held["hold_wanted_at_ms"], wanted_ms);
  EXPECT_GE(held["held_at_ms"], wanted_ms);
  EXPECT_NEAR(held["deadline_at_ms"].get<double>(), static_cast<double>(wanted_ms + 30'000), 500);
  EXPECT_LT(held["stage_seconds"]["prepare"], 3) << "the wait is no part of it";
  EXPECT_THAT(expect(0, {"status"}).out, HasSubstr(kGroup));
  expect(0, {"post-script"});
  const json manifest = json::parse(read_text("/srv/data/.dlm-freeze/manifest.json"));
  EXPECT_EQ(manifest["group_id"], kGroup);
  EXPECT_TRUE(eventually(
      [&] {
        const auto history = expect(0, {"history", "--json"}).out;
        return !history.empty() && json::parse(history)["group_id"] == kGroup && json::parse(history)["good"] == true;
      },
      seconds(5)));
}

TEST_F(HoldAt, IsRefusedBeforeAnythingIsDoneIfItHasPassedOrIsBeyondTheBudget) {
  const auto& data = add("ext4", "/srv/data");
  const auto passed = start_for(in(Milliseconds(-1)))->wait();
  EXPECT_EQ(passed.exit_code, 201) << passed.text();
  EXPECT_THAT(passed.err, AllOf(HasSubstr("has passed"), HasSubstr("Return Error Code: 201")));
  const auto far = start_for(in(seconds(60)))->wait();
  EXPECT_EQ(far.exit_code, 201) << far.text();
  EXPECT_THAT(far.err, HasSubstr("raise --timeout"));
  EXPECT_LT(far.run_time(), seconds(5));
  EXPECT_FALSE(std::filesystem::exists("/run/dlm-freeze"));
  expect_undone(data);
}

TEST_F(HoldAt, Is201IfTheWatchdogSaysNothingAndThereIsNoDatabase) {
  const auto& data = add("ext4", "/srv/data");
  const auto pre = start({"pre-script", "--hold-at", in(Milliseconds(4000)), "--group", kGroup, "--timeout", "6"});
  ASSERT_TRUE(is_waiting());
  process("dlm-watchdog").signal(SIGSTOP);
  const auto result = pre->wait();
  EXPECT_EQ(result.exit_code, 201) << result.text();
  EXPECT_THAT(result.err, Not(HasSubstr("quiescing")));
  expect_undone(data);
}

TEST_F(HoldAt, IsRolledBackIfPreparingTakesLonger) {
  const auto& data = add("ext4", "/srv/data");
  configure(R"({"quiescers": [{"type": "command", "name": "slow", "freeze": ["/bin/true"], "thaw": ["/bin/true"],
                               "probe": ["/bin/sleep", "6"], "timeout_seconds": 10}]})");
  const auto result = start_for(in(Milliseconds(1500)))->wait();
  EXPECT_EQ(result.exit_code, 201) << result.text();
  EXPECT_THAT(result.err, HasSubstr("came before everything was prepared"));
  EXPECT_LT(result.run_time(), seconds(6));
  expect_undone(data);
}

TEST_F(HoldAt, IsRolledBackIfTheSessionEndsOrAnybodyDiesWhileItWaits) {
  const auto& data = add("ext4", "/srv/data");
  const std::vector<std::pair<std::string, std::function<void(AgentRun&)>>> ways = {
      {"post-script", [&](AgentRun&) { static_cast<void>(run({"post-script"})); }},
      {"SIGTERM to the watchdog", [&](AgentRun&) { process("dlm-watchdog").signal(SIGTERM); }},
      {"the watchdog is killed", [&](AgentRun&) { process("dlm-watchdog").signal(SIGKILL); }},
      {"the freezer is killed", [&](AgentRun&) { process("dlm-freezer").signal(SIGKILL); }},
      {"pre-script is killed", [&](AgentRun& pre) { pre.kill_group(); }},
  };
  for (const auto& [what, end] : ways) {
    SCOPED_TRACE(what);
    const auto pre = start_for(in(seconds(15)));
    ASSERT_TRUE(is_waiting());
    end(*pre);
    const auto result = pre->wait();
    EXPECT_NE(result.exit_code, 0) << result.text();
    EXPECT_LT(result.run_time(), seconds(12)) << "it need not wait for its time";
    EXPECT_TRUE(all_gone());
    EXPECT_TRUE(writable(data));
    static_cast<void>(run({"post-script"}));
  }
}

}  // namespace
}  // namespace dlm_freeze::integration
