// SPDX-License-Identifier: Apache-2.0
// Sessions of the real program that freeze no filesystem. Those that do are tested in tests/integration.
#include <gmock/gmock.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>

#include "cli/cli_test.hpp"

namespace dlm_freeze {
namespace {

using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::MatchesRegex;
using testing::Not;
using testing::StartsWith;

const std::string kTime = "[0-9]+-[0-9]+-[0-9]+T[0-9]+:[0-9]+:[0-9]+Z";

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }
std::string last_line_of(const std::string& text) {
  const std::size_t end = text.size() - 1;
  return text.substr(text.rfind('\n', end - 1) + 1, end - text.rfind('\n', end - 1) - 1);
}

class Sessions : public RootCliTest {
 protected:
  void TearDown() override {
    if (!IsSkipped()) static_cast<void>(run({"post-script"}));
  }
  [[nodiscard]] std::string log() const { return scratch_ / "log"; }
  [[nodiscard]] std::string logged() const { return fakes::content_of(log()); }

  /// A database that notes what it is told; `freeze` is the end of that script.
  void configure_database(const std::string& freeze = "exit 0", const std::string& thaw = "exit 0") {
    configure(R"({"filesystems": {"freeze": false}, "quiescers": [{"type": "command", "name": "orders",
      "probe": [")" +
              scratch_.script("probe", "echo probe >>" + log()) + R"("],
      "prepare": [")" +
              scratch_.script("prepare", "echo prepare >>" + log()) + R"("],
      "freeze": [")" +
              scratch_.script("freeze", "echo freeze $DLM_FREEZE_EXECUTION_ID >>" + log() + "\n" + freeze) + R"("],
      "thaw": [")" +
              scratch_.script("thaw", "echo thaw $DLM_FREEZE_OUTCOME >>" + log() + "\n" + thaw) + R"("]}]})");
  }
};

TEST_F(Sessions, BeginWithPreScriptAndEndWithPostScript) {
  const RunOfProgram pre = expect(0, {"pre-script", "--execution-id", kExecution});
  EXPECT_THAT(pre.err, IsEmpty());
  EXPECT_THAT(first_line(pre.out),
              MatchesRegex("INFO: pre-script starting at " + kTime + " with executionId: " + kExecution));
  EXPECT_THAT(last_line_of(pre.out), MatchesRegex("INFO: pre-script completed at " + kTime +
                                                  "\\. Total runtime: [0-9]+\\.[0-9][0-9][0-9] seconds\\."));
  EXPECT_THAT(pre.out, HasSubstr("WARN: there is nothing to freeze and no database to quiesce"));
  const RunOfProgram post = expect(0, {"post-script", "--execution-id", kExecution});
  EXPECT_THAT(post.err, IsEmpty());
  EXPECT_THAT(first_line(post.out),
              MatchesRegex("INFO: post-script starting at " + kTime + " with executionId: " + kExecution));
  EXPECT_THAT(last_line_of(post.out), MatchesRegex("INFO: post-script completed at " + kTime +
                                                   "\\. Total runtime: [0-9]+\\.[0-9][0-9][0-9] seconds\\."));
  EXPECT_TRUE(fakes::all_gone());
}

TEST_F(Sessions, CloseTheOutputOfPreScriptWhenItExits) {
  // The run waits for the end of file, and the session for nine minutes.
  const RunOfProgram pre = expect(0, {"pre-script", "--auto-thaw", "540"});
  EXPECT_LT(pre.duration, fakes::kSoon);
  EXPECT_FALSE(fakes::descendants().empty());
}

TEST_F(Sessions, AreOneAtATime) {
  expect(0, {"pre-script", "--execution-id", kExecution});
  const RunOfProgram second = expect(204, {"pre-script", "--execution-id", kOtherExecution});
  EXPECT_THAT(second.err, AllOf(StartsWith("ERROR: a session is active already: execution " + std::string(kExecution)),
                                EndsWith("Return Error Code: 204\n")));
  expect(0, {"post-script", "--execution-id", kExecution});
}

TEST_F(Sessions, AreEndedOnce) {
  expect(205, {"post-script"});
  expect(0, {"pre-script", "--execution-id", kExecution});
  expect(0, {"post-script", "--execution-id", kExecution});
  expect(0, {"post-script", "--execution-id", kExecution});
  expect(205, {"post-script", "--execution-id", kOtherExecution});
  expect(205, {"post-script", "--execution-id", "None"});
  EXPECT_THAT(expect(205, {"post-script"}).err, EndsWith("there is no session to end. Return Error Code: 205\n"));
}

TEST_F(Sessions, MayBeEndedByAnotherExecutionWithAWarning) {
  expect(0, {"pre-script", "--execution-id", kExecution});
  EXPECT_THAT(expect(0, {"post-script", "--execution-id", kOtherExecution}).out,
              HasSubstr("WARN: the session was started by execution " + std::string(kExecution)));
}

TEST_F(Sessions, ThatEndedByThemselvesAreKnownWhileAnotherIsActive) {
  expect(0, {"pre-script", "--execution-id", kExecution, "--auto-thaw", "1"});
  EXPECT_TRUE(fakes::all_gone());
  expect(0, {"pre-script", "--execution-id", kOtherExecution});
  EXPECT_THAT(expect(203, {"post-script", "--execution-id", kExecution}).err, HasSubstr("by its deadline"));
  EXPECT_TRUE(*parsed(expect(0, {"status", "--json"}).out).find("active")->as_bool());
  expect(0, {"post-script", "--execution-id", kOtherExecution});
}

TEST_F(Sessions, EndByThemselvesAndThenPostScriptAnswers203Once) {
  expect(0, {"pre-script", "--auto-thaw", "1"});
  EXPECT_TRUE(fakes::all_gone());
  EXPECT_THAT(expect(203, {"post-script"}).err,
              AllOf(HasSubstr("by its deadline"), EndsWith("Return Error Code: 203\n")));
  expect(205, {"post-script"});
  expect(0, {"pre-script"});
  expect(0, {"post-script"});
}

TEST_F(Sessions, MayFollowOneThatEndedByItselfWithoutAPostScript) {
  expect(0, {"pre-script", "--auto-thaw", "1"});
  EXPECT_TRUE(fakes::all_gone());
  expect(0, {"pre-script"});
  expect(0, {"post-script"});
}

TEST_F(Sessions, AreShownByStatus) {
  configure_database();
  expect(0, {"pre-script", "--execution-id", kExecution, "--auto-thaw", "300"});
  const std::string text = expect(0, {"status"}).out;
  EXPECT_THAT(
      text, AllOf(StartsWith("A session is active (held): execution " + std::string(kExecution)), HasSubstr("orders")));
  const Json active = parsed(expect(0, {"status", "--json"}).out);
  EXPECT_TRUE(*active.find("active")->as_bool());
  EXPECT_EQ(*active.find("session")->find("phase")->as_string(), "held");
  const double* left = std::get_if<double>(&active.find("seconds_left")->value());
  ASSERT_NE(left, nullptr);
  EXPECT_LE(*left, 300);
  EXPECT_GT(*left, 250);
  expect(0, {"post-script"});
  const Json ended = parsed(expect(0, {"status", "--json"}).out);
  EXPECT_FALSE(*ended.find("active")->as_bool());
  EXPECT_EQ(*ended.find("session")->find("end")->as_string(), "completed");
  EXPECT_THAT(expect(0, {"status"}).out, AllOf(StartsWith("No session is active."), HasSubstr("completed")));
}

TEST_F(Sessions, AreWatchedUntilTheyEnd) {
  expect(0, {"pre-script", "--auto-thaw", "1"});
  const RunOfProgram watch = expect(0, {"status", "--watch"});
  EXPECT_THAT(watch.out, AllOf(HasSubstr("A session is active"), HasSubstr("auto_thawed"), Not(HasSubstr("\x1b"))));
}

TEST_F(Sessions, AreRedrawnOnlyWhereTheTerminalMayBeSentEscapes) {
  for (const char* setting : {"TERM=xterm", "TERM=dumb", "LANG=C", "NO_COLOR=1"}) {
    HowToRun how;
    how.environment.emplace_back(setting);
    how.on_terminal = true;
    if (std::string_view(setting).starts_with("NO_COLOR")) how.environment.emplace_back("TERM=xterm");
    const RunOfProgram watch = run({"status", "--watch"}, how);
    EXPECT_EQ(watch.out.find('\x1b') != std::string::npos, std::string_view(setting) == "TERM=xterm") << setting;
  }
}

TEST_F(Sessions, QuiesceAndReleaseADatabase) {
  configure_database();
  expect(0, {"pre-script", "--execution-id", kExecution});
  EXPECT_EQ(logged(), "probe\nprepare\nfreeze " + std::string(kExecution) + "\n");
  expect(0, {"post-script"});
  EXPECT_THAT(logged(), EndsWith("thaw completed\n"));
}

TEST_F(Sessions, ReleaseADatabaseAtTheDeadline) {
  configure_database();
  expect(0, {"pre-script", "--auto-thaw", "1"});
  EXPECT_TRUE(fakes::all_gone());
  EXPECT_THAT(logged(), EndsWith("thaw auto_thawed\n"));
  expect(203, {"post-script"});
}

TEST_F(Sessions, ThatCannotQuiesceAreRolledBackAndAnswer201) {
  configure_database("echo 'no space' >&2; exit 1");
  const RunOfProgram pre = expect(201, {"pre-script"});
  EXPECT_THAT(pre.err, AllOf(HasSubstr("orders: freeze command"), HasSubstr("(no space)"),
                             EndsWith("Return Error Code: 201\n")));
  EXPECT_THAT(logged(), EndsWith("thaw rolled_back\n")) << "thaw runs although freeze failed";
  EXPECT_TRUE(fakes::all_gone());
  expect(205, {"post-script"});
}

TEST_F(Sessions, ThatRunOutOfTimeAreRolledBackWithinTheirBudget) {
  configure_database("sleep 1000");
  const RunOfProgram pre = this->run({"pre-script", "--timeout", "1"});
  EXPECT_TRUE(pre.exit_status == 201 || pre.exit_status == 206) << pre.text();
  EXPECT_LT(pre.duration, fakes::kSoon);
  EXPECT_TRUE(fakes::all_gone());
  EXPECT_THAT(logged(), EndsWith("thaw rolled_back\n"));
}

TEST_F(Sessions, OfADatabaseThatIsNotReadyAnswer206) {
  configure(R"({"filesystems": {"freeze": false}, "quiescers": [{"type": "command", "probe": ["/bin/false"],
    "freeze": ["/bin/true"], "thaw": ["/bin/true"]}]})");
  EXPECT_THAT(expect(206, {"pre-script"}).err, EndsWith("Return Error Code: 206\n"));
  EXPECT_TRUE(fakes::all_gone());
}

TEST_F(Sessions, WhoseDatabaseCannotBeReleasedAnswer202) {
  configure_database("exit 0", "exit 1");
  expect(0, {"pre-script"});
  EXPECT_THAT(expect(202, {"post-script"}).err,
              AllOf(HasSubstr("orders: thaw command"), EndsWith("Return Error Code: 202\n")));
}

TEST_F(Sessions, WhoseWatchdogIsKilledAnswer202) {
  configure_database();
  expect(0, {"pre-script"});
  const auto watchdog = fakes::descendant("dlm-watchdog");
  ASSERT_TRUE(watchdog);
  ::kill(*watchdog, SIGKILL);
  EXPECT_TRUE(fakes::all_gone());
  EXPECT_THAT(logged(), EndsWith("thaw rolled_back\n"));
  EXPECT_THAT(expect(202, {"post-script"}).err, HasSubstr("the watchdog was lost"));
  expect(205, {"post-script"});
}

TEST_F(Sessions, WhoseProcessesAreAllKilledAreMendedByPostScript) {
  configure_database();
  expect(0, {"pre-script"});
  fakes::kill_together({fakes::descendant("dlm-watchdog").value(), fakes::descendant("dlm-sentinel").value()});
  EXPECT_TRUE(fakes::all_gone());
  EXPECT_THAT(logged(), Not(HasSubstr("thaw")));
  EXPECT_THAT(expect(0, {"status"}).out, HasSubstr("has lost all its processes"));
  expect(202, {"post-script"});
  EXPECT_THAT(logged(), EndsWith("thaw rolled_back\n"));
  expect(205, {"post-script"});
}

TEST_F(Sessions, WhoseProcessesAreAllKilledAreMendedByTheNextPreScript) {
  configure_database();
  expect(0, {"pre-script"});
  fakes::kill_together({fakes::descendant("dlm-watchdog").value(), fakes::descendant("dlm-sentinel").value()});
  EXPECT_TRUE(fakes::all_gone());
  EXPECT_THAT(expect(0, {"pre-script"}).out, HasSubstr("WARN: the processes of session None were killed"));
  EXPECT_THAT(logged(), HasSubstr("thaw rolled_back\n"));
  expect(0, {"post-script"});
}

TEST_F(Sessions, PrintLessWithAHigherLogLevel) {
  EXPECT_THAT(expect(0, {"--log-level", "error", "pre-script"}).out, IsEmpty());
  EXPECT_THAT(expect(0, {"--log-level", "warn", "post-script"}).out, IsEmpty());
}

TEST_F(Sessions, SayOfEveryMountWhyItIsNotFrozenWhenAsked) {
  EXPECT_THAT(expect(0, {"--log-level", "debug", "pre-script"}).out,
              HasSubstr("DEBUG: /: pass over, the filesystem of /\n"));
  expect(0, {"post-script"});
}

// The state directory.

class StateDirectories : public Sessions {};

TEST_F(StateDirectories, ThatAreASymbolicLinkAreRefused) {
  std::filesystem::create_directory(scratch_ / "elsewhere");
  std::filesystem::create_directory_symlink(scratch_ / "elsewhere", state_directory());
  EXPECT_THAT(expect(201, {"pre-script"}).err, HasSubstr("is a symbolic link or a file: remove it"));
  expect(202, {"post-script"});
  EXPECT_TRUE(std::filesystem::is_empty(scratch_ / "elsewhere"));
}

TEST_F(StateDirectories, ThatOthersMayWriteAreRefused) {
  std::filesystem::create_directory(state_directory());
  ::chmod(state_directory().c_str(), 0777);
  EXPECT_THAT(expect(201, {"pre-script"}).err, HasSubstr("could be changed by others"));
  expect(202, {"post-script"});
}

TEST_F(StateDirectories, ThatCannotBeMadeAreErrors) {
  const std::string nowhere = "/nowhere/state";
  EXPECT_EQ(run_program_under_test({"--config", config_, "--state-dir", nowhere, "pre-script"}).exit_status, 201);
  EXPECT_EQ(run_program_under_test({"--state-dir", nowhere, "post-script"}).exit_status, 205);
  EXPECT_EQ(run_program_under_test({"--state-dir", nowhere, "status"}).exit_status, 0);
}

TEST_F(StateDirectories, ThatAreFullAreErrors) {
  std::filesystem::create_directory(state_directory());
  const int status = fakes::in_child([&] {
    if (::unshare(CLONE_NEWNS) != 0) return 77;
    if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return 77;
    if (::mount("none", state_directory().c_str(), "tmpfs", 0, "size=4k,mode=0700") != 0) return 77;
    const RunOfProgram pre = run({"pre-script"});
    std::fputs(pre.text().c_str(), stderr);
    return pre.exit_status == 201 && fakes::all_gone() ? 0 : 1;
  });
  if (status == 77) GTEST_SKIP() << "no mount namespace here";
  EXPECT_EQ(status, 0);
}

TEST_F(StateDirectories, WithADamagedRecordAreAnErrorForPostScriptAndReplacedByPreScript) {
  for (const char* text : {"", "{", "{\"version\": 99}", "[]", "{\"version\": 1}"}) {
    expect(0, {"pre-script"});
    expect(0, {"post-script"});
    scratch_.write("state/session.json", text);
    EXPECT_THAT(expect(202, {"post-script"}).err, HasSubstr("session.json"));
    EXPECT_THAT(expect(0, {"pre-script"}).out,
                HasSubstr("WARN: the record of the last session is damaged and is replaced"));
    expect(0, {"post-script"});
  }
}

TEST_F(StateDirectories, WithTheRecordOfAnotherBootHaveNoSession) {
  expect(0, {"pre-script"});
  fakes::kill_together({fakes::descendant("dlm-watchdog").value(), fakes::descendant("dlm-sentinel").value()});
  EXPECT_TRUE(fakes::all_gone());
  std::string record = fakes::content_of(state_directory() + "/session.json");
  const std::size_t boot = record.find("\"boot_id\": \"");
  ASSERT_NE(boot, std::string::npos);
  record.replace(boot + 12, 8, "00000000");
  scratch_.write("state/session.json", record);
  expect(205, {"post-script"});
}

}  // namespace
}  // namespace dlm_freeze
