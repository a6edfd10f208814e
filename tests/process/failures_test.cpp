// SPDX-License-Identifier: Apache-2.0
// Filesystems and databases that fail or hang. Whatever happens, pre-script knows and the rest is undone.
#include <gmock/gmock.h>

#include <string>
#include <tuple>

#include "process/session_test.hpp"

namespace dlm_freeze {
namespace {

using fakes::eventually;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

class FailingFilesystems : public SessionTest {
 protected:
  [[nodiscard]] Error failure_of_freeze(Deadline deadline = soon()) {
    const auto frozen = client().freeze(deadline);
    EXPECT_FALSE(frozen);
    return frozen ? Error() : frozen.error();
  }
  void expect_rolled_back() {
    EXPECT_THAT(roll_back(), IsEmpty());
    leave();
    EXPECT_TRUE(is_over());
    EXPECT_EQ(record().end, SessionEnd::rolled_back);
    EXPECT_FALSE(record().has_leftovers());
  }
};

TEST_F(FailingFilesystems, ThatSomebodyElseHasFrozenAreLeftToThem) {
  const auto ours = add_filesystem();
  const auto theirs = add_filesystem();
  const auto database = add_database();
  expect_calls_while_frozen();
  kernel_.freeze_by_somebody_else(theirs);
  go(Step::quiesced);
  const Error error = failure_of_freeze();
  EXPECT_EQ(error.kind, ErrorKind::already_frozen);
  EXPECT_THAT(error.message, HasSubstr("/fs1: already frozen by another program"));
  expect_rolled_back();
  EXPECT_FALSE(kernel_.is_frozen(ours));
  EXPECT_FALSE(databases_.is_locked(database));
  EXPECT_EQ(databases_.outcome(database), Outcome::rolled_back);
  EXPECT_TRUE(kernel_.is_frozen(theirs));
  EXPECT_EQ(kernel_.begun(theirs, Call::thaw), 0);
  kernel_.thaw_by_somebody_else(theirs);
}

TEST_F(FailingFilesystems, AreNamedWithTheirError) {
  add_filesystem();
  const auto bad = add_filesystem();
  const auto later = add_filesystem(1);
  kernel_.fail(bad, Call::freeze, EIO);
  go(Step::quiesced);
  const Error error = failure_of_freeze();
  EXPECT_EQ(error.kind, ErrorKind::failed);
  EXPECT_EQ(error.message, "cannot freeze /fs1: Input/output error");
  expect_rolled_back();
  EXPECT_EQ(kernel_.begun(later, Call::freeze), 0);
}

TEST_F(FailingFilesystems, ThatHangInFreezeAreNamedAndTheOthersThawed) {
  const auto hung = add_filesystem();
  const auto other = add_filesystem();
  const auto later = add_filesystem(1);
  const auto database = add_database();
  kernel_.hang(hung, Call::freeze);
  go(Step::quiesced);
  const Error error = failure_of_freeze(in(200));
  EXPECT_THAT(error.message, AllOf(HasSubstr("the time budget ran out while freezing"),
                                   HasSubstr("the freeze of /fs0 has not returned")));
  EXPECT_THAT(roll_back(Deadline::in(seconds(5))), ElementsAre("/fs0"));
  EXPECT_FALSE(kernel_.is_frozen(other));
  EXPECT_EQ(kernel_.begun(later, Call::freeze), 0);
  EXPECT_FALSE(databases_.is_locked(database)) << "databases do not wait for it";
  leave();
  EXPECT_FALSE(is_over(std::chrono::milliseconds(50))) << "somebody has to undo it";
  kernel_.let_go(hung, Call::freeze);
  EXPECT_TRUE(is_over());
  EXPECT_FALSE(kernel_.any_frozen());
  EXPECT_EQ(kernel_.succeeded(hung, Call::freeze), 1);
  EXPECT_EQ(record().end, SessionEnd::rolled_back);
  EXPECT_EQ(record().filesystems[0].state, "thawed");
}

TEST_F(FailingFilesystems, ThatHangInSyncFailPreScriptInItsBudget) {
  add_filesystem();
  kernel_.hang(0, Call::sync);
  start();
  const auto prepared = client().prepare(in(200));
  ASSERT_FALSE(prepared);
  EXPECT_THAT(prepared.error().message, HasSubstr("the time budget ran out while writing back dirty data"));
  EXPECT_THAT(roll_back(), IsEmpty()) << "nothing was frozen";
  leave();
  EXPECT_TRUE(is_over());
  EXPECT_EQ(kernel_.begun(0, Call::freeze), 0);
}

TEST_F(FailingFilesystems, ThatHangInThawHoldUpNeitherTheOthersNorTheDatabases) {
  const auto hung = add_filesystem();
  const auto other = add_filesystem();
  const auto upper = add_filesystem(1);
  const auto database = add_database();
  expect_calls_while_frozen();
  kernel_.hang(hung, Call::thaw);
  go(Step::held);
  leave();
  EXPECT_EQ(post_script(), EndRequest::stuck);
  EXPECT_FALSE(kernel_.is_frozen(other));
  EXPECT_FALSE(kernel_.is_frozen(upper));
  EXPECT_FALSE(databases_.is_locked(database));
  EXPECT_TRUE(*state().is_locked());
  kernel_.let_go(hung, Call::thaw);
  EXPECT_TRUE(is_over());
  EXPECT_FALSE(kernel_.any_frozen());
  EXPECT_EQ(record().end, SessionEnd::completed);
  EXPECT_FALSE(record().has_leftovers());
}

TEST_F(FailingFilesystems, ThatHangInThawWhileRollingBackAreNamed) {
  const auto hung = add_filesystem();
  const auto bad = add_filesystem();
  add_database();
  expect_calls_while_frozen();
  kernel_.hang(hung, Call::thaw);
  kernel_.fail(bad, Call::freeze, EIO);
  go(Step::quiesced);
  EXPECT_EQ(failure_of_freeze().message, "cannot freeze /fs1: Input/output error");
  EXPECT_THAT(roll_back(), ElementsAre("/fs0"));
  leave();
  kernel_.let_go(hung, Call::thaw);
  EXPECT_TRUE(is_over());
  EXPECT_FALSE(kernel_.any_frozen());
}

TEST_F(FailingFilesystems, ThatCannotBeThawedStayOnRecord) {
  const auto bad = add_filesystem();
  add_filesystem();
  kernel_.fail(bad, Call::thaw, EIO);
  go(Step::frozen);
  EXPECT_THAT(roll_back(), ElementsAre("/fs0"));
  leave();
  EXPECT_TRUE(is_over());
  EXPECT_TRUE(record().filesystems[0].may_be_frozen);
  EXPECT_FALSE(record().filesystems[1].may_be_frozen);
  kernel_.thaw_by_somebody_else(bad);
}

TEST_F(FailingFilesystems, ThatAreNotAllFrozenAreNotCommitted) {
  add_filesystem();
  go(Step::quiesced);
  const auto committed = client().commit(soon(), {}, {});
  ASSERT_FALSE(committed);
  EXPECT_EQ(committed.error().message, "not every filesystem is frozen");
  EXPECT_THAT(roll_back(), IsEmpty());
}

// Every stage of a database that comes before the freeze, and every way to fail in it.

struct FailingStage {
  fakes::FakeDatabases::Stage stage;
  fakes::FakeDatabases::Behaviour behaviour;
  ErrorKind kind;
  const char* name;
};

class FailingDatabases : public SessionTest, public testing::WithParamInterface<FailingStage> {
 protected:
  /// Runs the stage in which it fails, and gives the error.
  [[nodiscard]] Result<void> run(Deadline deadline) {
    start();
    if (GetParam().stage != Stage::quiesce) return client().prepare(deadline);
    prepare();
    return client().quiesce(deadline);
  }
};

TEST_P(FailingDatabases, FailPreScriptAndTheOthersAreReleased) {
  const auto [stage, behaviour, kind, name] = GetParam();
  const auto filesystem = add_filesystem();
  const auto good = add_database();
  const auto bad = add_database({{"outlives", true}});
  const auto other = add_database();
  databases_.set(bad, stage, behaviour);
  // Long enough for the good ones; a patient one uses it up.
  const auto failed = run(Deadline::in(behaviour == Behaviour::patient ? seconds(1) : fakes::kSoon));
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().kind, kind) << failed.error().message;
  EXPECT_THAT(roll_back(), IsEmpty());
  leave();
  EXPECT_TRUE(is_over());
  EXPECT_EQ(kernel_.begun(filesystem, Call::freeze), 0);
  for (const auto database : {good, bad, other}) {
    EXPECT_FALSE(databases_.is_locked(database));
    EXPECT_FALSE(databases_.has_leftovers(database));
  }
  if (stage == Stage::quiesce && behaviour != Behaviour::dies) {
    EXPECT_EQ(databases_.calls(bad, Stage::release), 1) << "also where quiesce failed";
    EXPECT_EQ(databases_.outcome(good), Outcome::rolled_back);
  }
  if (stage != Stage::quiesce) {
    EXPECT_EQ(databases_.calls(bad, Stage::release), 0);
    EXPECT_EQ(databases_.calls(good, Stage::quiesce), 0);
  }
  EXPECT_EQ(record().end, SessionEnd::rolled_back);
  EXPECT_FALSE(record().has_leftovers());
}

using fakes::FakeDatabases;
constexpr FailingStage kFailures[] = {
    {FakeDatabases::Stage::probe, FakeDatabases::Behaviour::failed, ErrorKind::failed, "probe_failed"},
    {FakeDatabases::Stage::probe, FakeDatabases::Behaviour::not_ready, ErrorKind::not_ready, "probe_not_ready"},
    {FakeDatabases::Stage::probe, FakeDatabases::Behaviour::patient, ErrorKind::not_ready, "probe_patient"},
    {FakeDatabases::Stage::probe, FakeDatabases::Behaviour::dies, ErrorKind::failed, "probe_dies"},
    {FakeDatabases::Stage::prepare, FakeDatabases::Behaviour::failed, ErrorKind::failed, "prepare_failed"},
    {FakeDatabases::Stage::prepare, FakeDatabases::Behaviour::not_ready, ErrorKind::not_ready, "prepare_not_ready"},
    {FakeDatabases::Stage::prepare, FakeDatabases::Behaviour::patient, ErrorKind::not_ready, "prepare_patient"},
    {FakeDatabases::Stage::prepare, FakeDatabases::Behaviour::dies, ErrorKind::failed, "prepare_dies"},
    {FakeDatabases::Stage::quiesce, FakeDatabases::Behaviour::failed, ErrorKind::failed, "quiesce_failed"},
    {FakeDatabases::Stage::quiesce, FakeDatabases::Behaviour::not_ready, ErrorKind::not_ready, "quiesce_not_ready"},
    {FakeDatabases::Stage::quiesce, FakeDatabases::Behaviour::already_frozen, ErrorKind::already_frozen,
     "quiesce_already_frozen"},
    {FakeDatabases::Stage::quiesce, FakeDatabases::Behaviour::patient, ErrorKind::not_ready, "quiesce_patient"},
    {FakeDatabases::Stage::quiesce, FakeDatabases::Behaviour::half_way, ErrorKind::failed, "quiesce_half_way"},
    {FakeDatabases::Stage::quiesce, FakeDatabases::Behaviour::dies, ErrorKind::failed, "quiesce_dies"},
};
INSTANTIATE_TEST_SUITE_P(When, FailingDatabases, testing::ValuesIn(kFailures),
                         [](const auto& failing) { return std::string(failing.param.name); });

class HangingDatabases : public SessionTest {};

TEST_F(HangingDatabases, FailPreScriptAsNotReadyWhenQuiesceDoesNotReturn) {
  const auto database = add_database();
  databases_.set(database, Stage::quiesce, Behaviour::deaf);
  start();
  prepare();
  const auto quiesced = client().quiesce(in(200));
  ASSERT_FALSE(quiesced);
  EXPECT_EQ(quiesced.error().kind, ErrorKind::not_ready);
  EXPECT_THAT(quiesced.error().message, HasSubstr("the time budget ran out while quiescing the databases"));
  EXPECT_THAT(roll_back(in(300)), IsEmpty()) << "pre-script does not wait for it";
  databases_.let_go(database, Stage::quiesce);
  leave();
  EXPECT_TRUE(is_over());
  EXPECT_EQ(databases_.calls(database, Stage::release), 1);
}

TEST_F(HangingDatabases, AreLeftToTheSentinelWhenTheyNeverGiveUp) {
  const auto database = add_database({{"outlives", true}});
  const auto filesystem = add_filesystem();
  databases_.set(database, Stage::quiesce, Behaviour::deaf);
  start();
  prepare();
  ASSERT_FALSE(client().quiesce(in(100)));
  static_cast<void>(roll_back(in(100)));
  leave();
  EXPECT_TRUE(is_over(seconds(60)));
  EXPECT_EQ(databases_.calls(database, Stage::recover), 1);
  EXPECT_FALSE(databases_.has_leftovers(database));
  EXPECT_EQ(kernel_.begun(filesystem, Call::freeze), 0);
  EXPECT_TRUE(fakes::all_gone());
}

class FailingReleases : public SessionTest {};

TEST_F(FailingReleases, AreProblemsAndNotRepeated) {
  const auto good = add_database();
  const auto bad = add_database({{"outlives", true}});
  databases_.set(bad, Stage::release, Behaviour::failed);
  go(Step::held);
  leave();
  post_script();
  EXPECT_EQ(record().end, SessionEnd::completed);
  EXPECT_THAT(record().problems, ElementsAre("db1: failed"));
  EXPECT_FALSE(databases_.is_locked(good));
  EXPECT_FALSE(record().quiescers[0].quiesced);
  EXPECT_FALSE(record().quiescers[1].quiesced) << "it was tried, and post-script says that it failed";
}

TEST_F(FailingReleases, ThatFindTheLockLostAreProblemsButNeedNoSecondTry) {
  const auto database = add_database();
  go(Step::held);
  leave();
  // As when the server was restarted.
  ASSERT_EQ(fakes::in_child([&] {
              StageContext context{soon(), -1, kExecution, nullptr, {}};
              auto quiescer =
                  make_quiescer(fakes::FakeDatabases::type(), fakes::FakeDatabases::config(database, "db0"));
              return (*quiescer)->release(context, Outcome::rolled_back) ? 0 : 1;
            }),
            0);
  post_script();
  EXPECT_THAT(record().problems, ElementsAre("db0: the lock was lost"));
  EXPECT_FALSE(record().has_leftovers());
}

TEST_F(FailingReleases, ThatMayBeRepeatedAreLeftToTheNextCommand) {
  const auto database = add_database({{"outlives", true}});
  databases_.set(database, Stage::release, Behaviour::not_ready);
  go(Step::held);
  leave();
  post_script();
  EXPECT_EQ(record().end, SessionEnd::completed);
  EXPECT_THAT(record().problems, ElementsAre("db0: is not ready"));
  EXPECT_TRUE(record().quiescers[0].quiesced);
  EXPECT_TRUE(record().has_leftovers());
}

TEST_F(FailingReleases, OfAWatchdogThatWasStoppedGoOnAfterTheDeadline) {
  const auto filesystem = add_filesystem();
  const auto database = add_database();
  databases_.set(database, Stage::release, Behaviour::stops);
  go(Step::held, seconds(1));
  leave();
  EXPECT_TRUE(is_over(seconds(10))) << "it waits for somebody to continue it";
  EXPECT_FALSE(kernel_.is_frozen(filesystem));
  EXPECT_EQ(databases_.calls(database, Stage::release), 1);
  EXPECT_EQ(record().end, SessionEnd::auto_thawed);
}

TEST_F(FailingReleases, ThatTakeTheWatchdogWithThemAreLeftToTheSentinel) {
  const auto filesystem = add_filesystem();
  const auto database = add_database({{"outlives", true}});
  databases_.set(database, Stage::release, Behaviour::dies);
  go(Step::held);
  leave();
  post_script();
  EXPECT_FALSE(kernel_.is_frozen(filesystem));
  EXPECT_EQ(databases_.calls(database, Stage::recover), 1);
  EXPECT_FALSE(databases_.has_leftovers(database));
  EXPECT_NE(record().end, SessionEnd::completed) << "it is not known whether it lasted";
}

}  // namespace
}  // namespace dlm_freeze
