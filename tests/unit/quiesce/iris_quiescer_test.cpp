// SPDX-License-Identifier: Apache-2.0
// With programs that stand in for those of InterSystems IRIS: see tests/standins.
#include "quiesce/iris/iris_quiescer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <stdexcept>
#include <string>

#include "fakes/processes.hpp"
#include "fakes/scratch.hpp"
#include "standins/standins.hpp"

namespace dlm_freeze::iris {
namespace {

using testing::AllOf;
using testing::AnyOf;
using testing::Each;
using testing::EndsWith;
using testing::Field;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

constexpr const char* kExecution = "11111111-2222-3333-4444-555555555555";

class IrisQuiescer : public testing::Test {
 protected:
  IrisQuiescer() {
    ::chmod(scratch_.path().c_str(), 0755);
    scratch_.write("logs/x", "");
    ::chmod((scratch_ / "logs").c_str(), 0777);
  }
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root, to run programs as another account";
    fakes::adopt_orphans();
    iris_.emplace(scratch_ / "bin");
  }
  void TearDown() override { fakes::kill_descendants(); }

  [[nodiscard]] Json::Object options(Json::Object more = {}) const {
    more.emplace_back("iris_command", iris_->program("iris"));
    more.emplace_back("log_directory", scratch_ / "logs");
    return more;
  }
  [[nodiscard]] Json::Object container_options(Json::Object more = {}) const {
    more.emplace_back("docker_container", "box");
    more.emplace_back("container_command", iris_->program("docker"));
    more.emplace_back("log_directory", scratch_ / "logs");
    return more;
  }
  [[nodiscard]] static Result<std::unique_ptr<Quiescer>> make(Json::Object options) {
    if (auto checked = check_options(quiescer_type(), Json(options), "iris"); !checked)
      return tl::unexpected(checked.error());
    return make_quiescer(quiescer_type(), {"iris", "iris", true, Json(std::move(options))});
  }
  [[nodiscard]] static std::unique_ptr<Quiescer> made(Json::Object options) {
    auto quiescer = make(std::move(options));
    if (!quiescer) throw std::runtime_error(quiescer.error().message);
    return std::move(*quiescer);
  }
  [[nodiscard]] static StageContext context(BootClock::duration budget = fakes::kSoon) {
    return {Deadline::in(budget), -1, kExecution, nullptr, {}, Deadline::in(std::chrono::minutes(1))};
  }
  static Presence located(Quiescer& quiescer) {
    StageContext stage = context();
    auto presence = quiescer.locate(stage);
    if (!presence) throw std::runtime_error(presence.error().message);
    return std::move(*presence);
  }
  static Result<void> probed(Quiescer& quiescer, BootClock::duration budget = fakes::kSoon) {
    static_cast<void>(located(quiescer));
    StageContext stage = context(budget);
    return quiescer.probe(stage);
  }
  /// All that comes before and with `quiesce`.
  static Result<std::vector<Fact>> quiesced(Quiescer& quiescer, BootClock::duration budget = fakes::kSoon) {
    if (auto ready = probed(quiescer); !ready) return tl::unexpected(ready.error());
    StageContext stage = context(budget);
    if (auto prepared = quiescer.prepare(stage); !prepared) return tl::unexpected(prepared.error());
    return quiescer.quiesce(stage);
  }
  static Result<void> released(Quiescer& quiescer, Outcome outcome) {
    StageContext stage = context();
    return quiescer.release(stage, outcome);
  }

  fakes::Scratch scratch_;
  std::optional<Standins> iris_;
};

TEST_F(IrisQuiescer, FindsTheInstancesThatRunAndWhereTheyWrite) {
  iris_->add_instance("A", scratch_ / "a");
  iris_->add_instance("B", scratch_ / "b");
  iris_->add_instance("OLD");
  iris_->remove("iris/OLD/up");
  const Presence presence = located(*made(options()));
  EXPECT_TRUE(presence.running);
  EXPECT_EQ(presence.detail, "instances: A, B");
  ASSERT_EQ(presence.locations.size(), 6U);
  EXPECT_EQ(presence.locations[0].what, "A database IRISSYS");
  EXPECT_EQ(presence.locations[0].path, scratch_ / "a/mgr");
  EXPECT_EQ(presence.locations[5].path, scratch_ / "b/journal");
  EXPECT_THAT(presence.locations, Each(Field(&DataLocation::may_be_frozen, false)));
  EXPECT_FALSE(presence.longest_freeze);
}

TEST_F(IrisQuiescer, LetsItsFilesystemsBeFrozenForAShortTimeWhenToldTo) {
  iris_->add_instance("A");
  const Presence presence = located(*made(options({{"freeze_filesystems", true}})));
  EXPECT_THAT(presence.locations, Each(Field(&DataLocation::may_be_frozen, true)));
  EXPECT_EQ(presence.longest_freeze, std::chrono::seconds(25));
}

TEST_F(IrisQuiescer, DoesNotRunWhereItsCommandsAreNot) {
  Json::Object o = options();
  o[0].second = Json(scratch_ / "nowhere/iris");
  EXPECT_EQ(located(*made(o)).detail, "there is no program " + (scratch_ / "nowhere/iris"));
  scratch_.script("bin/other", "exit 0");
  o[0].second = Json(iris_->program("iris"));
  o.emplace_back("session_command", Json(scratch_ / "nowhere/irissession"));
  EXPECT_EQ(located(*made(o)).detail, "there is no program " + (scratch_ / "nowhere/irissession"));
  EXPECT_EQ(iris_->take_calls(), "") << "nothing was run";
}

TEST_F(IrisQuiescer, IsSpokenToByIrisSessionWhereThereIsNoIrissession) {
  std::filesystem::remove(iris_->program("irissession"));
  iris_->add_instance("A");
  const auto ready = probed(*made(options()));
  EXPECT_TRUE(ready) << ready.error().message;
  EXPECT_THAT(iris_->take_calls(), HasSubstr("IsWDSuspendedExt A"));
}

TEST_F(IrisQuiescer, DoesNotRunWithoutAnInstanceThatDoes) {
  EXPECT_EQ(located(*made(options())).detail, "there is no instance");
  EXPECT_FALSE(located(*made(options())).running);
  iris_->add_instance("A");
  iris_->remove("iris/A/up");
  EXPECT_EQ(located(*made(options())).detail, "instance A is down");
  iris_->add_instance("B");
  EXPECT_TRUE(located(*made(options())).running);
  EXPECT_EQ(located(*made(options({{"instance", "A"}}))).detail, "instance A is down");
  EXPECT_EQ(located(*made(options({{"instance", "C"}}))).detail, "there is no instance C");
  EXPECT_EQ(located(*made(options({{"instance", "B"}}))).detail, "instances: B");
}

TEST_F(IrisQuiescer, SaysWhichInstancesItSkips) {
  iris_->add_instance("A");
  iris_->add_instance("B");
  iris_->remove("iris/B/up");
  const auto quiescer = made(options());
  static_cast<void>(located(*quiescer));
  StageContext stage = context();
  ASSERT_TRUE(quiescer->probe(stage));
  ASSERT_EQ(stage.notes.size(), 1U);
  EXPECT_EQ(stage.notes[0].text, "iris: instance B is down: skipped");
}

TEST_F(IrisQuiescer, FallsBackToOlderListsWhereThereIsNoQlist) {
  iris_->add_instance("A", scratch_ / "a");
  for (const char* how : {"exit 1 unknown command qlist", "garbage ^^ that says nothing"}) {
    iris_->fail("qlist", how);
    const Presence presence = located(*made(options()));
    EXPECT_EQ(presence.detail, "instances: A");
    EXPECT_EQ(presence.locations[0].path, scratch_ / "a/mgr");
  }
  iris_->fail("qall", "exit 1 unknown command qall");
  const Presence presence = located(*made(options()));
  EXPECT_EQ(presence.detail, "instances: A") << "by list";
  EXPECT_EQ(presence.locations[0].path, scratch_ / "a/mgr");
}

TEST_F(IrisQuiescer, IsNotReadyWhenItsInstancesCannotBeListed) {
  iris_->add_instance("A");
  for (const char* word : {"qlist", "qall", "list"}) iris_->fail(word, "exit 1 out of order");
  StageContext stage = context();
  const auto presence = made(options())->locate(stage);
  ASSERT_FALSE(presence);
  EXPECT_EQ(presence.error().kind, ErrorKind::not_ready);
  EXPECT_EQ(presence.error().message, "iris: its instances cannot be listed: " + iris_->program("iris") +
                                          " list exited with status 1 (out of order)");
}

TEST_F(IrisQuiescer, IsNotReadyWhenItsListHangs) {
  iris_->fail("qlist", "hang");
  const auto quiescer = made(options());
  StageContext stage = context(std::chrono::milliseconds(200));
  const auto presence = quiescer->locate(stage);
  ASSERT_FALSE(presence);
  EXPECT_EQ(presence.error().kind, ErrorKind::not_ready);
  EXPECT_TRUE(fakes::all_gone());
}

TEST_F(IrisQuiescer, IsProbedWithoutBeingChanged) {
  iris_->add_instance("A");
  iris_->add_instance("B");
  EXPECT_TRUE(probed(*made(options())));
  EXPECT_THAT(iris_->take_calls(), AllOf(HasSubstr("IsWDSuspendedExt A daemon\n"),
                                         HasSubstr("IsWDSuspendedExt B daemon\n"), Not(HasSubstr("External"))));
}

TEST_F(IrisQuiescer, IsLeftAloneWhenAnotherProgramHasSuspendedIt) {
  iris_->add_instance("A");
  iris_->add_instance("B");
  iris_->set("iris/B/suspended", "99999999999999");
  const auto ready = probed(*made(options()));
  ASSERT_FALSE(ready);
  EXPECT_EQ(ready.error().kind, ErrorKind::already_frozen);
  EXPECT_THAT(ready.error().message, StartsWith("iris: instance B: is already suspended by another program"));
  EXPECT_TRUE(iris_->is_suspended("B"));
}

TEST_F(IrisQuiescer, IsNotReadyWhenAnInstanceHangs) {
  iris_->add_instance("A");
  iris_->set("iris/A/state", "hung");
  const auto ready = probed(*made(options()));
  ASSERT_FALSE(ready);
  EXPECT_EQ(ready.error().kind, ErrorKind::not_ready);
  EXPECT_THAT(iris_->take_calls(), Not(HasSubstr("Suspended")));
}

TEST_F(IrisQuiescer, IsNotReadyWhenItDoesNotLetUsIn) {
  iris_->add_instance("A");
  iris_->set("iris/A/user", "somebody");
  const auto ready = probed(*made(options()));
  ASSERT_FALSE(ready);
  EXPECT_EQ(ready.error().kind, ErrorKind::not_ready);
  EXPECT_THAT(ready.error().message,
              HasSubstr("exited with status 1 (Access Denied): enable operating system authentication"));
}

TEST_F(IrisQuiescer, IsNotReadyWhenItDoesNotAnswer) {
  iris_->add_instance("A");
  iris_->fail("IsWDSuspendedExt", "hang");
  const auto ready = probed(*made(options()), std::chrono::milliseconds(300));
  ASSERT_FALSE(ready);
  EXPECT_EQ(ready.error().kind, ErrorKind::not_ready);
  EXPECT_THAT(ready.error().message, EndsWith("did not end in time and was killed"));
  EXPECT_TRUE(fakes::all_gone());
}

TEST_F(IrisQuiescer, IsCalledAsTheAccountThatIsConfigured) {
  iris_->add_instance("A");
  iris_->set("iris/A/user", "nobody");
  EXPECT_TRUE(probed(*made(options({{"os_user", "nobody"}}))));
  iris_->set("iris/A/user", "root");
  EXPECT_TRUE(probed(*made(options({{"os_user", "root"}}))));
  StageContext stage = context();
  EXPECT_EQ(made(options({{"os_user", "no-such-account"}}))->locate(stage).error().message,
            "iris: there is no account 'no-such-account' on this host");
}

TEST_F(IrisQuiescer, FreezesEveryInstanceUntilItIsReleased) {
  iris_->add_instance("A");
  iris_->add_instance("B");
  const auto quiescer = made(options());
  const auto facts = quiesced(*quiescer);
  ASSERT_TRUE(facts) << facts.error().message;
  EXPECT_EQ(facts->at(0).key, "version of A");
  EXPECT_EQ(facts->at(0).value, "2024.1.0.267.2");
  EXPECT_EQ(facts->at(2).key, "instances");
  EXPECT_EQ(facts->at(2).value, "A,B");
  EXPECT_TRUE(iris_->is_suspended("A"));
  EXPECT_TRUE(iris_->is_suspended("B"));
  EXPECT_THAT(fakes::content_of(scratch_ / "logs/dlm-freeze-A.log"), HasSubstr(kExecution));
  ASSERT_TRUE(released(*quiescer, Outcome::completed));
  EXPECT_FALSE(iris_->is_suspended("A"));
  EXPECT_FALSE(iris_->is_suspended("B"));
  EXPECT_THAT(iris_->take_calls(), Not(HasSubstr("SetHistory")));
}

TEST_F(IrisQuiescer, LetsTheInstanceResumeByItselfTenSecondsAfterTheDeadline) {
  iris_->add_instance("A");
  ASSERT_TRUE(quiesced(*made(options())));
  const int limit = std::stoi(iris_->get("iris/A/limit"));
  EXPECT_GE(limit, 65);
  EXPECT_LE(limit, 70);
}

TEST_F(IrisQuiescer, WhoseExternalFreezeIsOlderIsFrozenWithoutALimitAndWithAWarning) {
  iris_->add_instance("A");
  iris_->add_instance("B");
  iris_->set("iris/A/old", "");
  const auto quiescer = made(options());
  ASSERT_TRUE(probed(*quiescer));
  StageContext stage = context();
  ASSERT_TRUE(quiescer->prepare(stage));
  const auto facts = quiescer->quiesce(stage);
  ASSERT_TRUE(facts) << facts.error().message;
  EXPECT_TRUE(iris_->is_suspended("A"));
  EXPECT_EQ(iris_->get("iris/A/limit"), "never\n");
  EXPECT_NE(iris_->get("iris/B/limit"), "never\n");
  ASSERT_EQ(stage.notes.size(), 1U);
  EXPECT_THAT(stage.notes[0].text, StartsWith("iris: instance A: its ExternalFreeze does not know WDSuspendLimit"));
  ASSERT_TRUE(released(*quiescer, Outcome::completed));
  EXPECT_FALSE(iris_->is_suspended("A"));
}

TEST_F(IrisQuiescer, OfAMirrorsPrimaryWarnsOfSessionsThatMayCauseAFailover) {
  iris_->add_instance("A");
  iris_->set("iris/A/mirror", "Failover^Primary");
  for (const auto& [session, warnings] :
       {std::pair(std::chrono::minutes(1), 0U), std::pair(std::chrono::minutes(21), 1U)}) {
    const auto quiescer = made(options());
    static_cast<void>(located(*quiescer));
    StageContext stage = context();
    stage.session_deadline = Deadline::in(session);
    ASSERT_TRUE(quiescer->probe(stage));
    EXPECT_EQ(stage.notes.size(), warnings);
  }
  const auto facts = quiesced(*made(options()));
  ASSERT_TRUE(facts);
  EXPECT_EQ(facts->at(1).key, "mirror of A");
  EXPECT_EQ(facts->at(1).value, "Failover, Primary");
}

TEST_F(IrisQuiescer, ThawsAllWhenOneCannotBeFrozen) {
  iris_->add_instance("A");
  iris_->add_instance("B");
  iris_->add_instance("C");
  iris_->fail("ExternalFreeze.B", "exit 3 <ERROR>");
  const auto quiescer = made(options());
  const auto facts = quiesced(*quiescer);
  ASSERT_FALSE(facts);
  EXPECT_EQ(facts.error().kind, ErrorKind::failed);
  EXPECT_THAT(facts.error().message,
              StartsWith("iris: instance B: ExternalFreeze exited with status 3 (<ERROR>): see "));
  EXPECT_TRUE(iris_->is_suspended("A"));
  EXPECT_TRUE(released(*quiescer, Outcome::rolled_back));
  for (const char* instance : {"A", "B", "C"}) EXPECT_FALSE(iris_->is_suspended(instance)) << instance;
}

TEST_F(IrisQuiescer, ThawsWhatWasFrozenByACallWhoseEndItDidNotSee) {
  iris_->add_instance("A");
  iris_->fail("ExternalFreeze", "late");
  const auto quiescer = made(options());
  EXPECT_FALSE(quiesced(*quiescer, std::chrono::seconds(1)));
  EXPECT_TRUE(released(*quiescer, Outcome::rolled_back));
  EXPECT_FALSE(iris_->is_suspended("A"));
}

TEST_F(IrisQuiescer, ThatWasThawedMeanwhileHasLostItsProtection) {
  iris_->add_instance("A");
  iris_->add_instance("B");
  const auto quiescer = made(options());
  ASSERT_TRUE(quiesced(*quiescer));
  iris_->remove("iris/A/suspended");
  const auto end = released(*quiescer, Outcome::completed);
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().kind, ErrorKind::protection_lost);
  EXPECT_EQ(end.error().message, "iris: instance A: was resumed by another program, or restarted, while it was held");
  EXPECT_FALSE(iris_->is_suspended("B"));
}

TEST_F(IrisQuiescer, ThatWentDownMeanwhileHasLostItsProtectionAndNothingIsLeftToDo) {
  iris_->add_instance("A");
  const auto quiescer = made(options());
  ASSERT_TRUE(quiesced(*quiescer));
  iris_->remove("iris/A/up");
  iris_->remove("iris/A/suspended");
  const auto end = released(*quiescer, Outcome::completed);
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().kind, ErrorKind::protection_lost);
  EXPECT_THAT(end.error().message, HasSubstr("A is not up"));
  EXPECT_TRUE(released(*quiescer, Outcome::auto_thawed));
}

TEST_F(IrisQuiescer, SaysSoWhenItCannotBeThawed) {
  iris_->add_instance("A");
  const auto quiescer = made(options());
  ASSERT_TRUE(quiesced(*quiescer));
  iris_->fail("ExternalThaw", "exit 3 <ERROR>");
  const auto end = released(*quiescer, Outcome::auto_thawed);
  ASSERT_FALSE(end);
  EXPECT_THAT(end.error().message,
              HasSubstr("may still be suspended: ExternalThaw exited with status 3 (<ERROR>); it resumes by itself"));
}

TEST_F(IrisQuiescer, ThatDoesNotResumeByItselfDoesNotSaySoWhenItCannotBeThawed) {
  iris_->add_instance("A");
  iris_->set("iris/A/old", "");
  const auto quiescer = made(options());
  ASSERT_TRUE(quiesced(*quiescer));
  iris_->fail("ExternalThaw", "exit 3 <ERROR>");
  const auto end = released(*quiescer, Outcome::auto_thawed);
  ASSERT_FALSE(end);
  EXPECT_THAT(end.error().message, EndsWith("; resume it: irissession A -U %SYS "
                                            "'##Class(Backup.General).ExternalThaw(\"\")'"));
}

TEST_F(IrisQuiescer, ThatDoesNotTellItsStateIsThawedInTimeAllTheSame) {
  iris_->add_instance("A");
  const auto quiescer = made(options());
  ASSERT_TRUE(quiesced(*quiescer));
  iris_->fail("IsWDSuspendedExt", "hang");
  StageContext stage = context(std::chrono::seconds(4));
  const auto end = quiescer->release(stage, Outcome::completed);
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().kind, ErrorKind::protection_lost);
  EXPECT_THAT(end.error().message, StartsWith("iris: instance A: does not tell whether it was held until now"));
  EXPECT_FALSE(iris_->is_suspended("A"));
}

TEST_F(IrisQuiescer, ReportsABackupOnlyWhenToldToAndWhenItWasOne) {
  iris_->add_instance("A");
  for (const Outcome outcome : {Outcome::auto_thawed, Outcome::rolled_back, Outcome::completed}) {
    EXPECT_THAT(iris_->get("iris/A/history"), IsEmpty());
    const auto quiescer = made(options({{"external_set_history", true}}));
    ASSERT_TRUE(quiesced(*quiescer));
    ASSERT_TRUE(released(*quiescer, outcome));
  }
  EXPECT_EQ(iris_->get("iris/A/history"), std::string("dlm-freeze ") + kExecution + "\n");
}

TEST_F(IrisQuiescer, IsThawedByAnotherProcessFromTheRecord) {
  iris_->add_instance("A");
  iris_->add_instance("B");
  const auto facts = quiesced(*made(options({{"instance", "A"}})));
  ASSERT_TRUE(facts);
  iris_->set("iris/B/suspended", "99999999999999");
  StageContext stage = context();
  ASSERT_TRUE(made(options())->recover(stage, *facts));
  EXPECT_FALSE(iris_->is_suspended("A"));
  EXPECT_TRUE(iris_->is_suspended("B")) << "not ours";
}

TEST_F(IrisQuiescer, IsThawedByAnotherProcessWithoutARecordedFact) {
  iris_->add_instance("A");
  ASSERT_TRUE(quiesced(*made(options())));
  StageContext stage = context();
  ASSERT_TRUE(made(options())->recover(stage, {}));
  EXPECT_FALSE(iris_->is_suspended("A"));
}

TEST_F(IrisQuiescer, ThatDiedInTheMiddleOfItIsThawedFromWhatWasToBeDone) {
  iris_->add_instance("A");
  iris_->add_instance("B");
  const auto quiescer = made(options({{"instance", "A"}}));
  ASSERT_TRUE(probed(*quiescer));
  StageContext stage = context();
  const auto to_do = quiescer->prepare(stage);
  ASSERT_TRUE(to_do);
  ASSERT_TRUE(quiescer->quiesce(stage));
  iris_->set("iris/B/suspended", "99999999999999");
  stage = context();
  ASSERT_TRUE(made(options())->recover(stage, *to_do));
  EXPECT_FALSE(iris_->is_suspended("A"));
  EXPECT_TRUE(iris_->is_suspended("B")) << "not ours";
}

TEST_F(IrisQuiescer, WhoseInstancesCannotBeSeenIsNotRecovered) {
  iris_->add_instance("A");
  const auto facts = quiesced(*made(options()));
  ASSERT_TRUE(facts);
  const auto expect_leftover = [&](const std::string& why) {
    StageContext stage = context();
    const auto recovered = made(options())->recover(stage, *facts);
    ASSERT_FALSE(recovered) << why;
    EXPECT_THAT(recovered.error().message, AllOf(HasSubstr("may still be suspended"), HasSubstr(why)));
    EXPECT_TRUE(iris_->is_suspended("A"));
  };
  for (const char* word : {"qlist", "qall", "list"}) iris_->fail(word, "exit 1 out of order");
  expect_leftover("out of order");
  for (const char* word : {"qlist", "qall", "list"}) iris_->fail(word, "nothing that is an instance");
  expect_leftover("instance A is no longer listed");
  for (const char* word : {"qlist", "qall", "list"}) iris_->work(word);
  std::filesystem::remove(iris_->program("iris"));
  expect_leftover("there is no program");
}

TEST_F(IrisQuiescer, ThatIsDownHasNothingLeftToRecover) {
  iris_->add_instance("A");
  const auto facts = quiesced(*made(options()));
  ASSERT_TRUE(facts);
  iris_->remove("iris/A/up");
  StageContext stage = context();
  EXPECT_TRUE(made(options())->recover(stage, *facts));
}

TEST_F(IrisQuiescer, IsNotCalledAsTheOwnerOfWhatALinkLeadsTo) {
  iris_->add_instance("A", scratch_ / "a");
  std::filesystem::rename(scratch_ / "a/mgr", scratch_ / "a/elsewhere");
  std::filesystem::create_directory_symlink(scratch_ / "a/elsewhere", scratch_ / "a/mgr");
  const auto ready = probed(*made(options()));
  ASSERT_FALSE(ready);
  EXPECT_THAT(ready.error().message, AllOf(HasSubstr(scratch_ / "a/mgr is a symbolic link"), HasSubstr("set os_user")));
  EXPECT_TRUE(probed(*made(options({{"os_user", "daemon"}}))));
}

TEST_F(IrisQuiescer, WhoseCommandIsALinkOfRootsIsFoundByIt) {
  iris_->add_instance("A");
  const std::string link = iris_->program("linked");
  std::filesystem::create_symlink("iris", link);
  Json::Object o = options();
  o[0].second = Json(link);
  EXPECT_TRUE(located(*made(o)).running);
  ASSERT_EQ(::lchown(link.c_str(), 65534, 65534), 0);
  StageContext stage = context();
  EXPECT_THAT(made(o)->locate(stage).error().message, HasSubstr("is a symbolic link"));
}

TEST_F(IrisQuiescer, RunsInAContainer) {
  iris_->add_instance("A", scratch_ / "home");
  scratch_.write("volume/x", "");
  iris_->add_container("box", scratch_ / "volume");
  iris_->set("iris/A/user", "root");
  const auto quiescer = made(container_options());
  const Presence presence = located(*quiescer);
  ASSERT_TRUE(presence.running) << presence.detail;
  EXPECT_EQ(presence.locations[0].what, "volume /dur");
  EXPECT_EQ(presence.locations[0].path, scratch_ / "volume");
  EXPECT_EQ(presence.locations[1].path, iris_->program("state/docker"));
  EXPECT_THAT(presence.locations, Each(Field(&DataLocation::may_be_frozen, false)));
  ASSERT_TRUE(quiesced(*quiescer));
  EXPECT_TRUE(iris_->is_suspended("A"));
  ASSERT_TRUE(released(*quiescer, Outcome::completed));
  EXPECT_FALSE(iris_->is_suspended("A"));
  EXPECT_THAT(iris_->take_calls(),
              HasSubstr("docker exec box irissession A -U %SYS ##Class(Backup.General).ExternalThaw("));
}

TEST_F(IrisQuiescer, IsSpokenToByIrisSessionInAContainerWithoutIrissession) {
  iris_->add_instance("A");
  iris_->set("iris/A/user", "root");
  iris_->add_container("box", scratch_ / "volume");
  std::filesystem::remove(iris_->program("irissession"));
  const auto quiescer = made(container_options());
  ASSERT_TRUE(quiesced(*quiescer));
  EXPECT_TRUE(iris_->is_suspended("A"));
  ASSERT_TRUE(released(*quiescer, Outcome::completed));
  EXPECT_FALSE(iris_->is_suspended("A"));
  EXPECT_THAT(iris_->take_calls(), HasSubstr("docker exec box iris session A -U %SYS"));
}

TEST_F(IrisQuiescer, NeverLetsTheFilesystemsOfContainersBeFrozen) {
  iris_->add_instance("A");
  scratch_.write("volume/x", "");
  iris_->add_container("box", scratch_ / "volume");
  const Presence presence = located(*made(container_options({{"freeze_filesystems", true}})));
  EXPECT_TRUE(presence.locations[0].may_be_frozen) << "the volume";
  EXPECT_FALSE(presence.locations[1].may_be_frozen) << "the container's own files";
}

TEST_F(IrisQuiescer, IsCalledInAContainerAsTheAccountThatIsConfigured) {
  iris_->add_instance("A");
  iris_->set("iris/A/user", "root");
  iris_->add_container("box", scratch_ / "volume");
  EXPECT_TRUE(probed(*made(container_options({{"os_user", "irisowner"}}))));
  EXPECT_THAT(iris_->take_calls(), HasSubstr("docker exec --user irisowner box irissession A"));
}

TEST_F(IrisQuiescer, DoesNotRunInAContainerThatDoesNot) {
  EXPECT_EQ(located(*made(container_options())).detail, "the container box does not run");
  iris_->add_container("box", scratch_ / "volume");
  iris_->remove("containers/box/up");
  EXPECT_EQ(located(*made(container_options())).detail, "the container box does not run");
  Json::Object o = container_options();
  o[1].second = Json(scratch_ / "nowhere/podman");
  EXPECT_EQ(located(*made(o)).detail, "there is no program " + (scratch_ / "nowhere/podman"));
}

TEST_F(IrisQuiescer, IsNotReadyWhenItsContainerCannotBeAskedFor) {
  iris_->fail("inspect", "hang");
  const auto quiescer = made(container_options());
  StageContext stage = context(std::chrono::milliseconds(200));
  const auto presence = quiescer->locate(stage);
  ASSERT_FALSE(presence);
  EXPECT_EQ(presence.error().kind, ErrorKind::not_ready);
  iris_->fail("inspect", "garbage");
  stage = context();
  EXPECT_FALSE(quiescer->locate(stage));
  iris_->fail("inspect", "exit 1 Cannot connect to the Docker daemon");
  stage = context();
  const auto unknown = quiescer->locate(stage);
  ASSERT_FALSE(unknown) << "that does not mean that the container does not run";
  EXPECT_EQ(unknown.error().kind, ErrorKind::not_ready);
}

TEST_F(IrisQuiescer, WhoseContainerCannotBeAskedForIsNotRecovered) {
  iris_->add_instance("A");
  iris_->set("iris/A/user", "root");
  iris_->add_container("box", scratch_ / "volume");
  const auto quiescer = made(container_options());
  const auto facts = quiesced(*quiescer);
  ASSERT_TRUE(facts);
  for (const char* part : {"inspect", "exec"}) iris_->fail(part, "exit 1 Cannot connect to the Docker daemon");
  EXPECT_FALSE(released(*quiescer, Outcome::auto_thawed));
  StageContext stage = context();
  const auto recovered = made(container_options())->recover(stage, *facts);
  ASSERT_FALSE(recovered);
  EXPECT_THAT(recovered.error().message, HasSubstr("may still be suspended"));
}

TEST_F(IrisQuiescer, IsThawedInAContainerWhereTheCallGoesOnAfterItWasGivenUp) {
  iris_->add_instance("A");
  iris_->set("iris/A/user", "root");
  iris_->add_container("box", scratch_ / "volume");
  iris_->fail("ExternalFreeze", "straggle 2");
  const auto quiescer = made(container_options());
  EXPECT_FALSE(quiesced(*quiescer, std::chrono::seconds(1)));
  EXPECT_TRUE(released(*quiescer, Outcome::rolled_back));
  EXPECT_NE(iris_->get("iris/A/limit"), "") << "it was frozen";
  EXPECT_FALSE(iris_->is_suspended("A"));
}

TEST_F(IrisQuiescer, WhoseContainerIsGoneHasNothingLeftToThaw) {
  iris_->add_instance("A");
  iris_->set("iris/A/user", "root");
  iris_->add_container("box", scratch_ / "volume");
  const auto quiescer = made(container_options());
  const auto facts = quiesced(*quiescer);
  ASSERT_TRUE(facts);
  iris_->remove("containers/box");
  EXPECT_TRUE(released(*quiescer, Outcome::auto_thawed));
  StageContext stage = context();
  EXPECT_TRUE(made(container_options())->recover(stage, *facts));
}

TEST_F(IrisQuiescer, KeepsItsLogOffWhatIsFrozen) {
  iris_->add_instance("A");
  const auto quiescer = made(options());
  static_cast<void>(located(*quiescer));
  StageContext stage = context();
  stage.coverage = [](const std::string&) { return Coverage{true, "/data", "data"}; };
  const auto ready = quiescer->probe(stage);
  ASSERT_FALSE(ready);
  EXPECT_EQ(ready.error().message, "iris: log_directory " + (scratch_ / "logs") +
                                       " lies on /data, which is going to be frozen: choose another one");
}

TEST_F(IrisQuiescer, RefusesWhatWouldBeTakenForAnOption) {
  for (const auto& [key, value] :
       {std::pair("instance", "-U"), std::pair("docker_container", "--privileged"), std::pair("os_user", "-0"),
        std::pair("iris_command", "iris"), std::pair("session_command", "bin/irissession"),
        std::pair("log_directory", "logs"), std::pair("container_command", "docker")}) {
    const auto quiescer = make({{key, value}});
    ASSERT_FALSE(quiescer) << key;
    EXPECT_THAT(quiescer.error().message,
                AnyOf(StartsWith(std::string("iris.") + key), StartsWith(std::string("iris: ") + key)));
  }
  EXPECT_TRUE(make({{"docker_container", "box"}, {"container_command", "podman"}, {"iris_command", "ccontrol"}}));
}

TEST_F(IrisQuiescer, RunsNothingAsRootThatOthersMayChange) {
  iris_->add_instance("A");
  ::chmod(iris_->program("iris").c_str(), 0777);
  const auto quiescer = made(options());
  StageContext stage = context();
  const auto presence = quiescer->locate(stage);
  ASSERT_FALSE(presence);
  EXPECT_THAT(presence.error().message, HasSubstr("is writable by users other than root"));
  EXPECT_TRUE(located(*made(options({{"os_user", "daemon"}}))).running) << "whom that may hurt alone";
}

TEST_F(IrisQuiescer, IsNotDetectedWhereTheCommandIsNot) {
  if (::access("/usr/bin/iris", F_OK) == 0 || ::access("/usr/local/bin/iris", F_OK) == 0) GTEST_SKIP() << "it is here";
  EXPECT_THAT(quiescer_type().detect(), IsEmpty());
}

}  // namespace
}  // namespace dlm_freeze::iris
