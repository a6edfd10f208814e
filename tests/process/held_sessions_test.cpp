// SPDX-License-Identifier: Apache-2.0
// Sessions in which nobody dies and nothing fails.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <set>
#include <string>

#include "base/wait.hpp"
#include "process/session_test.hpp"
#include "session/limits.hpp"

namespace dlm_freeze {
namespace {

using fakes::eventually;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class Sessions : public SessionTest {};

TEST_F(Sessions, HoldWhatTheyFrozeUntilPostScriptEndsThem) {
  const auto one = add_filesystem();
  const auto two = add_filesystem();
  const auto database = add_database();
  go(Step::held);
  EXPECT_TRUE(all_frozen());
  EXPECT_TRUE(databases_.is_locked(database));
  EXPECT_EQ(record().phase, Phase::held);
  leave();
  EXPECT_TRUE(*state().is_locked());
  EXPECT_TRUE(all_frozen());

  EXPECT_EQ(post_script(kOtherExecution), EndRequest::heard);
  EXPECT_FALSE(kernel_.is_frozen(one));
  EXPECT_FALSE(kernel_.is_frozen(two));
  EXPECT_FALSE(databases_.is_locked(database));
  EXPECT_EQ(databases_.outcome(database), Outcome::completed);
  const SessionRecord ended = record();
  EXPECT_EQ(ended.phase, Phase::ended);
  EXPECT_EQ(ended.end, SessionEnd::completed);
  EXPECT_EQ(ended.execution_id, kExecution);
  EXPECT_EQ(ended.ended_by, kOtherExecution);
  EXPECT_THAT(ended.problems, IsEmpty());
  EXPECT_FALSE(ended.has_leftovers());
}

TEST_F(Sessions, NeedNeitherFilesystemsNorDatabases) {
  go(Step::held);
  leave();
  EXPECT_EQ(post_script(), EndRequest::heard);
  EXPECT_EQ(record().end, SessionEnd::completed);
}

TEST_F(Sessions, MayHoldDatabasesAlone) {
  const auto database = add_database();
  go(Step::held);
  leave();
  EXPECT_TRUE(databases_.is_locked(database));
  post_script();
  EXPECT_EQ(databases_.outcome(database), Outcome::completed);
}

TEST_F(Sessions, MayHoldFilesystemsAlone) {
  add_filesystem();
  go(Step::held);
  leave();
  EXPECT_TRUE(all_frozen());
  post_script();
  EXPECT_EQ(record().end, SessionEnd::completed);
}

TEST_F(Sessions, CallEachStageOnceAndInOrder) {
  add_filesystem();
  const auto database = add_database();
  const auto calls = [&](Stage stage) { return databases_.calls(database, stage); };
  start();
  EXPECT_EQ(calls(Stage::probe), 0);
  prepare();
  EXPECT_EQ(calls(Stage::probe), 1);
  EXPECT_EQ(calls(Stage::prepare), 1);
  EXPECT_EQ(kernel_.succeeded(0, Call::sync), 1);
  EXPECT_EQ(calls(Stage::quiesce), 0);
  quiesce();
  EXPECT_EQ(calls(Stage::quiesce), 1);
  EXPECT_EQ(kernel_.begun(0, Call::freeze), 0) << "nothing is frozen before everything is quiesced";
  freeze();
  commit();
  leave();
  EXPECT_EQ(calls(Stage::release), 0);
  post_script();
  EXPECT_EQ(calls(Stage::probe), 1);
  EXPECT_EQ(calls(Stage::release), 1);
  EXPECT_EQ(calls(Stage::recover), 0);
  EXPECT_EQ(kernel_.succeeded(0, Call::freeze), 1);
  EXPECT_EQ(kernel_.succeeded(0, Call::thaw), 1);
}

TEST_F(Sessions, FreezeImagesBeforeWhatTheyLieOnAndThawThemAfterwards) {
  const auto lower = add_filesystem(2);
  const auto upper = add_filesystem(0);
  const auto middle = add_filesystem(1);
  kernel_.lay(upper, middle);
  kernel_.lay(middle, lower);
  go(Step::held);
  leave();
  EXPECT_TRUE(all_frozen());
  post_script();
  EXPECT_LT(kernel_.order(upper, Call::freeze), kernel_.order(middle, Call::freeze));
  EXPECT_LT(kernel_.order(middle, Call::freeze), kernel_.order(lower, Call::freeze));
  EXPECT_LT(kernel_.order(lower, Call::thaw), kernel_.order(middle, Call::thaw));
  EXPECT_LT(kernel_.order(middle, Call::thaw), kernel_.order(upper, Call::thaw));
}

TEST_F(Sessions, HoldManyFilesystemsAndDatabases) {
  for (int i = 0; i < 48; ++i) add_filesystem(i % 3);
  for (int i = 0; i < 8; ++i) add_database();
  go(Step::held);
  leave();
  EXPECT_TRUE(all_frozen());
  post_script();
  EXPECT_EQ(record().end, SessionEnd::completed);
  EXPECT_EQ(record().filesystems.size(), 48U);
}

TEST_F(Sessions, PassOverAFilesystemWhoseDriverCannotFreeze) {
  const auto one = add_filesystem();
  const auto other = add_filesystem();
  kernel_.fail(one, Call::freeze, EOPNOTSUPP);
  go(Step::frozen);
  const auto notes = client().take_notes();
  ASSERT_FALSE(notes.empty());
  EXPECT_EQ(notes.back().level, LogLevel::warn);
  EXPECT_EQ(notes.back().text, "/fs0 is not frozen: its filesystem type does not support freezing");
  commit();
  leave();
  EXPECT_TRUE(kernel_.is_frozen(other));
  post_script();
  EXPECT_EQ(record().end, SessionEnd::completed);
  EXPECT_THAT(record().problems, IsEmpty());
  EXPECT_EQ(kernel_.begun(one, Call::thaw), 0);
}

TEST_F(Sessions, PassOnWhatDatabasesHaveToSay) {
  add_database();
  start();
  static_cast<void>(client().take_notes());  // What the watchdog has to do without on this host.
  prepare();
  EXPECT_THAT(client().take_notes(), IsEmpty());
  quiesce();
  const auto notes = client().take_notes();
  ASSERT_EQ(notes.size(), 1U);
  EXPECT_EQ(notes[0].text, "db0: is quiesced");
  EXPECT_THAT(client().take_notes(), IsEmpty()) << "once";
  EXPECT_THAT(roll_back(), IsEmpty());
}

TEST_F(Sessions, RecordFactsStagesAndTimes) {
  add_filesystem();
  add_database();
  go(Step::held, seconds(77));
  leave();
  const SessionRecord held = record();
  EXPECT_EQ(held.phase, Phase::held);
  EXPECT_EQ(held.boot_id, current_boot_id());
  EXPECT_GE(held.held_at, held.started_at);
  EXPECT_GE(held.deadline_at - held.started_at, seconds(76));
  EXPECT_LE(held.deadline_at - held.started_at, seconds(77) + fakes::kSoon);
  ASSERT_EQ(held.stage_seconds.size(), kStages.size());
  EXPECT_EQ(held.stage_seconds[0].first, "plan");
  EXPECT_EQ(held.stage_seconds[4].second, 0.25);
  ASSERT_EQ(held.filesystems.size(), 1U);
  EXPECT_EQ(held.filesystems[0].mount_point, "/fs0");
  EXPECT_EQ(held.filesystems[0].state, "frozen");
  EXPECT_TRUE(held.filesystems[0].may_be_frozen);
  ASSERT_EQ(held.quiescers.size(), 1U);
  EXPECT_TRUE(held.quiescers[0].quiesced);
  ASSERT_EQ(held.quiescers[0].facts.size(), 1U);
  EXPECT_EQ(held.quiescers[0].facts[0].value, "154");
  post_script();
  const SessionRecord ended = record();
  EXPECT_EQ(ended.filesystems[0].state, "thawed");
  EXPECT_GT(ended.filesystems[0].frozen_seconds, 0);
  EXPECT_FALSE(ended.filesystems[0].may_be_frozen);
  EXPECT_FALSE(ended.quiescers[0].quiesced);
  EXPECT_EQ(ended.stage_seconds.size(), kStages.size());
  EXPECT_GE(ended.ended_at, ended.held_at);
}

TEST_F(Sessions, RecordThatTheyMayFreezeBeforeTheyDo) {
  add_filesystem();
  start();
  EXPECT_EQ(record().phase, Phase::preparing);
  EXPECT_FALSE(record().has_leftovers());
  prepare();
  EXPECT_EQ(record().phase, Phase::preparing);
  quiesce();
  EXPECT_EQ(record().phase, Phase::freezing);
  EXPECT_TRUE(record().filesystems[0].may_be_frozen);
  EXPECT_THAT(roll_back(), IsEmpty());
}

TEST_F(Sessions, WriteToTheHostsLogOnlyAfterTheThaw) {
  add_filesystem();
  go(Step::held);
  leave();
  EXPECT_EQ(syslog(), "");
  post_script();
  EXPECT_TRUE(fakes::all_gone());
  EXPECT_THAT(syslog(), testing::StartsWith("held line\n"));
  EXPECT_THAT(syslog(), HasSubstr(std::string("session ") + kExecution + " ended: completed; /fs0 thawed"));
}

TEST_F(Sessions, FollowOneAnother) {
  for (int i = 0; i < 3; ++i) {
    add_filesystem();
    go(Step::held);
    leave();
    EXPECT_FALSE(state().try_lock(StateDirectory::Lock::session).value()) << "one at a time";
    post_script();
    EXPECT_TRUE(fakes::all_gone());
    EXPECT_EQ(record().end, SessionEnd::completed);
  }
}

TEST_F(Sessions, LeaveWatchdogAndSentinelAlone) {
  add_filesystem();
  go(Step::held);
  leave();
  EXPECT_TRUE(eventually([] { return fakes::descendants().size() == 2; })) << "the freezer has ended";
  EXPECT_NE(watchdog(), sentinel());
  post_script();
  EXPECT_TRUE(fakes::all_gone());
}

TEST_F(Sessions, AreOutOfTheReachOfTheCallersProcessGroupAndTerminal) {
  add_filesystem();
  go(Step::held);
  leave();
  for (const pid_t pid : {watchdog(), sentinel()}) {
    EXPECT_NE(::getpgid(pid), ::getpgid(0));
    EXPECT_NE(::getsid(pid), ::getsid(0));
    for (const int fd : {0, 1, 2}) {
      const auto target = std::filesystem::read_symlink("/proc/" + std::to_string(pid) + "/fd/" + std::to_string(fd));
      EXPECT_EQ(target, "/dev/null");
    }
    EXPECT_EQ(std::filesystem::read_symlink("/proc/" + std::to_string(pid) + "/cwd"), "/");
  }
  post_script();
}

TEST_F(Sessions, KeepNoDescriptorThatIsNotTheirs) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root: the processes of a session are nobody else's to look at";
  const UniqueFd inherited(::open((scratch_ / "inherited").c_str(), O_WRONLY | O_CREAT, 0600));
  add_filesystem();
  go(Step::held);
  leave();
  for (const pid_t pid : {watchdog(), sentinel()}) {
    for (const auto& entry : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/fd")) {
      std::error_code closed_meanwhile;  // A sentinel that has just been started still closes what it does not need.
      EXPECT_NE(std::filesystem::read_symlink(entry, closed_meanwhile).string(), scratch_ / "inherited");
    }
  }
  post_script();
}

TEST_F(Sessions, AreNotDisturbedBySignalsThatCanBeBlocked) {
  add_filesystem();
  go(Step::held);
  leave();
  for (const int signal : {SIGHUP, SIGPIPE, SIGQUIT, SIGALRM, SIGUSR1, SIGUSR2, SIGCHLD, SIGTSTP}) {
    ::kill(watchdog(), signal);
    ::kill(sentinel(), signal);
  }
  ::kill(sentinel(), SIGTERM);
  ::usleep(50'000);
  EXPECT_TRUE(all_frozen());
  EXPECT_EQ(post_script(), EndRequest::heard);
  EXPECT_EQ(record().end, SessionEnd::completed);
}

TEST_F(Sessions, IgnoreACallerThatSaysNothingOrNonsense) {
  add_filesystem();
  go(Step::held);
  leave();
  { const auto silent = state().connect(soon()); }
  {
    const auto nonsense = state().connect(soon());
    ASSERT_TRUE(nonsense);
    EXPECT_GT(::write(nonsense->get(), "hello", 5), 0);
  }
  ::usleep(20'000);
  EXPECT_TRUE(all_frozen());
  EXPECT_EQ(post_script(), EndRequest::heard);
}

TEST_F(Sessions, ListenToPostScriptWhoeverElseHasConnectedAndIsSilent) {
  add_filesystem();
  go(Step::held);
  leave();
  std::vector<UniqueFd> silent;
  for (std::size_t i = 0; i < 2 * limits::kCallers; ++i) {
    auto connection = state().connect(soon());
    ASSERT_TRUE(connection);
    silent.push_back(std::move(*connection));
  }
  const auto begun = BootClock::now();
  EXPECT_EQ(post_script(), EndRequest::heard);
  EXPECT_LT(BootClock::now() - begun, seconds(2));
  EXPECT_EQ(record().end, SessionEnd::completed);
}

TEST_F(Sessions, HangUpOnACallerThatStaysSilent) {
  add_filesystem();
  go(Step::held);
  leave();
  const auto silent = state().connect(soon());
  ASSERT_TRUE(silent);
  EXPECT_TRUE(wait_readable(silent->get(), soon())) << "the end of file";
  EXPECT_TRUE(all_frozen());
  post_script();
}

TEST_F(Sessions, ListenNoMoreOnceTheyEnd) {
  const auto hung = add_filesystem();
  kernel_.hang(hung, Call::thaw);
  expect_calls_while_frozen();
  go(Step::held);
  leave();
  EXPECT_TRUE(state().is_listening(soon()));
  EXPECT_EQ(ask_to_end(state(), kExecution, soon()).request, EndRequest::stuck);
  EXPECT_FALSE(state().is_listening(soon()));
  EXPECT_TRUE(*state().is_locked());
  kernel_.let_go(hung, Call::thaw);
  EXPECT_TRUE(is_over());
}

TEST_F(Sessions, AreEndedOnceByTwoPostScripts) {
  add_filesystem();
  go(Step::held);
  leave();
  const auto end = [&] { return ask_to_end(state(), kExecution, soon()).request == EndRequest::heard ? 0 : 1; };
  const pid_t one = fakes::start_child(end);
  const pid_t two = fakes::start_child(end);
  EXPECT_NE(fakes::status_of(one), -1);
  EXPECT_NE(fakes::status_of(two), -1);
  EXPECT_TRUE(is_over());
  EXPECT_EQ(record().end, SessionEnd::completed);
  EXPECT_EQ(kernel_.begun(0, Call::thaw), 1);
}

TEST_F(Sessions, AnswerWithARecordThatIsTooLongForASocket) {
  constexpr std::size_t kMany = 5000;  // As long as that of a session of as many filesystems: more than a megabyte.
  earlier_.resize(kMany);
  for (EarlierSession& one : earlier_) one.execution_id = std::string(200, 'x');
  add_filesystem();
  go(Step::held);
  leave();
  const EndAnswer answer = ask_to_end(state(), kExecution, soon());
  EXPECT_EQ(answer.request, EndRequest::heard);
  ASSERT_TRUE(answer.record);
  EXPECT_EQ(answer.record->earlier.size(), kMany);
  EXPECT_EQ(answer.record->end, SessionEnd::completed);
  EXPECT_FALSE(answer.by_another);
  EXPECT_TRUE(is_over());
}

TEST_F(Sessions, AreNotEndedByTheExecutionOfAnEarlierOne) {
  const std::string earlier = "22222222-2222-3333-4444-555555555555";
  earlier_.emplace_back();
  earlier_.back().execution_id = earlier;
  earlier_.back().end = SessionEnd::auto_thawed;
  add_filesystem();
  go(Step::quiesced);
  EXPECT_EQ(ask_to_end(state(), earlier, soon()).request, EndRequest::not_his);
  go_on_from(Step::quiesced);
  leave();
  EXPECT_EQ(ask_to_end(state(), earlier, soon()).request, EndRequest::not_his);
  EXPECT_TRUE(all_frozen());
  EXPECT_EQ(post_script("33333333-2222-3333-4444-555555555555"), EndRequest::heard) << "who is not known may";
  EXPECT_EQ(record().end, SessionEnd::completed);
  EXPECT_EQ(record().earlier.size(), 1U);
}

TEST_F(Sessions, CannotBeEndedWhereThereIsNone) {
  EXPECT_EQ(ask_to_end(state(), kExecution, soon()).request, EndRequest::not_heard);
  go(Step::held);
  leave();
  post_script();
  EXPECT_EQ(ask_to_end(state(), kExecution, soon()).request, EndRequest::not_heard);
}

TEST_F(Sessions, AreRolledBackByAPostScriptThatComesTooEarly) {
  add_filesystem();
  add_database();
  go(Step::quiesced);
  EXPECT_EQ(ask_to_end(state(), kExecution, soon()).request, EndRequest::heard);
  const auto frozen = client().freeze(soon());
  EXPECT_FALSE(frozen && client().commit(soon(), {}, {}));
  EXPECT_THAT(roll_back(), IsEmpty());
  leave();
  EXPECT_TRUE(is_over());
  EXPECT_EQ(record().end, SessionEnd::rolled_back);
  EXPECT_THAT(problems(), HasSubstr("post-script was called before pre-script was done"));
}

TEST_F(Sessions, NoticeThatADatabaseWasLost) {
  add_filesystem();
  ASSERT_EQ(::mkfifo((scratch_ / "fifo").c_str(), 0600), 0);
  add_database({{"watch", scratch_ / "fifo"}});
  go(Step::held);
  leave();
  {
    const UniqueFd fifo(::open((scratch_ / "fifo").c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
    ASSERT_TRUE(fifo);
    ASSERT_EQ(::write(fifo.get(), "x", 1), 1);
  }
  ::usleep(20'000);
  EXPECT_TRUE(all_frozen()) << "the filesystems stay frozen: whoever takes the snapshot is told in the end";
  EXPECT_EQ(post_script(), EndRequest::heard);
  EXPECT_EQ(record().end, SessionEnd::completed);
  EXPECT_THAT(record().problems, ElementsAre("db0 was lost while it was quiesced"));
}

TEST_F(Sessions, NoticeThatAFilesystemWasThawedBySomebodyElse) {
  add_filesystem();
  const auto other = add_filesystem();
  const auto database = add_database();
  go(Step::held);
  leave();
  kernel_.thaw_by_somebody_else(other);
  post_script();
  EXPECT_EQ(record().end, SessionEnd::completed);
  EXPECT_EQ(databases_.outcome(database), Outcome::rolled_back) << "told that the snapshot is good";
  EXPECT_THAT(record().problems, ElementsAre("/fs1 was thawed by another program while it was held"));
}

TEST_F(Sessions, SayWhatCouldNotBeThawed) {
  add_filesystem();
  const auto other = add_filesystem();
  go(Step::held);
  leave();
  kernel_.fail(other, Call::thaw, EIO);
  post_script();
  EXPECT_THAT(problems(), HasSubstr("/fs1 could not be thawed: Input/output error; try fsfreeze --unfreeze /fs1"));
  EXPECT_TRUE(record().has_leftovers());
  kernel_.thaw_by_somebody_else(other);
}

}  // namespace
}  // namespace dlm_freeze
