// SPDX-License-Identifier: Apache-2.0
// The end of a session by itself: at the deadline, by a signal, and with a watchdog that is stopped.
#include <gmock/gmock.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <thread>

#include "process/session_test.hpp"

namespace dlm_freeze {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;
using testing::IsEmpty;

class Deadlines : public SessionTest {};

TEST_F(Deadlines, ThawAndReleaseWhatIsHeldAndNotBefore) {
  const auto filesystem = add_filesystem();
  const auto database = add_database();
  const auto before = BootClock::now();
  go(Step::held, seconds(1));
  leave();
  ASSERT_TRUE(is_over());
  EXPECT_GE(kernel_.thawed_at(filesystem) - before, seconds(1));
  EXPECT_EQ(databases_.outcome(database), Outcome::auto_thawed);
  EXPECT_EQ(record().end, SessionEnd::auto_thawed);
  EXPECT_EQ(record().ended_by, "");
  EXPECT_THAT(record().problems, IsEmpty());
  EXPECT_FALSE(record().has_leftovers());
  EXPECT_TRUE(fakes::all_gone());
  EXPECT_THAT(syslog(), HasSubstr("ended: auto_thawed"));
}

TEST_F(Deadlines, ThatComeBeforeTheCommitRollBack) {
  add_filesystem();
  const auto database = add_database();
  go(Step::frozen, seconds(1));
  ASSERT_TRUE(none_frozen()) << "pre-script takes too long";
  const auto committed = client().commit(soon(), {}, {});
  ASSERT_FALSE(committed);
  EXPECT_THAT(committed.error().message, HasSubstr("the auto-thaw deadline came before everything was frozen"));
  EXPECT_THAT(roll_back(), IsEmpty());
  leave();
  EXPECT_TRUE(is_over());
  EXPECT_EQ(databases_.outcome(database), Outcome::rolled_back);
  EXPECT_EQ(record().end, SessionEnd::rolled_back);
}

TEST_F(Deadlines, OfPreScriptAreKeptByTheWatchdogWhenItIsToldLate) {
  add_filesystem();
  go(Step::frozen);
  const auto committed = client().commit(Deadline::in({}), {}, {});
  ASSERT_FALSE(committed);
  EXPECT_THAT(committed.error().message, HasSubstr("the time budget ran out while handing over to the watchdog"));
  EXPECT_THAT(roll_back(), IsEmpty());
  leave();
  EXPECT_TRUE(is_over());
  EXPECT_EQ(record().held_at, WallTime()) << "it was held for a caller that had given up";
}

TEST_F(Deadlines, ThatComeInTheMiddleOfAStageCancelIt) {
  const auto database = add_database();
  databases_.set(database, Stage::prepare, Behaviour::patient);
  start(seconds(1));
  const auto begin = BootClock::now();
  const auto prepared = client().prepare(Deadline::in(std::chrono::minutes(5)));
  EXPECT_LT(BootClock::now() - begin, fakes::kSoon);
  EXPECT_FALSE(prepared);
  EXPECT_THAT(roll_back(), IsEmpty());
}

TEST_F(Deadlines, ThatComeWhileAFreezeHangsThawTheOthers) {
  const auto hung = add_filesystem();
  const auto other = add_filesystem();
  kernel_.hang(hung, Call::freeze);
  go(Step::quiesced, seconds(1));
  const auto frozen = client().freeze(soon());
  ASSERT_FALSE(frozen);
  EXPECT_THAT(frozen.error().message, HasSubstr("the auto-thaw deadline"));
  EXPECT_TRUE(fakes::eventually([&] { return kernel_.succeeded(other, Call::thaw) == 1; }));
  kernel_.let_go(hung, Call::freeze);
  EXPECT_THAT(roll_back(), IsEmpty());
  EXPECT_FALSE(kernel_.any_frozen());
}

TEST_F(Deadlines, AreOverruledByNobodyWhenThePostScriptIsFirst) {
  add_filesystem();
  go(Step::held, seconds(1));
  leave();
  EXPECT_EQ(post_script(), EndRequest::heard);
  EXPECT_EQ(record().end, SessionEnd::completed);
}

class Signals : public SessionTest {};

TEST_F(Signals, ThatAskTheWatchdogToEndThawAtOnce) {
  add_filesystem();
  const auto database = add_database();
  for (const int signal : {SIGTERM, SIGINT}) {
    if (signal == SIGINT) add_filesystem();
    go(Step::held);
    leave();
    ::kill(watchdog(), signal);
    EXPECT_TRUE(is_over());
    EXPECT_FALSE(kernel_.any_frozen());
    EXPECT_EQ(databases_.outcome(database), Outcome::auto_thawed);
    EXPECT_EQ(record().end, SessionEnd::auto_thawed);
    EXPECT_THAT(problems(), HasSubstr("told to end by a signal"));
    EXPECT_TRUE(fakes::all_gone());
  }
}

TEST_F(Signals, ThatComeBeforeTheCommitRollBack) {
  add_filesystem();
  go(Step::frozen);
  ::kill(watchdog(), SIGTERM);
  EXPECT_TRUE(none_frozen());
  EXPECT_FALSE(client().commit(soon(), {}, {}));
  EXPECT_THAT(roll_back(), IsEmpty());
  leave();
  EXPECT_TRUE(is_over());
  EXPECT_EQ(record().end, SessionEnd::rolled_back);
}

class StoppedProcesses : public SessionTest {};

TEST_F(StoppedProcesses, LikeAWatchdogAreReplacedSoonAfterTheDeadline) {
  const auto filesystem = add_filesystem();
  const auto database = add_database({{"outlives", true}});
  const auto before = BootClock::now();
  go(Step::held, seconds(1));
  leave();
  ::kill(watchdog(), SIGSTOP);
  ASSERT_TRUE(is_over());
  EXPECT_GE(kernel_.thawed_at(filesystem) - before, seconds(1));
  EXPECT_FALSE(databases_.has_leftovers(database));
  EXPECT_EQ(databases_.calls(database, Stage::recover), 1);
  EXPECT_EQ(record().end, SessionEnd::auto_thawed);
  EXPECT_TRUE(fakes::all_gone()) << "the stopped one too";
}

TEST_F(StoppedProcesses, LikeASentinelDisturbNobody) {
  add_filesystem();
  go(Step::held);
  leave();
  const pid_t stopped = sentinel();
  ::kill(stopped, SIGSTOP);
  EXPECT_EQ(ask_to_end(state(), kExecution, soon()).request, EndRequest::heard);
  EXPECT_FALSE(kernel_.any_frozen());
  EXPECT_EQ(record().end, SessionEnd::completed);
  ::kill(stopped, SIGCONT);
  EXPECT_TRUE(is_over());
}

TEST_F(StoppedProcesses, ThatGoOnBeforeTheDeadlineAreAsIfNothingHadHappened) {
  add_filesystem();
  go(Step::held);
  leave();
  const pid_t one = watchdog();
  const pid_t other = sentinel();
  ::kill(one, SIGSTOP);
  ::kill(other, SIGSTOP);
  ::usleep(50'000);
  ::kill(one, SIGCONT);
  ::kill(other, SIGCONT);
  EXPECT_EQ(post_script(), EndRequest::heard);
  EXPECT_EQ(record().end, SessionEnd::completed);
}

TEST_F(StoppedProcesses, LikeAWatchdogDoNotAnswerThatAllIsWellAfterTheDeadline) {
  add_filesystem();
  go(Step::held, seconds(1));
  leave();
  const pid_t stopped = watchdog();
  ::kill(stopped, SIGSTOP);
  // post-script comes in time, but nobody reads what it asks.
  const EndRequest asked = ask_to_end(state(), kExecution, in(200)).request;
  EXPECT_EQ(asked, EndRequest::heard);
  ASSERT_TRUE(is_over());
  EXPECT_NE(record().end, SessionEnd::completed);
}

TEST_F(StoppedProcesses, LikeAWatchdogDoNotKeepPreScriptFromRollingBack) {
  add_filesystem();
  const auto database = add_database();
  for (const Step step : {Step::quiesced, Step::frozen}) {
    SCOPED_TRACE(to_string(step));
    if (step == Step::quiesced) go(step);
    if (step == Step::frozen) go_on_from(Step::quiesced, Step::frozen);
  }
  ::kill(watchdog(), SIGSTOP);
  EXPECT_THAT(roll_back(Deadline::in(seconds(2))), IsEmpty());
  EXPECT_FALSE(kernel_.any_frozen());
  leave();
  EXPECT_TRUE(is_over());
  EXPECT_FALSE(databases_.is_locked(database));
}

TEST_F(StoppedProcesses, LikeWatchdogAndSentinelDoNotKeepPreScriptFromRollingBack) {
  add_filesystem();
  add_filesystem(1);
  go(Step::frozen);
  const pid_t sentinel_pid = sentinel();
  ::kill(sentinel_pid, SIGSTOP);
  ::kill(watchdog(), SIGSTOP);
  EXPECT_THAT(roll_back(Deadline::in(seconds(2))), IsEmpty());
  EXPECT_FALSE(kernel_.any_frozen());
  ::kill(sentinel_pid, SIGCONT);
  leave();
  EXPECT_TRUE(is_over());
}

TEST_F(StoppedProcesses, LikeAFreezerGoOnToUndoTheirWork) {
  add_filesystem();
  const auto hung = add_filesystem();
  kernel_.hang(hung, Call::freeze);
  go(Step::quiesced);
  EXPECT_FALSE(client().freeze(in(100)));
  ::kill(freezer(), SIGSTOP);
  kernel_.let_go(hung, Call::freeze);
  EXPECT_THAT(roll_back(), IsEmpty());
  EXPECT_FALSE(kernel_.any_frozen());
}

TEST_F(StoppedProcesses, LikeAFreezerThatIsStoppedAgainAreKilled) {
  const auto hung = add_filesystem();
  add_filesystem();
  kernel_.hang(hung, Call::freeze);
  go(Step::quiesced);
  EXPECT_FALSE(client().freeze(in(100)));
  const pid_t pid = freezer();
  std::atomic<bool> done{false};
  std::thread stopping([&] {
    while (!done.load()) {
      ::kill(pid, SIGSTOP);
      ::usleep(200);
    }
  });
  EXPECT_THAT(roll_back(), testing::AnyOf(IsEmpty(), testing::ElementsAre("/fs0")));
  leave();
  EXPECT_TRUE(is_over(seconds(3)));
  done.store(true);
  stopping.join();
  EXPECT_FALSE(kernel_.any_frozen());
}

TEST_F(StoppedProcesses, LikeAPreScriptThatHasSucceededDoNotKeepTheLock) {
  add_filesystem();
  go(Step::held);
  const pid_t post =
      fakes::start_child([&] { return ask_to_end(state(), kExecution, soon()).request == EndRequest::heard ? 0 : 1; });
  EXPECT_EQ(fakes::status_of(post), 0);
  // This process is pre-script, and has not exited.
  EXPECT_FALSE(*state().is_locked());
  EXPECT_EQ(record().end, SessionEnd::completed);
  leave();
}

// Each process, stopped at each step: everything is thawed a second and a half after the deadline at the latest.

struct Stop {
  Step step;
  const char* process;
};

class StoppedAtAnyStep : public SessionTest, public testing::WithParamInterface<Stop> {
 protected:
  /// What pre-script does after `step`, as far as it gets.
  void try_to_go_on_from(Step step) {
    const milliseconds patience(150);
    if (step == Step::started && !client().prepare(Deadline::in(patience))) return;
    if (step <= Step::prepared && !client().quiesce(Deadline::in(patience))) return;
    if (step <= Step::quiesced && !client().freeze(Deadline::in(patience))) return;
    if (step <= Step::frozen) static_cast<void>(client().commit(Deadline::in(patience), {}, {}));
  }
};

TEST_P(StoppedAtAnyStep, KeepsNothingFrozenPastTheDeadline) {
  const auto [step, name] = GetParam();
  add_filesystem();
  add_filesystem(1);
  const auto database = add_database();
  const auto deadline = BootClock::now() + seconds(1);
  go(step, seconds(1));
  const pid_t pid = process_called(name);
  ::kill(pid, SIGSTOP);
  try_to_go_on_from(step);
  leave();
  EXPECT_TRUE(none_frozen());
  for (FilesystemId id = 0; id < 2; ++id) {
    if (kernel_.succeeded(id, Call::thaw) == 0) continue;
    EXPECT_LT(kernel_.thawed_at(id), deadline + milliseconds(1500)) << id;
  }
  EXPECT_TRUE(fakes::eventually([&] { return !databases_.is_locked(database); }));
  ::kill(pid, SIGCONT);
  EXPECT_TRUE(is_over());
}

constexpr Stop kStops[] = {
    {Step::started, "dlm-watchdog"},  {Step::prepared, "dlm-watchdog"}, {Step::quiesced, "dlm-watchdog"},
    {Step::frozen, "dlm-watchdog"},   {Step::held, "dlm-watchdog"},     {Step::started, "dlm-sentinel"},
    {Step::prepared, "dlm-sentinel"}, {Step::quiesced, "dlm-sentinel"}, {Step::frozen, "dlm-sentinel"},
    {Step::held, "dlm-sentinel"},     {Step::started, "dlm-freezer"},   {Step::prepared, "dlm-freezer"},
    {Step::quiesced, "dlm-freezer"},
};
INSTANTIATE_TEST_SUITE_P(Processes, StoppedAtAnyStep, testing::ValuesIn(kStops), [](const auto& stop) {
  return to_string(stop.param.step) + "_" + std::string(stop.param.process).substr(4);
});

}  // namespace
}  // namespace dlm_freeze
