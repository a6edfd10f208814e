// SPDX-License-Identifier: Apache-2.0
// Sessions of the real program that hold InterSystems IRIS and SAP HANA, for which the programs in tests/standins stand
// in: two instances of IRIS on the host and two HANA systems. No filesystem is frozen here: see tests/integration.
#include <gmock/gmock.h>

#include <algorithm>
#include <csignal>
#include <optional>
#include <vector>

#include "cli/cli_test.hpp"
#include "standins/standins.hpp"

namespace dlm_freeze {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class Products : public RootCliTest {
 protected:
  void SetUp() override {
    RootCliTest::SetUp();
    if (IsSkipped()) return;
    scratch_.write("logs/x", "");
    ::chmod((scratch_ / "logs").c_str(), 0777);
    iris_.emplace(scratch_ / "iris");
    iris_->add_instance("A");
    iris_->add_instance("B");
    one_.emplace(scratch_ / "one");
    one_->start_hana();
    two_.emplace(scratch_ / "two");
    two_->start_hana("1.00.122.33.1574851");
    configure_all();
  }
  void TearDown() override {
    if (!IsSkipped()) static_cast<void>(run({"post-script"}));
  }

  [[nodiscard]] std::string hana_config(const std::string& name, const Standins& standins) const {
    return R"({"type": "hana", "name": ")" + name + R"(", "os_user": "daemon", "hdbsql": ")" +
           standins.program("hdbsql") + R"("})";
  }
  [[nodiscard]] std::string iris_config(const std::string& more = "") const {
    return R"({"type": "iris", "iris_command": ")" + iris_->program("iris") + R"(", "log_directory": ")" +
           (scratch_ / "logs") + "\"" + more + "}";
  }
  void configure_quiescers(const std::string& list) {
    configure(R"({"filesystems": {"freeze": false}, "quiescers": [)" + list + "]}");
  }
  void configure_all() {
    configure_quiescers(iris_config() + ", " + hana_config("one", *one_) + ", " + hana_config("two", *two_));
  }

  [[nodiscard]] bool is_held() const {
    return iris_->is_suspended("A") && iris_->is_suspended("B") && has_prepared(*one_) && has_prepared(*two_);
  }
  [[nodiscard]] bool is_released() const {
    return !iris_->is_suspended("A") && !iris_->is_suspended("B") && !has_open(*one_) && !has_open(*two_);
  }
  [[nodiscard]] std::string state() const {
    return "A: " + iris_->get("iris/A/suspended") + "B: " + iris_->get("iris/B/suspended") + "\n" + one_->catalog() +
           two_->catalog();
  }
  static bool has_open(const Standins& hana) {
    const std::string catalog = hana.catalog();
    return catalog.find("|prepared|") != std::string::npos || catalog.find("|running|") != std::string::npos;
  }
  static bool has_prepared(const Standins& hana) { return hana.catalog().find("|prepared|") != std::string::npos; }
  void kill_watchdog_and_sentinel() const {
    fakes::kill_together({fakes::descendant("dlm-watchdog").value(), fakes::descendant("dlm-sentinel").value()});
  }
  std::optional<Standins> iris_;
  std::optional<Standins> one_;
  std::optional<Standins> two_;
};

TEST_F(Products, AreHeldUntilPostScript) {
  expect(0, {"pre-script", "--execution-id", kExecution});
  EXPECT_TRUE(is_held()) << state();
  const Json status = parsed(expect(0, {"status", "--json"}).out);
  EXPECT_EQ(status.find("session")->find("quiescers")->as_array()->size(), 3U);
  expect(0, {"post-script", "--execution-id", kExecution});
  EXPECT_TRUE(is_released()) << state();
  EXPECT_THAT(one_->catalog(), HasSubstr("|successful|dlm-freeze " + std::string(kExecution) + "|" + kExecution));
  EXPECT_THAT(two_->catalog(), HasSubstr("|successful|dlm-freeze " + std::string(kExecution) + "|" + kExecution));
  EXPECT_TRUE(fakes::all_gone());
}

TEST_F(Products, AreShownByDryRun) {
  const std::string text = expect(0, {"dry-run", "--all", "--probe"}).out;
  EXPECT_THAT(text, AllOf(HasSubstr("A database IRISSYS"), HasSubstr("B journal"), HasSubstr("probe of iris: ready"),
                          HasSubstr("probe of two: ready")));
  EXPECT_THAT(iris_->take_calls(), Not(HasSubstr("External")));
  EXPECT_TRUE(is_released());
}

TEST_F(Products, AreReleasedAtTheDeadline) {
  expect(0, {"pre-script", "--auto-thaw", "3", "--execution-id", kExecution});
  EXPECT_TRUE(fakes::all_gone());
  EXPECT_TRUE(is_released()) << state();
  EXPECT_THAT(one_->catalog(), HasSubstr("|failed|dlm-freeze " + std::string(kExecution) + "|dlm-freeze " + kExecution +
                                         ": auto_thawed"));
  expect(203, {"post-script"});
}

/// A part of one of the stand-ins behaves as `how` says; then pre-script exits with one of `codes`.
struct Fault {
  const char* name;
  const char* standins;  ///< "iris", "one", "two"
  const char* part;
  const char* how;
  std::vector<int> codes;
};

class ProductsThatFail : public Products, public testing::WithParamInterface<Fault> {};

TEST_P(ProductsThatFail, LeaveNothingHeldAndAreHeldTheNextTime) {
  const Fault& fault = GetParam();
  const std::string where = fault.standins;
  const Standins& standins = where == "iris" ? *iris_ : where == "one" ? *one_ : *two_;
  standins.fail(fault.part, fault.how);
  // What is no more than a question fails in the probe as well.
  const bool is_seen_by_probe = fault.codes == std::vector<int>{206};
  expect(is_seen_by_probe ? 206 : 0, {"dry-run", "--probe"});
  const RunOfProgram pre = run({"pre-script", "--timeout", "4"});
  EXPECT_TRUE(std::find(fault.codes.begin(), fault.codes.end(), pre.exit_status) != fault.codes.end()) << pre.text();
  EXPECT_TRUE(fakes::all_gone());
  EXPECT_TRUE(is_released()) << state();
  expect(205, {"post-script"});
  standins.work(fault.part);
  expect(0, {"pre-script"});
  EXPECT_TRUE(is_held()) << state();
  expect(0, {"post-script"});
  EXPECT_TRUE(is_released());
}

INSTANTIATE_TEST_SUITE_P(
    EachStep, ProductsThatFail,
    testing::Values(Fault{"IrisListHangs", "iris", "qlist", "hang", {206}},
                    Fault{"IrisDeniesAccess", "iris", "IsWDSuspendedExt.B", "exit 1 Access Denied", {206}},
                    Fault{"IrisSaysNonsense", "iris", "IsWDSuspendedExt.B", "garbage", {206}},
                    Fault{"IrisDoesNotAnswer", "iris", "IsWDSuspendedExt.B", "hang", {206}},
                    Fault{"IrisFreezeFails", "iris", "ExternalFreeze.B", "exit 3 <ERROR>", {201}},
                    Fault{"IrisFreezeSaysNonsense", "iris", "ExternalFreeze.A", "garbage", {201}},
                    Fault{"IrisFreezeHangs", "iris", "ExternalFreeze.B", "hang", {201, 206}},
                    Fault{"IrisFreezesAndHangs", "iris", "ExternalFreeze.A", "late", {201, 206}},
                    Fault{"HanaIsDown", "one", "version", "exit 1 * -10709: Connection failed", {206}},
                    Fault{"HanaDoesNotAnswer", "two", "version", "hang", {206}},
                    Fault{
                        "HanaLacksAPrivilege", "one", "open_snapshots", "exit 3 * 258: insufficient privilege", {206}},
                    Fault{"HanaRefuses", "two", "create", "exit 3 * 447: backup could not be completed", {201}},
                    Fault{"HanaSaysNonsense", "one", "create", "garbage", {201, 206}},
                    Fault{"HanaHangs", "one", "create", "hang", {201, 206}},
                    Fault{"HanaMakesItAndHangs", "two", "create", "late", {201, 206}},
                    Fault{"HanaMakesItWhenGivenUp", "one", "create", "straggle 4", {201, 206}}),
    [](const auto& named) { return std::string(named.param.name); });

TEST_F(Products, AreReportedWhenOneCannotBeReleasedAndTheOthersAre) {
  expect(0, {"pre-script"});
  one_->fail("close_snapshot", "exit 3 * 447: not now");
  const RunOfProgram post = expect(202, {"post-script"});
  EXPECT_THAT(post.err, AllOf(HasSubstr("one: its snapshot"), HasSubstr("CLOSE SNAPSHOT BACKUP_ID")));
  EXPECT_FALSE(iris_->is_suspended("A"));
  EXPECT_FALSE(has_open(*two_));
  // There is one at a time, so the next session has to be told.
  one_->work("close_snapshot");
  EXPECT_THAT(expect(206, {"pre-script"}).err, HasSubstr("another data snapshot"));
}

TEST_F(Products, ThatWereReleasedBehindItsBackMakePostScriptSaySo) {
  expect(0, {"pre-script"});
  iris_->remove("iris/B/suspended");
  one_->start_hana();
  const RunOfProgram post = expect(202, {"post-script"});
  EXPECT_THAT(post.err, AllOf(HasSubstr("iris: instance B: was resumed by another program"),
                              HasSubstr("one: its snapshot"), HasSubstr("was no longer prepared")));
  EXPECT_TRUE(is_released()) << state();
}

TEST_F(Products, AreReleasedByTheSentinelWhenTheWatchdogIsKilled) {
  expect(0, {"pre-script"});
  ::kill(fakes::descendant("dlm-watchdog").value(), SIGKILL);
  EXPECT_TRUE(fakes::all_gone());
  EXPECT_TRUE(is_released()) << state();
  expect(202, {"post-script"});
}

TEST_F(Products, AreReleasedByThePostScriptAfterAllProcessesWereKilled) {
  expect(0, {"pre-script"});
  kill_watchdog_and_sentinel();
  EXPECT_TRUE(fakes::all_gone());
  EXPECT_TRUE(is_held());
  expect(202, {"post-script"});
  EXPECT_TRUE(is_released()) << state();
  EXPECT_THAT(two_->catalog(), HasSubstr("|failed|"));
}

TEST_F(Products, AreReleasedByThePreScriptAfterAllProcessesWereKilled) {
  expect(0, {"pre-script"});
  kill_watchdog_and_sentinel();
  EXPECT_TRUE(fakes::all_gone());
  expect(0, {"pre-script"});
  EXPECT_TRUE(is_held()) << state();
  expect(0, {"post-script"});
  EXPECT_TRUE(is_released()) << state();
}

TEST_F(Products, AreReleasedByPostScriptWhenAllProcessesWereKilledWhileTheyWereBeingQuiesced) {
  iris_->fail("ExternalFreeze.B", "late");
  two_->fail("create", "late");
  // The pre-script is a child that can be killed with the rest.
  const pid_t pre = fakes::start_child([&] { return run({"pre-script", "--timeout", "60"}).exit_status; });
  EXPECT_TRUE(fakes::eventually([&] { return is_held(); })) << state();
  std::vector<pid_t> all;
  for (const fakes::Process& process : fakes::descendants()) all.push_back(process.pid);
  fakes::kill_together(all);
  EXPECT_EQ(fakes::status_of(pre), 128 + SIGKILL);
  EXPECT_TRUE(fakes::all_gone());
  EXPECT_TRUE(is_held()) << state();
  iris_->work("ExternalFreeze.B");
  two_->work("create");
  expect(202, {"post-script", "--timeout", "30"});
  EXPECT_TRUE(is_released()) << state();
}

TEST_F(Products, OfAContainerAreHeldUntilPostScript) {
  iris_->set("iris/A/user", "root");
  iris_->set("iris/B/user", "root");
  iris_->add_container("box", scratch_ / "logs");
  configure_quiescers(R"({"type": "iris", "docker_container": "box", "container_command": ")" +
                      iris_->program("docker") + R"(", "log_directory": ")" + (scratch_ / "logs") + R"("})");
  expect(0, {"pre-script"});
  EXPECT_TRUE(iris_->is_suspended("A"));
  EXPECT_TRUE(iris_->is_suspended("B"));
  expect(0, {"post-script"});
  EXPECT_TRUE(is_released());
  iris_->remove("containers/box/up");
  EXPECT_THAT(expect(206, {"pre-script"}).err, HasSubstr("iris is required and does not run: the container box"));
}

TEST_F(Products, ThatAreNotRequiredAndDownAreSkipped) {
  iris_->remove("iris/A/up");
  iris_->remove("iris/B/up");
  EXPECT_THAT(expect(206, {"pre-script"}).err, HasSubstr("instance A is down, instance B is down"));
  configure_quiescers(iris_config(R"(, "required": false)"));
  EXPECT_THAT(expect(0, {"pre-script"}).out, HasSubstr("INFO: iris is skipped: instance A is down"));
  expect(0, {"post-script"});
  iris_->set("iris/A/up", "");
  EXPECT_THAT(expect(0, {"pre-script"}).out, HasSubstr("INFO: iris: instance B is down: skipped"));
  expect(0, {"post-script"});
  const RunOfProgram dry = expect(0, {"dry-run", "--probe", "--json"});
  EXPECT_TRUE(parsed(dry.out).find("probes") != nullptr);
  EXPECT_THAT(dry.out, HasSubstr("iris: instance B is down: skipped")) << "among the notes";
  EXPECT_EQ(dry.err, "");
  expect(0, {"pre-script"});
  EXPECT_TRUE(iris_->is_suspended("A"));
  expect(0, {"post-script"});
}

TEST_F(Products, ThatAnotherProgramHasSuspendedAreLeftAloneWith204) {
  iris_->set("iris/B/suspended", "99999999999999");
  EXPECT_THAT(expect(204, {"pre-script"}).err, HasSubstr("iris: instance B: is already suspended by another program"));
  EXPECT_TRUE(iris_->is_suspended("B"));
  EXPECT_FALSE(iris_->is_suspended("A"));
  EXPECT_TRUE(fakes::all_gone());
}

}  // namespace
}  // namespace dlm_freeze
