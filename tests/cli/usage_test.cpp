// SPDX-License-Identifier: Apache-2.0
// What can be asked of the program without touching anything.
#include <gmock/gmock.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

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

constexpr const char* kEscape = "\x1b";

class Usage : public CliTest {};

TEST_F(Usage, PrintsHelp) {
  for (const char* option : {"--help", "-h"}) {
    const RunOfProgram run = run_program_under_test({option});
    EXPECT_EQ(run.exit_status, 0);
    EXPECT_THAT(run.out,
                AllOf(HasSubstr("pre-script"), HasSubstr("post-script"), HasSubstr("dry-run"), HasSubstr("status")));
    EXPECT_THAT(run.err, IsEmpty());
  }
  for (const char* command : {"pre-script", "post-script", "dry-run", "status"}) {
    const RunOfProgram run = run_program_under_test({command, "--help"});
    EXPECT_EQ(run.exit_status, 0);
    EXPECT_THAT(run.out, HasSubstr("--"));
  }
}

TEST_F(Usage, PrintsHelpThatFitsATerminal) {
  for (const std::vector<std::string>& words : {std::vector<std::string>{"--help"},
                                                {"pre-script", "--help"},
                                                {"post-script", "--help"},
                                                {"dry-run", "--help"},
                                                {"status", "--help"},
                                                {"history", "--help"}}) {
    const std::string help = run_program_under_test(words).out;
    EXPECT_LE(std::count(help.begin(), help.end(), '\n'), 24) << help;
    for (std::size_t begin = 0; begin < help.size(); begin = help.find('\n', begin) + 1)
      EXPECT_LE(help.find('\n', begin) - begin, 80U) << help.substr(begin);
  }
}

TEST_F(Usage, PrintsTheVersion) {
  const RunOfProgram run = run_program_under_test({"--version"});
  EXPECT_EQ(run.exit_status, 0);
  EXPECT_THAT(run.out, MatchesRegex("dlm-freeze [0-9.]+\n"));
}

TEST_F(Usage, ExitsWith1ForWhatItDoesNotUnderstand) {
  const std::vector<std::vector<std::string>> wrong = {{},
                                                       {"freeze"},
                                                       {"--unknown"},
                                                       {"pre-script", "--unknown"},
                                                       {"pre-script", "--auto-thaw", "0"},
                                                       {"pre-script", "--auto-thaw", "3601"},
                                                       {"pre-script", "--auto-thaw", "-5"},
                                                       {"pre-script", "--auto-thaw", "5s"},
                                                       {"pre-script", "--timeout"},
                                                       {"pre-script", "--timeout", "121"},
                                                       {"pre-script", "--execution-id", "$(reboot)"},
                                                       {"post-script", "--auto-thaw", "60"},
                                                       {"status", "--timeout", "1"},
                                                       {"pre-script", "--log-level", "loud"},
                                                       {"pre-script", "and", "more"}};
  for (const auto& words : wrong) {
    const RunOfProgram run = this->run(words);
    EXPECT_EQ(run.exit_status, 1) << run.text();
    EXPECT_THAT(run.out, IsEmpty());
    EXPECT_THAT(run.err, AllOf(StartsWith("ERROR: "), EndsWith("Return Error Code: 1\n")));
  }
  EXPECT_FALSE(std::filesystem::exists(state_directory()));
}

TEST_F(Usage, IsTheSameWithoutAnyEnvironment) {
  HowToRun nothing;
  nothing.environment.clear();
  expect(0, {"dry-run"}, nothing);
  expect(0, {"status"}, nothing);
}

class DryRun : public CliTest {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "the configuration has to belong to root";
    // As it would really freeze, but for what the tests beside this one have in namespaces of their own.
    configure(R"({"quiescers": [], "filesystems": {"other_namespaces": "warn"}})");
  }
};

TEST_F(DryRun, OfThisVeryHostNeverFreezesItsRoot) {
  const RunOfProgram run = expect(0, {"dry-run", "--json"});
  EXPECT_THAT(run.err, IsEmpty());
  const Json plan = parsed(run.out);
  ASSERT_NE(plan.find("mounts"), nullptr);
  std::string root_device;
  for (const Json& mount : *plan.find("mounts")->as_array()) {
    if (*mount.find("mount_point")->as_string() == "/") root_device = *mount.find("device")->as_string();
  }
  ASSERT_FALSE(root_device.empty());
  for (const Json& mount : *plan.find("mounts")->as_array()) {
    const std::string& mount_point = *mount.find("mount_point")->as_string();
    const std::string& verdict = *mount.find("verdict")->as_string();
    if (mount_point == "/" || mount_point == "/boot" || mount_point.starts_with("/boot/")) {
      EXPECT_EQ(verdict, "pass over");
    }
    if (*mount.find("device")->as_string() == root_device) {
      EXPECT_EQ(verdict, "pass over") << mount_point;
    }
    EXPECT_FALSE(mount.find("why")->as_string()->empty());
    EXPECT_NE(mount.find("order"), nullptr);
  }
  ASSERT_NE(plan.find("quiescers"), nullptr);
  EXPECT_THAT(*plan.find("quiescers")->as_array(), IsEmpty());
}

/// The mount points of this host, as the kernel spells them, sorted; one appears as often as it is mounted on.
std::vector<std::string> mount_points() {
  std::istringstream table(fakes::content_of("/proc/self/mountinfo"));
  std::vector<std::string> points;
  for (std::string id, parent, device, root, point, rest;
       table >> id >> parent >> device >> root >> point && std::getline(table, rest);)
    points.push_back(point);
  std::sort(points.begin(), points.end());
  return points;
}

TEST_F(DryRun, ListsEveryMountOfThisHost) {
  // Other tests mount and unmount beside this one.
  const auto before = mount_points();
  const Json plan = parsed(expect(0, {"dry-run", "--json"}).out);
  const auto after = mount_points();
  std::vector<std::string> lasting;
  std::set_intersection(before.begin(), before.end(), after.begin(), after.end(), std::back_inserter(lasting));
  std::vector<std::string> either;
  std::set_union(before.begin(), before.end(), after.begin(), after.end(), std::back_inserter(either));

  std::vector<std::string> listed;
  for (const Json& mount : *plan.find("mounts")->as_array()) {
    // What happens to be mounted elsewhere is listed too.
    if (*mount.find("reason")->as_string() != "unseen") listed.push_back(*mount.find("mount_point")->as_string());
  }
  std::sort(listed.begin(), listed.end());
  EXPECT_FALSE(lasting.empty());
  EXPECT_TRUE(std::includes(listed.begin(), listed.end(), lasting.begin(), lasting.end()))
      << testing::PrintToString(listed) << " lacks some of " << testing::PrintToString(lasting);
  EXPECT_TRUE(std::includes(either.begin(), either.end(), listed.begin(), listed.end()))
      << testing::PrintToString(listed) << " has more than " << testing::PrintToString(either);
}

TEST_F(DryRun, PrintsATableForPeople) {
  const RunOfProgram run = expect(0, {"dry-run", "--all"});
  EXPECT_THAT(run.out, AllOf(StartsWith("Consistent: "), HasSubstr("MOUNT POINT"), HasSubstr("VERDICT"),
                             HasSubstr("the filesystem of /"), EndsWith("Nothing was changed.\n")));
  EXPECT_THAT(run.err, IsEmpty());
}

TEST_F(DryRun, AnswersInWhatTheAgentShows) {
  const RunOfProgram run = expect(0, {"dry-run"});
  EXPECT_THAT(run.out, AllOf(StartsWith("Consistent: "), HasSubstr("VOLUME"), HasSubstr("Write-back: "),
                             EndsWith("Nothing was changed.\n")));
  EXPECT_THAT(run.out, Not(HasSubstr("MOUNT POINT")));
  EXPECT_LE(run.out.size(), 2500U);
}

TEST_F(DryRun, TakesTheSpeedOfTheDevicesFromTheCommandLine) {
  const Json json = parsed(expect(0, {"dry-run", "--json", "--write-speed", "7"}).out);
  EXPECT_EQ(*json.find("write_back")->find("basis")->as_string(), "as given");
}

TEST_F(DryRun, ChangesNothing) {
  expect(0, {"dry-run"});
  EXPECT_FALSE(std::filesystem::exists(state_directory()));
}

TEST_F(DryRun, TakesAnExecutionIdLikeTheOthers) { expect(0, {"dry-run", "--execution-id", kExecution}); }

TEST_F(DryRun, SaysWhyNothingIsFrozenWhereThatIsSwitchedOff) {
  configure(R"({"filesystems": {"freeze": false}, "quiescers": []})");
  EXPECT_THAT(expect(0, {"dry-run"}).out, HasSubstr("0 filesystems would be frozen, 0 databases quiesced."));
}

TEST_F(DryRun, ShowsTheDatabasesOfTheConfiguration) {
  const std::string program = scratch_.script("program", "touch " + (scratch_ / "was-run"));
  configure(R"({"filesystems": {"other_namespaces": "warn"},
                "quiescers": [{"type": "command", "name": "orders", "freeze": [")" +
            program + R"("], "thaw": [")" + program + R"("], "probe": [")" + program + R"("]}]})");
  const RunOfProgram text = expect(0, {"dry-run"});
  EXPECT_THAT(text.out, AllOf(HasSubstr("DATABASE"), HasSubstr("orders"), HasSubstr("1 database quiesced")));
  const Json json = parsed(expect(0, {"dry-run", "--json"}).out);
  const Json& quiescer = json.find("quiescers")->as_array()->at(0);
  EXPECT_EQ(*quiescer.find("name")->as_string(), "orders");
  EXPECT_EQ(*quiescer.find("type")->as_string(), "command");
  EXPECT_FALSE(std::filesystem::exists(scratch_ / "was-run")) << "only --probe asks the database";
}

TEST_F(DryRun, ProbesOnRequestAndExitsAsPreScriptWould) {
  const auto with_probe = [&](const std::string& body) {
    const std::string program = scratch_.script("program", "touch " + (scratch_ / "was-run"));
    configure(R"({"filesystems": {"freeze": false}, "quiescers": [{"type": "command", "name": "orders", "freeze": [")" +
              program + R"("], "thaw": [")" + program + R"("], "probe": [")" + scratch_.script("probe", body) +
              R"("]}]})");
  };
  with_probe("exit 0");
  EXPECT_THAT(expect(0, {"dry-run", "--probe"}).out, testing::ContainsRegex("\n  orders +ready +quiescing "));
  EXPECT_THAT(expect(0, {"dry-run", "--probe", "--all"}).out, HasSubstr("probe of orders: ready"));
  with_probe("echo 'it starts' >&2; exit 1");
  const RunOfProgram run = expect(206, {"dry-run", "--probe"});
  EXPECT_THAT(run.err, AllOf(HasSubstr("it starts"), EndsWith("Return Error Code: 206\n")));
  const Json json = parsed(expect(206, {"dry-run", "--probe", "--json"}).out);
  const auto& probes = *json.find("probes")->as_array();
  const auto orders = std::find_if(probes.begin(), probes.end(),
                                   [](const Json& probe) { return *probe.find("name")->as_string() == "orders"; });
  ASSERT_NE(orders, probes.end());
  EXPECT_FALSE(*orders->find("ready")->as_bool());
  EXPECT_FALSE(std::filesystem::exists(scratch_ / "was-run"));
}

class Configurations : public RootCliTest {};

TEST_F(Configurations, ThatAreBadAre1ForDryRunAnd201ForPreScript) {
  configure("{\n  \"auto_thaw_seconds\": 60,\n  \"filesystem\": {}\n}");
  const RunOfProgram dry = expect(1, {"dry-run"});
  EXPECT_THAT(dry.err, AllOf(StartsWith("ERROR: " + config_ + ": line 3: filesystem is not known"),
                             EndsWith("Return Error Code: 1\n")));
  const RunOfProgram pre = expect(201, {"pre-script"});
  EXPECT_THAT(pre.err, AllOf(HasSubstr("line 3: filesystem is not known"), EndsWith("Return Error Code: 201\n")));
  EXPECT_FALSE(std::filesystem::exists(state_directory())) << "nothing was touched";
}

TEST_F(Configurations, ThatAreBadDoNotMatterToPostScriptAndStatus) {
  configure("nonsense");
  expect(205, {"post-script"});
  expect(0, {"status"});
}

TEST_F(Configurations, ThatAreNamedAndAbsentAreBad) {
  config_ = scratch_ / "absent.json";
  expect(1, {"dry-run"});
  expect(201, {"pre-script"});
}

TEST_F(Configurations, ThatOthersMayWriteAreRefused) {
  ::chmod(config_.c_str(), 0666);
  EXPECT_THAT(expect(1, {"dry-run"}).err,
              HasSubstr("the configuration is refused: " + config_ + " is writable by users other than root"));
  expect(201, {"pre-script"});
}

TEST_F(Configurations, ThatNameAnUntrustedProgramAreBadTooAnd1ForDryRun) {
  const std::string program = scratch_.script("program", "exit 0");
  ::chmod(program.c_str(), 0777);
  configure(R"({"filesystems": {"freeze": false}, "quiescers": [{"type": "command", "freeze": [")" + program +
            R"("], "thaw": [")" + program + R"("]}]})");
  EXPECT_THAT(expect(201, {"pre-script"}).err,
              HasSubstr("command: freeze: " + program + " is writable by users other than root"));
  expect(1, {"dry-run"});
}

TEST_F(Configurations, ThatNameAProgramWithoutItsPathAre1ForDryRun) {
  configure(
      R"({"filesystems": {"freeze": false}, "quiescers": [{"type": "command", "freeze": ["x"], "thaw": ["x"]}]})");
  expect(201, {"pre-script"});
  expect(1, {"dry-run"});
}

TEST_F(Configurations, ThatNameAModuleThatIsNotInstalledAre201ForDryRunToo) {
  configure(R"({"filesystems": {"freeze": false}, "quiescers": [{"type": "mysql"}]})");
  HowToRun how;
  how.program = scratch_ / "dlm-freeze";  // Beside it there are no modules.
  std::filesystem::copy_file(DLM_FREEZE_BINARY, how.program);
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"pre-script"}, {"dry-run"}, {"dry-run", "--probe"}}) {
    EXPECT_THAT(expect(201, words, how).err,
                AllOf(HasSubstr("the module for mysql is not installed"), HasSubstr("dlm-freeze-mysql")));
  }
}

TEST_F(Configurations, LeaveTheAutoThawToTheEnvironment) {
  HowToRun how;
  how.environment.emplace_back("AUTO_THAW_DURATION_SECS=nonsense");
  EXPECT_THAT(expect(1, {"pre-script"}, how).err, HasSubstr("AUTO_THAW_DURATION_SECS"));
  EXPECT_FALSE(std::filesystem::exists(state_directory()));
}

class Status : public CliTest {};

TEST_F(Status, SaysThatThereIsNoSession) {
  EXPECT_EQ(expect(0, {"status"}).out, "No session is active, and none is on record since the host was started.\n");
  const Json json = parsed(expect(0, {"status", "--json"}).out);
  EXPECT_FALSE(*json.find("active")->as_bool());
  EXPECT_TRUE(std::holds_alternative<std::nullptr_t>(json.find("session")->value()));
  EXPECT_FALSE(std::filesystem::exists(state_directory()));
}

TEST_F(Status, WatchesNothingWhereThereIsNothing) { expect(0, {"status", "--watch"}); }

class Colours : public RootCliTest {
 protected:
  [[nodiscard]] static HowToRun terminal() {
    HowToRun how;
    how.environment.emplace_back("TERM=xterm-256color");
    how.on_terminal = true;
    return how;
  }
};

TEST_F(Colours, AreForTerminals) {
  const RunOfProgram run = expect(205, {"post-script"}, terminal());
  EXPECT_THAT(run.out, AllOf(HasSubstr(kEscape), HasSubstr("post-script starting")));
}

TEST_F(Colours, AreNotForPipes) {
  HowToRun how;
  how.environment.emplace_back("TERM=xterm-256color");
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"post-script"}, {"dry-run"}, {"status"}, {"--help"}, {"bad"}}) {
    const RunOfProgram run = this->run(words, how);
    EXPECT_THAT(run.text(), Not(HasSubstr(kEscape)));
  }
}

TEST_F(Colours, AreNotForThoseWhoSaySo) {
  HowToRun how = terminal();
  how.environment.emplace_back("NO_COLOR=1");
  EXPECT_THAT(expect(205, {"post-script"}, how).out, Not(HasSubstr(kEscape)));
}

TEST_F(Colours, AreNotForATerminalWithoutThem) {
  HowToRun how;
  how.environment.emplace_back("TERM=dumb");
  how.on_terminal = true;
  EXPECT_THAT(expect(205, {"post-script"}, how).out, Not(HasSubstr(kEscape)));
}

class SomebodyElse : public RootCliTest {
 protected:
  [[nodiscard]] static HowToRun nobody() {
    HowToRun how;
    how.uid = 65534;
    return how;
  }
};

TEST_F(SomebodyElse, MayLook) {
  configure(R"({"quiescers": []})");
  EXPECT_THAT(expect(0, {"dry-run", "--all"}, nobody()).out, HasSubstr("MOUNT POINT"));
  expect(0, {"dry-run", "--json"}, nobody());
  EXPECT_THAT(expect(0, {"status"}, nobody()).out, HasSubstr("No session is active"));
}

TEST_F(SomebodyElse, MayNotFreeze) {
  const RunOfProgram run = expect(201, {"pre-script"}, nobody());
  EXPECT_THAT(run.err, AllOf(HasSubstr("need root (CAP_SYS_ADMIN), and this process runs as uid 65534"),
                             EndsWith("Return Error Code: 201\n")));
}

TEST_F(SomebodyElse, MayNotThaw) {
  const RunOfProgram run = expect(202, {"post-script"}, nobody());
  EXPECT_THAT(run.err, AllOf(HasSubstr("need root (CAP_SYS_ADMIN)"), EndsWith("Return Error Code: 202\n")));
}

TEST_F(SomebodyElse, IsToldByTheProbe) {
  EXPECT_THAT(expect(201, {"dry-run", "--probe"}, nobody()).err, HasSubstr("need root"));
}

}  // namespace
}  // namespace dlm_freeze
