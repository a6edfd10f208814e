// SPDX-License-Identifier: Apache-2.0
// One session at a time, and what a command answers that comes at the wrong moment.
#include <gmock/gmock.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <filesystem>

#include "harness/host_test.hpp"

namespace dlm_freeze::integration {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr const char* kExecution = "11111111-2222-3333-4444-555555555555";
constexpr const char* kOtherExecution = "99999999-8888-7777-6666-555555555555";

class Sessions : public HostTest {};

TEST_F(Sessions, ASecondPreScriptAnswers204AndLeavesTheFirstAlone) {
  const auto& data = add("ext4", "/srv/data");
  expect(0, {"pre-script"});
  const auto second = expect(204, {"pre-script"});
  EXPECT_THAT(second.err, AllOf(HasSubstr("ERROR: "), HasSubstr("Return Error Code: 204")));
  EXPECT_TRUE(frozen(data));
  expect(0, {"post-script"});
  EXPECT_TRUE(writable(data));
}

TEST_F(Sessions, OfTwoPreScriptsAtTheSameInstantOneAnswers0AndOne204) {
  const auto& data = add("ext4", "/srv/data");
  for (int round = 0; round < 20; ++round) {
    const auto first = start({"pre-script"});
    const auto second = start({"pre-script"});
    const auto one = first->wait();
    const auto other = second->wait();
    ASSERT_TRUE(one.exit_code && other.exit_code) << one.text() << other.text();
    const auto codes = std::minmax(*one.exit_code, *other.exit_code);
    ASSERT_EQ(codes.first, 0) << one.text() << other.text();
    ASSERT_EQ(codes.second, 204) << one.text() << other.text();
    ASSERT_TRUE(frozen(data));
    expect(0, {"post-script"});
    ASSERT_TRUE(writable(data));
  }
}

TEST_F(Sessions, OfTwoPostScriptsAtTheSameInstantBothFindItThawed) {
  const auto& data = add("ext4", "/srv/data");
  for (int round = 0; round < 10; ++round) {
    expect(0, {"pre-script", "--execution-id", kExecution});
    const auto first = start({"post-script", "--execution-id", kExecution});
    const auto second = start({"post-script", "--execution-id", kExecution});
    const auto one = first->wait();
    const auto other = second->wait();
    EXPECT_EQ(one.exit_code, 0) << one.text();
    EXPECT_EQ(other.exit_code, 0) << other.text();
    EXPECT_TRUE(writable(data));
  }
}

TEST_F(Sessions, OfManyPostScriptsWithoutAnIdAtTheSameInstantOneIsTold0) {
  const auto& data = add("ext4", "/srv/data");
  for (int round = 0; round < 15; ++round) {
    expect(0, {"pre-script"});
    std::vector<std::unique_ptr<AgentRun>> runs;
    for (int i = 0; i < 6; ++i) runs.push_back(start({"post-script"}));
    std::vector<int> codes;
    for (const auto& one : runs) codes.push_back(one->wait().exit_code.value_or(-1));
    EXPECT_THAT(codes, testing::UnorderedElementsAre(0, 205, 205, 205, 205, 205)) << round;
    EXPECT_TRUE(writable(data));
    ASSERT_TRUE(all_gone());
  }
}

TEST_F(Sessions, APreScriptThatIsStoppedBeforeItsHandOverDoesNotSay0WhenItsBudgetIsSpent) {
  const auto& data = add("ext4", "/srv/data");
  // Its fourth message is the last: before and after it this process does nothing for longer than it may take in all.
  for (const char* delay : {"delay_enter", "delay_exit"}) {
    const std::string stop = std::string("inject=sendto:") + delay + "=2500000:when=4";
    const auto pre = run({"pre-script", "--timeout", "2"},
                         {.environment = {"ASAN_OPTIONS=detect_leaks=0"},
                          .wrapper = {"strace", "-o", "/srv/trace", "-e", "trace=sendto", "-e", stop}});
    EXPECT_EQ(pre.exit_code, 201) << delay << pre.text() << read_text("/srv/trace");
    EXPECT_THAT(pre.err, HasSubstr("the time budget ran out while handing over to the watchdog"));
    EXPECT_TRUE(writable(data));
    EXPECT_TRUE(all_gone());
  }
}

TEST_F(Sessions, OnlyThePostScriptThatEndedItselfIsToldSoAgain) {
  const auto& data = add("ext4", "/srv/data");
  expect(0, {"pre-script", "--execution-id", kExecution});
  expect(0, {"post-script"});
  write_text("/srv/data/after", "written after the window");
  expect(205, {"post-script", "--execution-id", kExecution});
  EXPECT_TRUE(writable(data));
}

TEST_F(Sessions, APostScriptWhoseSessionWasAutoThawedLeavesTheNextOneAlone) {
  const auto& data = add("ext4", "/srv/data");
  expect(0, {"pre-script", "--execution-id", kExecution, "--auto-thaw", "1"});
  ASSERT_TRUE(all_gone(std::chrono::seconds(4)));
  write_text("/srv/data/after", "written after the window");
  expect(0, {"pre-script", "--execution-id", kOtherExecution});
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT(expect(203, {"post-script", "--execution-id", kExecution}).err, HasSubstr("before post-script came"));
    EXPECT_TRUE(frozen(data));
  }
  expect(0, {"post-script", "--execution-id", kOtherExecution});
  EXPECT_TRUE(writable(data));
  expect(0, {"post-script", "--execution-id", kOtherExecution});
  expect(203, {"post-script", "--execution-id", kExecution});
}

TEST_F(Sessions, APostScriptOfAnEarlierSessionUndoesWhatKilledProcessesLeftAndLeavesTheAnswerToTheirOwn) {
  const auto& data = add("ext4", "/srv/data");
  expect(0, {"pre-script", "--execution-id", kExecution, "--auto-thaw", "1"});
  ASSERT_TRUE(all_gone(std::chrono::seconds(4)));
  expect(0, {"pre-script", "--execution-id", kOtherExecution});
  process("dlm-watchdog").signal(SIGSTOP);
  process("dlm-sentinel").signal(SIGKILL);
  process("dlm-watchdog").signal(SIGKILL);
  ASSERT_TRUE(all_gone());
  expect(203, {"post-script", "--execution-id", kExecution});
  EXPECT_TRUE(writable(data));
  expect(202, {"post-script", "--execution-id", kOtherExecution});
  EXPECT_THAT(expect(0, {"history"}).out, HasSubstr(kOtherExecution));
}

TEST_F(Sessions, APostScriptRepeatedLateLeavesTheNextSessionAlone) {
  const auto& data = add("ext4", "/srv/data");
  expect(0, {"pre-script", "--execution-id", kExecution});
  expect(0, {"post-script", "--execution-id", kExecution});
  expect(0, {"pre-script", "--execution-id", kOtherExecution});
  EXPECT_THAT(expect(0, {"post-script", "--execution-id", kExecution}).out, HasSubstr("nothing else was ended"));
  EXPECT_TRUE(frozen(data));
  // A third session's record still tells of the first.
  expect(0, {"post-script", "--execution-id", kOtherExecution});
  expect(0, {"pre-script"});
  expect(0, {"post-script", "--execution-id", kExecution});
  EXPECT_TRUE(frozen(data));
  expect(0, {"post-script"});
}

TEST_F(Sessions, OfPostScriptsAtTheSameInstantOnlyThoseOfOneExecutionAnswer0) {
  add("ext4", "/srv/data");
  for (int round = 0; round < 10; ++round) {
    expect(0, {"pre-script", "--execution-id", kExecution});
    std::vector<std::unique_ptr<AgentRun>> runs;
    for (int i = 0; i < 6; ++i)
      runs.push_back(start({"post-script", "--execution-id", i % 2 == 0 ? kExecution : kOtherExecution}));
    std::array<int, 2> well{};
    for (std::size_t i = 0; i < runs.size(); ++i) {
      const auto result = runs[i]->wait();
      ASSERT_TRUE(result.exit_code == 0 || result.exit_code == 205) << result.text();
      if (result.exit_code == 0) ++well.at(i % 2);
    }
    EXPECT_TRUE((well[0] == 3 && well[1] == 0) || (well[0] == 0 && well[1] == 3)) << well[0] << " " << well[1];
    // The next round's post-scripts are not those of a session that is known.
    restart_safety_limit();
    run_tool({"rm", "/run/dlm-freeze/session.json"});
  }
}

TEST_F(Sessions, AFailedPreScriptCanBeRepeatedAtOnce) {
  add("ext4", "/srv/data");
  const auto& theirs = add("ext4", "/srv/theirs");
  theirs.freeze();
  for (int round = 0; round < 20; ++round) {
    // Each fails for the foreign freeze, not because the one before is still being cleared away.
    EXPECT_THAT(expect(204, {"pre-script"}).err, HasSubstr("/srv/theirs"));
  }
  EXPECT_TRUE(theirs.thaw());
  expect(0, {"pre-script"});
  expect(0, {"post-script"});
}

TEST_F(Sessions, ASessionCanFollowAnotherAtOnce) {
  add("ext4", "/srv/data");
  for (int round = 0; round < 20; ++round) {
    expect(0, {"pre-script"});
    expect(0, {"post-script"});
  }
}

TEST_F(Sessions, AFailedPreScriptLeavesNothingForAPostScript) {
  const auto& theirs = add("ext4", "/srv/theirs");
  theirs.freeze();
  expect(204, {"pre-script"});
  EXPECT_TRUE(all_gone());
  expect(205, {"post-script"});
  EXPECT_TRUE(theirs.thaw());
  expect(0, {"pre-script"});
  expect(0, {"post-script"});
}

}  // namespace
}  // namespace dlm_freeze::integration
