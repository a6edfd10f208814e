// SPDX-License-Identifier: Apache-2.0
// The death of each process of a session, by SIGKILL, at each step; docs/protocol.md has the table.
#include <gmock/gmock.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

#include "process/session_test.hpp"

namespace dlm_freeze {
namespace {

using fakes::eventually;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class AtEachStep : public SessionTest, public testing::WithParamInterface<Step> {
 protected:
  /// Two filesystems on two levels, and two databases, one of which needs more than a closed connection.
  void add_some() {
    add_filesystem(1);
    add_filesystem(0);
    add_database();
    add_database({{"outlives", true}});
  }

  /// Everything is undone, whoever did it.
  void expect_undone() {
    ASSERT_TRUE(is_over());
    EXPECT_FALSE(kernel_.any_frozen());
    for (const DatabaseId database : {0, 1}) {
      EXPECT_FALSE(databases_.is_locked(database));
      EXPECT_FALSE(databases_.has_leftovers(database));
    }
    EXPECT_EQ(record().phase, Phase::ended);
    EXPECT_FALSE(record().has_leftovers());
    EXPECT_TRUE(fakes::all_gone());
  }
};

std::string name_of(const testing::TestParamInfo<Step>& step) { return to_string(step.param); }

// pre-script.

class DeathOfPreScript : public AtEachStep {};
TEST_P(DeathOfPreScript, RollsBackUnlessItHadSucceeded) {
  add_some();
  const Step step = GetParam();
  as_pre_script_that_dies([&] { go(step); });
  if (step == Step::held) {
    EXPECT_TRUE(*state().is_locked());
    EXPECT_TRUE(kernel_.is_frozen(0));
    EXPECT_EQ(post_script(), EndRequest::heard);
    EXPECT_EQ(record().end, SessionEnd::completed);
  }
  expect_undone();
  EXPECT_EQ(record().end, step == Step::held ? SessionEnd::completed : SessionEnd::rolled_back);
}
INSTANTIATE_TEST_SUITE_P(When, DeathOfPreScript, testing::ValuesIn(kSteps), name_of);

using DeathOfPreScriptAtWork = AtEachStep;

TEST_F(DeathOfPreScriptAtWork, WhileAFreezeHangsIsUndoneAsSoonAsThatReturns) {
  add_some();
  kernel_.hang(1, Call::freeze);
  as_pre_script_that_dies([&] {
    go(Step::quiesced);
    static_cast<void>(client().freeze(in(100)));
  });
  EXPECT_TRUE(eventually([&] { return !databases_.is_locked(0) && !databases_.is_locked(1); }))
      << "databases do not wait for it";
  EXPECT_TRUE(*state().is_locked());
  kernel_.let_go(1, Call::freeze);
  expect_undone();
  EXPECT_EQ(kernel_.begun(0, Call::freeze), 0) << "the next level is not frozen any more";
}

TEST_F(DeathOfPreScriptAtWork, WhileSyncHangsFreezesNothing) {
  add_some();
  kernel_.hang(0, Call::sync);
  as_pre_script_that_dies([&] {
    start();
    static_cast<void>(client().prepare(in(100)));
  });
  EXPECT_TRUE(is_over());
  kernel_.let_go(0, Call::sync);
  expect_undone();
  EXPECT_EQ(kernel_.begun(0, Call::freeze), 0);
}

TEST_F(DeathOfPreScriptAtWork, WhileADatabaseQuiescesCancelsThat) {
  add_some();
  databases_.set(0, Stage::quiesce, Behaviour::patient);
  as_pre_script_that_dies([&] {
    go(Step::prepared);
    // Answered by nobody before it dies; its deadline is far away.
    const pid_t asking =
        fakes::start_child([&] { return client().quiesce(Deadline::in(std::chrono::minutes(5))) ? 0 : 1; });
    if (!eventually([&] { return databases_.calls(0, Stage::quiesce) == 1; })) ADD_FAILURE();
    ::kill(asking, SIGKILL);
    static_cast<void>(fakes::status_of(asking));
  });
  expect_undone();
  EXPECT_EQ(databases_.calls(0, Stage::release), 1);
}

// The watchdog.

class DeathOfTheWatchdog : public AtEachStep {};
TEST_P(DeathOfTheWatchdog, IsMadeGoodByTheSentinel) {
  add_some();
  const Step step = GetParam();
  go(step);
  if (step == Step::held) leave();
  ::kill(watchdog(), SIGKILL);
  if (step != Step::held) {
    EXPECT_THAT(roll_back(), IsEmpty());
    leave();
  }
  expect_undone();
  EXPECT_EQ(record().end, step == Step::held ? SessionEnd::watchdog_lost : SessionEnd::rolled_back);
  EXPECT_THAT(problems(), HasSubstr("the watchdog was lost"));
  EXPECT_EQ(databases_.calls(1, Stage::recover), step >= Step::quiesced ? 1 : 0);
}
INSTANTIATE_TEST_SUITE_P(When, DeathOfTheWatchdog, testing::ValuesIn(kSteps), name_of);

using DeathOfTheWatchdogAtWork = AtEachStep;

TEST_F(DeathOfTheWatchdogAtWork, IsToldToPreScriptInWhateverItWaitsFor) {
  add_some();
  start();
  ::kill(watchdog(), SIGKILL);
  const auto prepared = client().prepare(soon());
  ASSERT_FALSE(prepared);
  EXPECT_THAT(prepared.error().message, HasSubstr("the watchdog was lost"));
  EXPECT_THAT(roll_back(), IsEmpty());
  leave();
  expect_undone();
}

TEST_F(DeathOfTheWatchdogAtWork, FailsTheCommit) {
  add_some();
  go(Step::frozen);
  ::kill(watchdog(), SIGKILL);
  EXPECT_FALSE(client().commit(soon(), {}, {}));
  EXPECT_THAT(roll_back(), IsEmpty());
  leave();
  expect_undone();
}

TEST_F(DeathOfTheWatchdogAtWork, WhileAFreezeHangsIsMadeGoodAsSoonAsThatReturns) {
  add_some();
  kernel_.hang(1, Call::freeze);
  go(Step::quiesced);
  EXPECT_EQ(rcu_expedited(), "0\n");
  ASSERT_FALSE(client().freeze(in(100)));
  EXPECT_EQ(rcu_expedited(), "7\n");
  ::kill(watchdog(), SIGKILL);
  EXPECT_TRUE(eventually([&] { return databases_.calls(1, Stage::recover) == 1; })) << "databases do not wait for it";
  kernel_.let_go(1, Call::freeze);
  EXPECT_THAT(roll_back(), IsEmpty());
  leave();
  expect_undone();
}

TEST_F(DeathOfTheWatchdogAtWork, BeforeAThawIsMadeGood) {
  add_some();
  go(Step::held);
  leave();
  kernel_.kill_caller(0, Call::thaw, Death::before);
  EXPECT_EQ(post_script(), EndRequest::heard);
  expect_undone();
  EXPECT_EQ(record().end, SessionEnd::watchdog_lost) << "nobody knows whether all was well";
}

TEST_F(DeathOfTheWatchdogAtWork, AfterAThawIsMadeGoodAndTheThawIsNotTakenForSomebodyElses) {
  add_some();
  go(Step::held);
  leave();
  kernel_.kill_caller(0, Call::thaw, Death::after);
  EXPECT_EQ(post_script(), EndRequest::heard);
  expect_undone();
  EXPECT_THAT(record().problems, ElementsAre("the watchdog was lost"));
}

TEST_F(DeathOfTheWatchdogAtWork, WhileAThawHangsIsMadeGood) {
  add_some();
  expect_calls_while_frozen();
  kernel_.hang(0, Call::thaw);
  go(Step::held);
  leave();
  const pid_t pid = watchdog();
  const pid_t asking =
      fakes::start_child([&] { return ask_to_end(state(), kExecution, soon()).request == EndRequest::heard ? 0 : 1; });
  ASSERT_TRUE(eventually([&] { return kernel_.begun(0, Call::thaw) == 1; }));
  ::kill(pid, SIGKILL);
  EXPECT_EQ(fakes::status_of(asking), 0);
  EXPECT_TRUE(eventually([&] { return kernel_.begun(0, Call::thaw) == 2; })) << "the sentinel tries too";
  kernel_.let_go(0, Call::thaw);
  expect_undone();
}

TEST_F(DeathOfTheWatchdogAtWork, WhileADatabaseIsReleasedIsMadeGood) {
  add_some();
  databases_.set(1, Stage::release, Behaviour::dies);
  go(Step::held);
  leave();
  EXPECT_EQ(post_script(), EndRequest::heard);
  expect_undone();
  EXPECT_EQ(databases_.calls(1, Stage::recover), 1);
}

TEST_F(DeathOfTheWatchdogAtWork, AfterADatabaseThatCannotBeRecoveredIsOnRecord) {
  add_some();
  databases_.set(1, Stage::recover, Behaviour::failed);
  go(Step::held);
  leave();
  ::kill(watchdog(), SIGKILL);
  ASSERT_TRUE(is_over());
  EXPECT_FALSE(kernel_.any_frozen());
  EXPECT_THAT(problems(), HasSubstr("db1: failed"));
  EXPECT_TRUE(record().quiescers[1].quiesced);
  EXPECT_FALSE(record().quiescers[0].quiesced);
}

// The sentinel.

class DeathOfTheSentinel : public AtEachStep {};
TEST_P(DeathOfTheSentinel, BringsANewOneAndNothingElse) {
  add_some();
  const Step step = GetParam();
  go(step);
  const pid_t old = sentinel();
  ::kill(old, SIGKILL);
  ASSERT_TRUE(eventually([&] {
    const auto now = fakes::descendant("dlm-sentinel");
    return now && *now != old;
  }));
  // The session goes on.
  go_on_from(step);
  leave();
  EXPECT_TRUE(kernel_.is_frozen(0));
  EXPECT_EQ(post_script(), EndRequest::heard);
  expect_undone();
  EXPECT_EQ(record().end, SessionEnd::completed);
  EXPECT_THAT(record().problems, IsEmpty());
}
INSTANTIATE_TEST_SUITE_P(When, DeathOfTheSentinel, testing::ValuesIn(kSteps), name_of);

using DeathOfSentinels = AtEachStep;

/// The paths of its files, and of what has none the kind: "socket", "pipe".
std::vector<std::string> descriptors_of(pid_t process) {
  std::vector<std::string> kinds;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/" + std::to_string(process) + "/fd")) {
    std::error_code closed_meanwhile;
    const std::string target = std::filesystem::read_symlink(entry, closed_meanwhile);
    kinds.push_back(target.starts_with('/') ? target : target.substr(0, target.find(':')));
  }
  std::sort(kinds.begin(), kinds.end());
  return kinds;
}

TEST_F(DeathOfSentinels, BringsOneThatHasNoMoreDescriptors) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root: the processes of a session are nobody else's to look at";
  add_some();
  go(Step::held);
  leave();
  const pid_t old = sentinel();
  const auto before = descriptors_of(old);
  const auto caller = state().connect(soon());
  ASSERT_TRUE(caller);
  ::kill(old, SIGKILL);
  EXPECT_TRUE(eventually([&] {
    const auto now = fakes::descendant("dlm-sentinel");
    if (!now || *now == old) return false;
    const auto after = descriptors_of(*now);
    return !after.empty() && std::ranges::includes(before, after);
  }));
  EXPECT_EQ(post_script(), EndRequest::heard);
  expect_undone();
}

TEST_F(DeathOfSentinels, MayBeRepeated) {
  add_some();
  go(Step::held);
  leave();
  pid_t last = -1;
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(eventually([&] {
      const auto now = fakes::descendant("dlm-sentinel");
      if (!now || *now == last) return false;
      last = *now;
      return true;
    }));
    ::kill(last, SIGKILL);
  }
  EXPECT_TRUE(kernel_.is_frozen(0));
  EXPECT_EQ(post_script(), EndRequest::heard);
  expect_undone();
}

TEST_F(DeathOfSentinels, AndThenOfTheWatchdogIsMadeGoodByTheNewOne) {
  add_some();
  go(Step::held);
  leave();
  const pid_t guarded = watchdog();
  const pid_t old = sentinel();
  ::kill(old, SIGKILL);
  ASSERT_TRUE(eventually([&] {
    const auto now = fakes::descendant("dlm-sentinel");
    return now && *now != old;
  }));
  ::kill(guarded, SIGKILL);
  expect_undone();
  EXPECT_EQ(record().end, SessionEnd::watchdog_lost);
}

TEST_F(DeathOfSentinels, WhileADatabaseIsBusyBringsANewOneAfterwards) {
  add_some();
  databases_.set(0, Stage::prepare, Behaviour::deaf);
  start();
  const pid_t old = sentinel();
  const pid_t asking = fakes::start_child([&] {
    static_cast<void>(client().prepare(soon()));
    return 0;
  });
  ASSERT_TRUE(eventually([&] { return databases_.calls(0, Stage::prepare) == 1; }));
  ::kill(old, SIGKILL);
  databases_.let_go(0, Stage::prepare);
  ASSERT_TRUE(eventually([&] {
    const auto now = fakes::descendant("dlm-sentinel");
    return now && *now != old;
  }));
  EXPECT_EQ(fakes::status_of(asking), 0);
  leave();
  expect_undone();
}

// Watchdog and sentinel at the same instant.

class DeathOfBoth : public AtEachStep {};

class DeathOfBothBeforeTheCommit : public DeathOfBoth {};
TEST_P(DeathOfBothBeforeTheCommit, IsMadeGoodByPreScript) {
  add_some();
  go(GetParam());
  fakes::kill_together({watchdog(), sentinel()});
  EXPECT_THAT(roll_back(), IsEmpty());
  leave();
  expect_undone();
  EXPECT_EQ(record().end, SessionEnd::rolled_back);
}
INSTANTIATE_TEST_SUITE_P(When, DeathOfBothBeforeTheCommit,
                         testing::Values(Step::started, Step::prepared, Step::quiesced, Step::frozen), name_of);

TEST_F(DeathOfBoth, WhileAFreezeHangsIsMadeGoodByPreScriptAndTheFreezer) {
  add_some();
  kernel_.hang(1, Call::freeze);
  go(Step::quiesced);
  ASSERT_FALSE(client().freeze(in(100)));
  fakes::kill_together({watchdog(), sentinel()});
  EXPECT_THAT(roll_back(in(800)), ElementsAre("/fs1"));
  leave();
  kernel_.let_go(1, Call::freeze);
  EXPECT_TRUE(fakes::all_gone());
  EXPECT_FALSE(kernel_.any_frozen());
  EXPECT_FALSE(databases_.has_leftovers(1));
}

// What is left is on record; somebody has to find the filesystem again by its number: /proc, to the fake kernel.

class Orphans : public SessionTest {
 protected:
  void hold_and_kill_all() {
    go(Step::held);
    leave();
    fakes::kill_together({watchdog(), sentinel()});
    ASSERT_TRUE(is_over());
  }
  void recover(Deadline deadline = soon()) {
    QuiescerRegistry registry({&fakes::FakeDatabases::type()}, {}, "/nowhere");
    orphan_ = record();
    ASSERT_TRUE(orphan_.is_orphan(current_boot_id()) || orphan_.has_leftovers());
    recover_orphan(state(), orphan_, registry, kernel_, deadline);
  }
  void expect_recovered() {
    EXPECT_FALSE(kernel_.any_frozen());
    EXPECT_EQ(orphan_.phase, Phase::ended);
    EXPECT_FALSE(orphan_.has_leftovers());
    EXPECT_TRUE(fakes::all_gone());
  }
  SessionRecord orphan_;
};

TEST_F(Orphans, OfAHeldSessionAreThawedAndRecoveredFromTheRecord) {
  add_proc();
  const auto database = add_database({{"outlives", true}});
  ASSERT_NO_FATAL_FAILURE(hold_and_kill_all());
  EXPECT_TRUE(all_frozen()) << "nobody is left to thaw it";
  recover();
  expect_recovered();
  EXPECT_EQ(orphan_.end, SessionEnd::watchdog_lost);
  EXPECT_EQ(orphan_.filesystems[0].state, "thawed");
  EXPECT_EQ(databases_.calls(database, Stage::recover), 1);
  EXPECT_FALSE(databases_.has_leftovers(database));
}

TEST_F(Orphans, OfADeathOfAllWhileADatabaseQuiescesAreRecovered) {
  const auto database = add_database({{"outlives", true}});
  const auto slow = add_database();
  databases_.set(slow, Stage::quiesce, Behaviour::patient);
  as_pre_script_that_dies([&] {
    go(Step::prepared);
    const pid_t asking =
        fakes::start_child([&] { return client().quiesce(Deadline::in(std::chrono::minutes(5))) ? 0 : 1; });
    if (!eventually([&] { return databases_.has_leftovers(database); })) ADD_FAILURE();
    fakes::kill_together({watchdog(), sentinel(), asking});
    static_cast<void>(fakes::status_of(asking));
  });
  ASSERT_TRUE(is_over());
  EXPECT_TRUE(databases_.has_leftovers(database)) << "nobody is left to release it";
  recover();
  expect_recovered();
  EXPECT_FALSE(databases_.has_leftovers(database));
}

TEST_F(Orphans, OfASessionThatWasFreezingAreThawed) {
  add_proc();
  as_pre_script_that_dies([&] {
    go(Step::frozen);
    fakes::kill_together({watchdog(), sentinel()});
  });
  ASSERT_TRUE(is_over());
  EXPECT_EQ(record().phase, Phase::freezing);
  recover();
  expect_recovered();
  EXPECT_EQ(orphan_.end, SessionEnd::rolled_back);
}

TEST_F(Orphans, OfASessionThatWasQuiescingAreRecoveredByTheirIntent) {
  add_proc();
  const auto database = add_database({{"outlives", true}});
  databases_.set(database, Stage::quiesce, Behaviour::deaf);
  as_pre_script_that_dies([&] {
    go(Step::prepared);
    static_cast<void>(client().quiesce(in(100)));
    if (!eventually([&] { return databases_.has_leftovers(database); })) ADD_FAILURE();
    fakes::kill_together({watchdog(), sentinel(), freezer()});
  });
  ASSERT_TRUE(is_over());
  EXPECT_TRUE(databases_.has_leftovers(database));
  recover();
  expect_recovered();
  EXPECT_TRUE(databases_.was_recovered_as_prepared(database));
  EXPECT_FALSE(databases_.has_leftovers(database));
}

TEST_F(Orphans, ThatWereNeverFrozenAreFoundSo) {
  add_proc();
  as_pre_script_that_dies([&] {
    go(Step::quiesced);
    fakes::kill_together({watchdog(), sentinel(), freezer()});
  });
  ASSERT_TRUE(is_over());
  recover();
  expect_recovered();
  EXPECT_EQ(kernel_.succeeded(0, Call::thaw), 0);
}

TEST_F(Orphans, AreUndoneByTheFreezerAsLongAsThatLives) {
  add_proc();
  kernel_.hang(0, Call::freeze);
  as_pre_script_that_dies([&] {
    go(Step::quiesced);
    static_cast<void>(client().freeze(in(100)));
    fakes::kill_together({watchdog(), sentinel()});
  });
  ASSERT_TRUE(is_over());
  kernel_.let_go(0, Call::freeze);
  EXPECT_TRUE(fakes::all_gone());
  EXPECT_FALSE(kernel_.any_frozen());
  EXPECT_EQ(kernel_.succeeded(0, Call::freeze), 1);
}

TEST_F(Orphans, StayOnRecordWhileTheirFreezeMayStillHappen) {
  add_proc();
  kernel_.hang(0, Call::freeze);
  as_pre_script_that_dies([&] {
    go(Step::quiesced);
    static_cast<void>(client().freeze(in(100)));
    fakes::kill_together({watchdog(), sentinel()});
  });
  ASSERT_TRUE(is_over());
  recover(in(300));
  EXPECT_TRUE(orphan_.has_leftovers());
  EXPECT_FALSE(orphan_.problems.empty());
  kernel_.let_go(0, Call::freeze);
  EXPECT_TRUE(fakes::all_gone());
  EXPECT_FALSE(kernel_.any_frozen());
}

TEST_F(Orphans, OfADeathOfAllAreThawedEvenWhereTheFreezeHadJustReturned) {
  add_proc();
  kernel_.kill_caller(0, Call::freeze, Death::after);
  as_pre_script_that_dies([&] {
    go(Step::quiesced);
    const pid_t one = watchdog();
    const pid_t other = sentinel();
    ::kill(one, SIGSTOP);
    ::kill(other, SIGSTOP);
    static_cast<void>(client().freeze(in(500)));
    ::kill(one, SIGKILL);
    ::kill(other, SIGKILL);
  });
  ASSERT_TRUE(is_over());
  EXPECT_TRUE(kernel_.is_frozen(0));
  recover();
  expect_recovered();
}

TEST_F(Orphans, ThatCannotBeThawedStayOnRecord) {
  add_proc();
  ASSERT_NO_FATAL_FAILURE(hold_and_kill_all());
  kernel_.fail(0, Call::thaw, EIO);
  recover();
  EXPECT_TRUE(orphan_.filesystems[0].may_be_frozen);
  EXPECT_THAT(orphan_.problems, testing::Contains(HasSubstr("could not be thawed: Input/output error")));
  kernel_.fail(0, Call::thaw, 0);
  ASSERT_TRUE(state().write_record(orphan_));
  recover();
  expect_recovered();
}

TEST_F(Orphans, WhoseThawHangsDoNotKeepAnybodyWaiting) {
  add_proc();
  ASSERT_NO_FATAL_FAILURE(hold_and_kill_all());
  kernel_.hang(0, Call::thaw);
  const auto begin = BootClock::now();
  recover(in(300));
  EXPECT_LT(BootClock::now() - begin, fakes::kSoon);
  EXPECT_TRUE(orphan_.filesystems[0].may_be_frozen);
  kernel_.let_go(0, Call::thaw);
  EXPECT_TRUE(none_frozen());
}

TEST_F(Orphans, WhoseDatabaseCannotBeRecoveredStayOnRecord) {
  const auto database = add_database({{"outlives", true}});
  ASSERT_NO_FATAL_FAILURE(hold_and_kill_all());
  databases_.set(database, Stage::recover, Behaviour::failed);
  recover();
  EXPECT_TRUE(orphan_.quiescers[0].quiesced);
  databases_.set(database, Stage::recover, Behaviour::well);
  ASSERT_TRUE(state().write_record(orphan_));
  recover();
  expect_recovered();
}

TEST_F(Orphans, OneOfWhichHangsDoNotKeepTheOthersFromBeingRecovered) {
  const auto hanging = add_database({{"outlives", true}});
  const auto other = add_database({{"outlives", true}});
  ASSERT_NO_FATAL_FAILURE(hold_and_kill_all());
  databases_.set(hanging, Stage::recover, Behaviour::deaf);
  const pid_t recovering = fakes::start_child([&] {
    recover();
    return orphan_.has_leftovers() ? 1 : 0;
  });
  EXPECT_TRUE(eventually([&] { return !databases_.has_leftovers(other); }));
  databases_.let_go(hanging, Stage::recover);
  EXPECT_EQ(fakes::status_of(recovering), 0);
}

TEST_F(Orphans, OfAFilesystemThatIsMountedNowhereAreSaidSo) {
  add_filesystem();  // Of device 0:0, which no mount has.
  ASSERT_NO_FATAL_FAILURE(hold_and_kill_all());
  recover();
  EXPECT_TRUE(orphan_.filesystems[0].may_be_frozen);
  EXPECT_THAT(orphan_.problems, testing::Contains(HasSubstr("/fs0 (0:0) may still be frozen: it is mounted nowhere")));
  kernel_.thaw_by_somebody_else(0);
}

// The freezer.

using DeathOfTheFreezer = AtEachStep;

TEST_F(DeathOfTheFreezer, BeforeItIsNeededIsSaidWhenItIs) {
  add_some();
  go(Step::quiesced);
  ::kill(freezer(), SIGKILL);
  EXPECT_FALSE(client().freeze(soon()));
  EXPECT_THAT(roll_back(), IsEmpty());
  leave();
  expect_undone();
}

TEST_F(DeathOfTheFreezer, BeforeItsCallIsRolledBack) {
  add_some();
  kernel_.kill_caller(1, Call::freeze, Death::before);
  go(Step::quiesced);
  const auto frozen = client().freeze(soon());
  ASSERT_FALSE(frozen);
  EXPECT_THAT(frozen.error().message,
              HasSubstr("the freezer died while freezing; it was killed, by a user or by the kernel"));
  EXPECT_THAT(roll_back(), IsEmpty());
  leave();
  expect_undone();
}

TEST_F(DeathOfTheFreezer, AfterItsCallIsRolledBackAndWhatItFrozeIsThawed) {
  add_some();
  kernel_.kill_caller(1, Call::freeze, Death::after);
  go(Step::quiesced);
  ASSERT_FALSE(client().freeze(soon()));
  EXPECT_THAT(roll_back(), IsEmpty());
  leave();
  expect_undone();
  EXPECT_EQ(kernel_.succeeded(1, Call::freeze), 1);
  EXPECT_EQ(kernel_.succeeded(1, Call::thaw), 1);
}

TEST_F(DeathOfTheFreezer, WhileACallHangsIsRolledBack) {
  add_some();
  kernel_.hang(1, Call::freeze);
  go(Step::quiesced);
  const pid_t pid = freezer();
  ASSERT_FALSE(client().freeze(in(100)));
  ::kill(pid, SIGKILL);
  EXPECT_THAT(roll_back(), IsEmpty());
  leave();
  expect_undone();
}

TEST_F(DeathOfTheFreezer, TogetherWithTheWatchdogsIsMadeGoodByTheSentinel) {
  add_some();
  kernel_.hang(1, Call::freeze);
  go(Step::quiesced);
  const pid_t one = freezer();
  ASSERT_FALSE(client().freeze(in(100)));
  fakes::kill_together({one, watchdog()});
  EXPECT_THAT(roll_back(), IsEmpty());
  leave();
  expect_undone();
}

// All of them, at moments that nobody chose.

TEST_F(Orphans, OfPreScriptsKilledAtAnyMomentAreNone) {
  for (int round = 0; round < 25; ++round) {
    add_filesystem();
    if (round == 0) {
      add_database();
      add_database({{"outlives", true}});
    }
    const pid_t pre_script = fakes::start_child([&] {
      go(Step::frozen);
      for (;;) ::pause();
      return 0;
    });
    ::usleep(static_cast<useconds_t>(4'000 * round));
    ::kill(pre_script, SIGKILL);
    ASSERT_EQ(fakes::status_of(pre_script), 128 + SIGKILL) << round;
    ASSERT_TRUE(fakes::all_gone()) << round;
    ASSERT_FALSE(kernel_.any_frozen()) << round;
    ASSERT_FALSE(databases_.is_locked(0)) << round;
    ASSERT_FALSE(databases_.has_leftovers(1)) << round;
  }
}

TEST_F(Orphans, OfWatchdogsKilledAtAnyMomentOfTheEndAreNone) {
  add_database({{"outlives", true}});
  for (int round = 0; round < 25; ++round) {
    add_filesystem();
    go(Step::held);
    leave();
    const pid_t pid = watchdog();
    const pid_t asking = fakes::start_child(
        [&] { return ask_to_end(state(), kExecution, soon()).request == EndRequest::stuck ? 1 : 0; });
    ::usleep(static_cast<useconds_t>(500 * round));
    ::kill(pid, SIGKILL);
    ASSERT_EQ(fakes::status_of(asking), 0) << round;
    ASSERT_TRUE(is_over()) << round;
    ASSERT_TRUE(fakes::all_gone()) << round;
    ASSERT_FALSE(kernel_.any_frozen()) << round;
    ASSERT_FALSE(databases_.has_leftovers(0)) << round;
    const SessionRecord ended = record();
    ASSERT_EQ(ended.phase, Phase::ended) << round;
    ASSERT_TRUE(ended.end == SessionEnd::completed || ended.end == SessionEnd::watchdog_lost) << round;
  }
}

}  // namespace
}  // namespace dlm_freeze
