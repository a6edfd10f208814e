// SPDX-License-Identifier: Apache-2.0
#include "quiesce/command/command_quiescer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>

#include "dlm_freeze/base/unique_fd.hpp"
#include "fakes/processes.hpp"
#include "fakes/scratch.hpp"

namespace dlm_freeze::command {
namespace {

using fakes::content_of;
using fakes::eventually;
using fakes::Scratch;
using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

constexpr const char* kExecution = "11111111-2222-3333-4444-555555555555";

class CommandQuiescer : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "its programs have to belong to root";
    fakes::adopt_orphans();
  }
  void TearDown() override { fakes::kill_descendants(); }

  /// Options with `freeze` and `thaw`, scripts that note that they were run.
  [[nodiscard]] Json::Object options(Json::Object more = {}) const {
    more.emplace_back("freeze", Json::Array{scratch_.script("freeze", "echo freeze >>" + log())});
    more.emplace_back("thaw", Json::Array{scratch_.script("thaw", "echo thaw $DLM_FREEZE_OUTCOME >>" + log())});
    return more;
  }
  [[nodiscard]] std::string log() const { return scratch_ / "log"; }

  [[nodiscard]] static Result<std::unique_ptr<Quiescer>> make(Json::Object options) {
    return make_quiescer(quiescer_type(), {"command", "db", true, Json(std::move(options))});
  }
  [[nodiscard]] static std::unique_ptr<Quiescer> made(Json::Object options) {
    auto quiescer = make(std::move(options));
    if (!quiescer) throw std::runtime_error(quiescer.error().message);
    return std::move(*quiescer);
  }
  [[nodiscard]] static StageContext context(BootClock::duration budget = fakes::kSoon, int cancel_fd = -1) {
    return {Deadline::in(budget), cancel_fd, kExecution, nullptr, {}};
  }
  [[nodiscard]] Json argv(const std::string& name, const std::string& body) const {
    return Json::Array{scratch_.script(name, body)};
  }

  Scratch scratch_;
};

TEST_F(CommandQuiescer, RunsFreezeAndThaw) {
  const auto quiescer = made(options());
  StageContext stage = context();
  EXPECT_TRUE(quiescer->probe(stage));
  EXPECT_TRUE(quiescer->prepare(stage));
  EXPECT_EQ(content_of(log()), "") << "neither is given";
  EXPECT_TRUE(quiescer->quiesce(stage));
  EXPECT_EQ(content_of(log()), "freeze\n");
  EXPECT_TRUE(quiescer->release(stage, Outcome::completed));
  EXPECT_EQ(content_of(log()), "freeze\nthaw completed\n");
  EXPECT_EQ(quiescer->watch_fd(), -1);
}

TEST_F(CommandQuiescer, TellsThawHowItEnded) {
  const auto quiescer = made(options());
  StageContext stage = context();
  EXPECT_TRUE(quiescer->release(stage, Outcome::auto_thawed));
  EXPECT_TRUE(quiescer->release(stage, Outcome::rolled_back));
  EXPECT_TRUE(quiescer->recover(stage, {}));
  EXPECT_EQ(content_of(log()), "thaw auto_thawed\nthaw rolled_back\nthaw rolled_back\n");
}

TEST_F(CommandQuiescer, RunsAThawAgainThatWasKilled) {
  Json::Object o;
  o.emplace_back("freeze", argv("freeze", "exit 0"));
  o.emplace_back("thaw",
                 argv("thaw", "echo thaw >>" + log() + "; [ \"$(wc -l <" + log() + ")\" -gt 2 ] || kill -9 $$"));
  StageContext stage = context();
  EXPECT_TRUE(made(std::move(o))->release(stage, Outcome::completed));
  EXPECT_EQ(content_of(log()), "thaw\nthaw\nthaw\n");
}

TEST_F(CommandQuiescer, LeavesAThawThatIsAlwaysKilledToTheNextCommand) {
  Json::Object o;
  o.emplace_back("freeze", argv("freeze", "exit 0"));
  o.emplace_back("thaw", argv("thaw", "kill -9 $$"));
  StageContext stage = context();
  const auto released = made(std::move(o))->release(stage, Outcome::completed);
  ASSERT_FALSE(released);
  EXPECT_EQ(released.error().kind, ErrorKind::not_ready);
  EXPECT_THAT(released.error().message, HasSubstr("exited with status 137"));
}

TEST_F(CommandQuiescer, GivesItsProgramsAnEnvironmentOfTheirOwn) {
  Json::Object o = options();
  o.emplace_back("probe", argv("probe", "env | sort >" + (scratch_ / "env")));
  ::setenv("SECRET", "not for them", 1);
  StageContext stage = context();
  ASSERT_TRUE(made(std::move(o))->probe(stage));
  ::unsetenv("SECRET");
  const std::string environment = content_of(scratch_ / "env");
  EXPECT_THAT(environment, HasSubstr(std::string("DLM_FREEZE_EXECUTION_ID=") + kExecution + "\n"));
  EXPECT_THAT(environment, HasSubstr("DLM_FREEZE_STAGE=probe\n"));
  EXPECT_THAT(environment, HasSubstr("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"));
  EXPECT_THAT(environment, HasSubstr("HOME=/root\n"));
  EXPECT_THAT(environment, testing::Not(HasSubstr("SECRET")));
  EXPECT_THAT(environment, testing::Not(HasSubstr("OUTCOME")));
}

TEST_F(CommandQuiescer, PassesArguments) {
  Json::Object o = options();
  o.emplace_back("probe", Json::Array{scratch_.script("probe", "printf '%s|' \"$@\" >" + log()), "--eval", "a b", ""});
  StageContext stage = context();
  ASSERT_TRUE(made(std::move(o))->probe(stage));
  EXPECT_EQ(content_of(log()), "--eval|a b||");
}

TEST_F(CommandQuiescer, SaysWhatItsProgramSaidWhenThatFails) {
  Json::Object o = options();
  o.emplace_back("prepare", argv("prepare", "echo noise; echo 'connection refused' >&2; exit 3"));
  StageContext stage = context();
  const auto prepared = made(std::move(o))->prepare(stage);
  ASSERT_FALSE(prepared);
  EXPECT_EQ(prepared.error().message,
            "db: prepare command " + (scratch_ / "prepare") + " exited with status 3 (connection refused)");
  EXPECT_EQ(prepared.error().kind, ErrorKind::failed);
}

TEST_F(CommandQuiescer, IsNotReadyWhenItsProbeFails) {
  Json::Object o = options();
  o.emplace_back("probe", argv("probe", "exit 1"));
  StageContext stage = context();
  const auto probed = made(std::move(o))->probe(stage);
  ASSERT_FALSE(probed);
  EXPECT_EQ(probed.error().kind, ErrorKind::not_ready);
}

TEST_F(CommandQuiescer, FailsWhenFreezeFailsAndCanBeReleasedThen) {
  Json::Object o;
  o.emplace_back("freeze", argv("freeze", "echo freeze >>" + log() + "; exit 1"));
  o.emplace_back("thaw", argv("thaw", "echo thaw >>" + log()));
  const auto quiescer = made(std::move(o));
  StageContext stage = context();
  EXPECT_FALSE(quiescer->quiesce(stage));
  EXPECT_TRUE(quiescer->release(stage, Outcome::rolled_back));
  EXPECT_EQ(content_of(log()), "freeze\nthaw\n");
}

TEST_F(CommandQuiescer, KillsTheWholeGroupAfterItsTimeout) {
  Json::Object o;
  o.emplace_back("timeout_seconds", Json(1));
  o.emplace_back("freeze", argv("freeze", "sleep 1000 & sleep 1000 | sleep 1000"));
  o.emplace_back("thaw", argv("thaw", "exit 0"));
  StageContext stage = context(std::chrono::minutes(5));
  const auto begin = BootClock::now();
  const auto quiesced = made(std::move(o))->quiesce(stage);
  EXPECT_GE(BootClock::now() - begin, std::chrono::seconds(1));
  EXPECT_LT(BootClock::now() - begin, fakes::kSoon);
  ASSERT_FALSE(quiesced);
  EXPECT_EQ(quiesced.error().message,
            "db: freeze command: " + (scratch_ / "freeze") + " did not end in time and was killed");
  EXPECT_TRUE(fakes::all_gone());
}

TEST_F(CommandQuiescer, KeepsToTheBudgetOfTheStageToo) {
  Json::Object o = options();
  o.emplace_back("timeout_seconds", Json(120));
  o.emplace_back("prepare", argv("prepare", "sleep 1000"));
  StageContext stage = context(std::chrono::milliseconds(200));
  const auto begin = BootClock::now();
  EXPECT_FALSE(made(std::move(o))->prepare(stage));
  EXPECT_LT(BootClock::now() - begin, fakes::kSoon);
}

TEST_F(CommandQuiescer, IsCancelledAtOnce) {
  Json::Object o;
  o.emplace_back("freeze", argv("freeze", "echo started >>" + log() + "; sleep 1000"));
  o.emplace_back("thaw", argv("thaw", "exit 0"));
  o.emplace_back("timeout_seconds", Json(120));
  const UniqueFd cancel(::eventfd(0, EFD_CLOEXEC));
  StageContext stage = context(std::chrono::minutes(5), cancel.get());
  std::thread canceller([&] {
    static_cast<void>(eventually([&] { return content_of(log()) == "started\n"; }));
    ::eventfd_write(cancel.get(), 1);
  });
  const auto quiesced = made(std::move(o))->quiesce(stage);
  canceller.join();
  ASSERT_FALSE(quiesced);
  EXPECT_THAT(quiesced.error().message, EndsWith("was ended before it was done"));
  EXPECT_TRUE(fakes::all_gone());
}

TEST_F(CommandQuiescer, RefusesAProgramThatOthersMayChange) {
  Json::Object o = options();
  const std::string probe = scratch_.script("probe", "exit 0");
  ::chmod(probe.c_str(), 0777);
  o.emplace_back("probe", Json::Array{probe});
  const auto quiescer = make(std::move(o));
  ASSERT_FALSE(quiescer);
  EXPECT_EQ(quiescer.error().message,
            "db: probe: " + probe + " is writable by users other than root: chmod go-w " + probe);
}

TEST_F(CommandQuiescer, RefusesAProgramInADirectoryThatOthersMayChange) {
  Json::Object o = options();
  o.emplace_back("probe", argv("open/probe", "exit 0"));
  ::chmod((scratch_ / "open").c_str(), 0777);
  const auto quiescer = make(std::move(o));
  ASSERT_FALSE(quiescer);
  EXPECT_THAT(quiescer.error().message, AllOf(StartsWith("db: probe: "), HasSubstr(scratch_ / "open is writable")));
}

TEST_F(CommandQuiescer, RefusesAProgramThatIsNotThere) {
  Json::Object o = options();
  o.emplace_back("prepare", Json::Array{"/nowhere/program"});
  const auto quiescer = make(std::move(o));
  ASSERT_FALSE(quiescer);
  EXPECT_THAT(quiescer.error().message, AllOf(StartsWith("db: prepare: "), HasSubstr("/nowhere/program")));
}

TEST_F(CommandQuiescer, RefusesAProgramThatCannotBeExecuted) {
  const std::string thaw = scratch_.script("release", "exit 0");
  ::chmod(thaw.c_str(), 0644);
  const std::string directory = scratch_ / "directory";
  ::mkdir(directory.c_str(), 0755);
  for (const auto& [program, why] : {std::pair(thaw, std::string("chmod +x it, or move it from a mount with noexec")),
                                     std::pair(directory, std::string("it is no file"))}) {
    const auto quiescer = make({{"freeze", argv("freeze", "exit 0")}, {"thaw", Json::Array{program}}});
    ASSERT_FALSE(quiescer) << program;
    EXPECT_EQ(quiescer.error().message, "db: thaw: " + program + " cannot be executed: " + why);
  }
}

TEST_F(CommandQuiescer, RefusesAProgramWithoutItsPath) {
  Json::Object o = options();
  o.emplace_back("probe", Json::Array{"mongosh"});
  const auto quiescer = make(std::move(o));
  ASSERT_FALSE(quiescer);
  EXPECT_EQ(quiescer.error().message, "db: probe: the program must be given by its absolute path, not 'mongosh'");
}

TEST_F(CommandQuiescer, RunsNothingThatWasNotAskedFor) {
  static_cast<void>(made(options()));
  EXPECT_EQ(content_of(log()), "");
}

TEST_F(CommandQuiescer, MayOnlyPrepare) {
  const auto quiescer = made({{"prepare", argv("prepare", "echo prepare >>" + log())}});
  StageContext stage = context();
  EXPECT_TRUE(quiescer->prepare(stage));
  EXPECT_TRUE(quiescer->quiesce(stage));
  EXPECT_TRUE(quiescer->release(stage, Outcome::completed));
  EXPECT_TRUE(quiescer->recover(stage, {}));
  EXPECT_EQ(content_of(log()), "prepare\n");
}

TEST_F(CommandQuiescer, RunsItsProgramsAsAnAccount) {
  ::chmod(scratch_.path().c_str(), 0755);
  Json::Object o = options({{"os_user", "nobody"}});
  o.emplace_back("probe", argv("probe", "id -un; echo $HOME $DLM_FREEZE_STAGE; exit 1"));
  StageContext stage = context();
  const auto probed = made(std::move(o))->probe(stage);
  ASSERT_FALSE(probed);
  EXPECT_THAT(probed.error().message, EndsWith("exited with status 1 (/nonexistent probe)"));
}

TEST_F(CommandQuiescer, RefusesAnAccountThatDoesNotExist) {
  const auto quiescer = make(options({{"os_user", "no-such-user"}}));
  ASSERT_FALSE(quiescer);
  EXPECT_EQ(quiescer.error().message, "db: os_user: there is no account 'no-such-user' on this host");
}

/// A program that holds: `before` it says READY, and what it does once it is told to thaw.
class CommandSession : public CommandQuiescer {
 protected:
  [[nodiscard]] Json::Object session(const std::string& body, int timeout_seconds = 20) const {
    return {{"session", argv("session", body)}, {"timeout_seconds", Json(timeout_seconds)}};
  }
  [[nodiscard]] std::unique_ptr<Quiescer> held(const std::string& body, int timeout_seconds = 20) const {
    auto quiescer = made(session(body, timeout_seconds));
    StageContext stage = context();
    const auto quiesced = quiescer->quiesce(stage);
    if (!quiesced) throw std::runtime_error(quiesced.error().message);
    return quiescer;
  }
  [[nodiscard]] static bool is_lost(const Quiescer& quiescer, std::chrono::milliseconds limit) {
    pollfd event = {quiescer.watch_fd(), POLLIN, 0};
    return ::poll(&event, 1, static_cast<int>(limit.count())) > 0;
  }
  [[nodiscard]] std::string path() const { return scratch_ / "session"; }
  [[nodiscard]] std::string holding() const { return "echo READY; read word; echo \"$word\" >>" + log(); }
};

TEST_F(CommandSession, HoldsUntilItIsToldToThaw) {
  const auto quiescer = made(session("echo locking; echo hold >>" + log() + "; " + holding()));
  EXPECT_EQ(quiescer->watch_fd(), -1);
  StageContext stage = context();
  ASSERT_TRUE(quiescer->quiesce(stage));
  EXPECT_EQ(content_of(log()), "hold\n");
  EXPECT_FALSE(is_lost(*quiescer, std::chrono::milliseconds(100)));
  EXPECT_TRUE(quiescer->release(stage, Outcome::completed));
  EXPECT_EQ(content_of(log()), "hold\nTHAW completed\n");
  EXPECT_EQ(quiescer->watch_fd(), -1);
  EXPECT_TRUE(fakes::all_gone());
}

TEST_F(CommandSession, IsToldHowItEnded) {
  for (const Outcome outcome : {Outcome::auto_thawed, Outcome::rolled_back}) {
    StageContext stage = context();
    EXPECT_TRUE(held(holding())->release(stage, outcome));
  }
  EXPECT_EQ(content_of(log()), "THAW auto_thawed\nTHAW rolled_back\n");
}

TEST_F(CommandSession, HasTheEnvironmentOfTheOthers) {
  const auto quiescer = held("env | sort >" + log() + "; echo READY; read word");
  StageContext stage = context();
  EXPECT_TRUE(quiescer->release(stage, Outcome::completed));
  EXPECT_THAT(content_of(log()), AllOf(HasSubstr(std::string("DLM_FREEZE_EXECUTION_ID=") + kExecution + "\n"),
                                       HasSubstr("DLM_FREEZE_STAGE=session\n"), HasSubstr("HOME=/root\n")));
}

TEST_F(CommandSession, MayBeReadyLateAndSayMuchBefore) {
  EXPECT_NO_THROW(
      static_cast<void>(held("i=0; while [ $i -lt 5000 ]; do echo noise $i READY; i=$((i + 1)); done; sleep 0.3; "
                             "printf 'READY \\r\\n'; read word")));
}

TEST_F(CommandSession, MayTalkWhileItHolds) {
  const auto quiescer =
      held("echo READY; echo 'still here'; head -c 100000 /dev/zero; read word; echo $word >" + log());
  EXPECT_FALSE(is_lost(*quiescer, std::chrono::milliseconds(200)));
  StageContext stage = context();
  EXPECT_TRUE(quiescer->release(stage, Outcome::completed));
  EXPECT_EQ(content_of(log()), "THAW completed\n");
}

TEST_F(CommandSession, OutlivesTheThreadOfTheStage) {
  const auto quiescer = made(session(holding()));
  std::thread([&] {
    StageContext stage = context();
    EXPECT_TRUE(quiescer->quiesce(stage));
  }).join();
  EXPECT_FALSE(is_lost(*quiescer, std::chrono::milliseconds(200)));
  StageContext stage = context();
  EXPECT_TRUE(quiescer->release(stage, Outcome::completed));
}

TEST_F(CommandSession, ThatNeverSaysReadyFailsAndIsLetGoThen) {
  const auto quiescer =
      made(session("echo 'waiting for the lock'; read word; echo \"$word\" >>" + log() + "; exit 0", 1));
  StageContext stage = context();
  const auto quiesced = quiescer->quiesce(stage);
  ASSERT_FALSE(quiesced);
  EXPECT_EQ(quiesced.error().message,
            "db: session command " + path() + " did not say READY in time (waiting for the lock)");
  EXPECT_EQ(quiesced.error().kind, ErrorKind::failed);
  EXPECT_TRUE(quiescer->release(stage, Outcome::rolled_back));
  EXPECT_EQ(content_of(log()), "THAW rolled_back\n");
  EXPECT_TRUE(fakes::all_gone());
}

TEST_F(CommandSession, ThatIsNotReadyInTimeMayUndoWhatItGetsLate) {
  const auto quiescer = made(session("sleep 1.5; echo lock >>" + log() + "; " + holding(), 1));
  StageContext stage = context();
  EXPECT_FALSE(quiescer->quiesce(stage));
  EXPECT_TRUE(quiescer->release(stage, Outcome::rolled_back));
  EXPECT_EQ(content_of(log()), "lock\nTHAW rolled_back\n");
}

TEST_F(CommandSession, IsCancelledAtOnce) {
  const UniqueFd cancel(::eventfd(1, EFD_CLOEXEC));
  const auto quiescer = made(session("read word", 120));
  StageContext stage = context(std::chrono::minutes(5), cancel.get());
  const auto quiesced = quiescer->quiesce(stage);
  ASSERT_FALSE(quiesced);
  EXPECT_EQ(quiesced.error().message, "db: session command: " + path() + " was ended before it was done");
  StageContext end = context();
  EXPECT_TRUE(quiescer->release(end, Outcome::rolled_back));
}

TEST_F(CommandSession, ThatEndsBeforeItIsReadySaysWhy) {
  const auto quiescer = made(session("echo 'not primary' >&2; exit 3"));
  StageContext stage = context();
  const auto quiesced = quiescer->quiesce(stage);
  ASSERT_FALSE(quiesced);
  EXPECT_EQ(quiesced.error().message,
            "db: session command " + path() + " exited with status 3 (not primary) before it said READY");
  EXPECT_TRUE(quiescer->release(stage, Outcome::rolled_back)) << "there is nothing to release";
}

TEST_F(CommandSession, ThatPrintsGarbageOnlyFails) {
  const auto quiescer = made(session("head -c 300000 /dev/urandom; printf 'READYY\\nNOT READY\\n'"));
  StageContext stage = context();
  const auto quiesced = quiescer->quiesce(stage);
  ASSERT_FALSE(quiesced);
  EXPECT_THAT(quiesced.error().message, EndsWith("exited with status 0 (NOT READY) before it said READY"));
}

TEST_F(CommandSession, IsSeenToEndWhileItHolds) {
  const auto quiescer = held("echo READY; echo 'connection lost'; exit 4");
  EXPECT_TRUE(is_lost(*quiescer, fakes::kSoon));
  StageContext stage = context();
  const auto released = quiescer->release(stage, Outcome::completed);
  ASSERT_FALSE(released);
  EXPECT_EQ(released.error().message,
            "db: session command " + path() + " exited with status 4 (connection lost) while it was to hold");
  EXPECT_EQ(released.error().kind, ErrorKind::protection_lost);
}

TEST_F(CommandSession, IsLostAlsoWhenItEndsWell) {
  const auto quiescer = held("echo READY");
  EXPECT_TRUE(is_lost(*quiescer, fakes::kSoon));
  StageContext stage = context();
  EXPECT_FALSE(quiescer->release(stage, Outcome::completed));
}

TEST_F(CommandSession, ThatFailsToReleaseIsReported) {
  const auto quiescer = held("echo READY; read word; echo 'cannot unlock'; exit 5");
  StageContext stage = context();
  const auto released = quiescer->release(stage, Outcome::completed);
  ASSERT_FALSE(released);
  EXPECT_EQ(released.error().message,
            "db: session command " + path() + " exited with status 5 (cannot unlock) after THAW");
  EXPECT_EQ(released.error().kind, ErrorKind::failed);
}

TEST_F(CommandSession, ThatDoesNotListenIsKilledWithItsGroup) {
  const auto quiescer = held("trap '' TERM HUP; echo READY; sleep 1000 & sleep 1000", 1);
  StageContext stage = context();
  const auto begin = BootClock::now();
  const auto released = quiescer->release(stage, Outcome::completed);
  EXPECT_LT(BootClock::now() - begin, fakes::kSoon);
  ASSERT_FALSE(released);
  EXPECT_EQ(released.error().message,
            "db: session command, told THAW: " + path() + " did not end in time and was killed");
  EXPECT_TRUE(fakes::all_gone());
}

TEST_F(CommandSession, ReleasesWhenItsProcessDies) {
  const pid_t holder = fakes::start_child([&] {
    const auto quiescer = held("echo READY; cat; sleep 0.2; echo released >>" + log());
    scratch_.write("ready", "x");
    ::pause();
    return 0;
  });
  ASSERT_TRUE(eventually([&] { return content_of(scratch_ / "ready") == "x"; }));
  ::kill(holder, SIGKILL);
  EXPECT_EQ(fakes::status_of(holder), 128 + SIGKILL);
  EXPECT_TRUE(fakes::all_gone());
  EXPECT_EQ(content_of(log()), "released\n");
  StageContext stage = context();
  EXPECT_TRUE(made(session("exit 1"))->recover(stage, {})) << "nothing is run";
}

TEST_F(CommandSession, IsCheckedAsTheOthersAre) {
  Json::Object o = session("exit 0");
  ::chmod(path().c_str(), 0777);
  const auto quiescer = make(std::move(o));
  ASSERT_FALSE(quiescer);
  EXPECT_EQ(quiescer.error().message,
            "db: session: " + path() + " is writable by users other than root: chmod go-w " + path());
}

class CommandInAContainer : public CommandQuiescer {
 protected:
  static Json::Object options(const std::string& container, const std::string& program, Json::Object more = {}) {
    more.emplace_back("container", container);
    more.emplace_back("session", Json::Array{program});
    return more;
  }
};

TEST_F(CommandInAContainer, IsNotCheckedOnThisHost) {
  EXPECT_TRUE(make(options("web", "/nowhere/at/all")));
  const auto relative = make(options("web", "hold"));
  ASSERT_FALSE(relative);
  EXPECT_EQ(relative.error().message, "db: session: the program must be given by its absolute path, not 'hold'");
}

TEST_F(CommandInAContainer, HasAnAccountInNumbers) {
  EXPECT_TRUE(make(options("web", "/bin/hold", {{"os_user", "999:998"}})));
  const auto named = make(options("web", "/bin/hold", {{"os_user", "postgres"}}));
  ASSERT_FALSE(named);
  EXPECT_EQ(named.error().message,
            "db: os_user: with container it must be UID:GID in numbers, since the names of a container's accounts are "
            "its own affair; not 'postgres'");
}

TEST_F(CommandInAContainer, ThatIsNotThereDoesNotRun) {
  const auto quiescer = made(options("0123456789ab", "/bin/hold"));
  StageContext stage = context();
  const auto presence = quiescer->locate(stage);
  ASSERT_TRUE(presence);
  EXPECT_FALSE(presence->running);
  EXPECT_THAT(presence->detail, StartsWith("no process runs in the container 0123456789ab; "));
}

TEST_F(CommandInAContainer, ThatIsThisHostIsRefused) {
  const auto quiescer = made(options("pid:" + std::to_string(::getpid()), "/bin/hold"));
  StageContext stage = context();
  const auto presence = quiescer->locate(stage);
  ASSERT_FALSE(presence);
  EXPECT_EQ(presence.error().kind, ErrorKind::not_ready);
  EXPECT_THAT(presence.error().message, EndsWith(" is in no container: its mount namespace is this host's"));
}

TEST_F(CommandInAContainer, ThatHasEndedHasNothingToRecover) {
  const auto quiescer =
      made({{"container", "web"}, {"freeze", Json::Array{"/bin/freeze"}}, {"thaw", Json::Array{"/bin/thaw"}}});
  StageContext stage = context();
  const std::string own = std::to_string(::getpid());
  EXPECT_TRUE(
      quiescer->recover(stage, {{"container", "docker container 3f2a1b2c3d4e"}, {"container_process", own + "/1"}}))
      << "this process is a later one of that number";
  EXPECT_TRUE(quiescer->recover(stage, {{"container_process", "x"}}));
  EXPECT_TRUE(quiescer->recover(stage, {}));
}

}  // namespace
}  // namespace dlm_freeze::command
