// SPDX-License-Identifier: Apache-2.0
#include "dlm_freeze/quiesce/program.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "dlm_freeze/base/unique_fd.hpp"
#include "fakes/processes.hpp"
#include "fakes/scratch.hpp"

namespace dlm_freeze {
namespace {

using fakes::content_of;
using fakes::eventually;
using fakes::Scratch;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class Programs : public testing::Test {
 protected:
  Programs() { fakes::adopt_orphans(); }
  ~Programs() override { fakes::kill_descendants(); }

  [[nodiscard]] Result<ProgramResult> run(const std::string& body, Deadline deadline = Deadline::in(fakes::kSoon),
                                          int cancel_fd = -1) const {
    return run_program({{scratch_.script("program", body), "one", "two words"}, {"PATH=/usr/bin:/bin", "NAME=value"}},
                       {deadline, cancel_fd});
  }
  [[nodiscard]] std::string output_of(const std::string& body) const {
    const auto result = run(body);
    return result ? result->output : result.error().message;
  }

  /// Waits until the script has written its process id, and gives it.
  [[nodiscard]] static pid_t pid_in(const std::string& path) {
    EXPECT_TRUE(eventually([&] { return content_of(path).ends_with('\n'); })) << path;
    return std::atoi(content_of(path).c_str());
  }
  [[nodiscard]] static bool is_gone(pid_t pid) {
    return eventually([&] {
      fakes::reap_all();
      return ::kill(pid, 0) != 0;
    });
  }

  Scratch scratch_;
};

TEST_F(Programs, GiveTheirExitStatus) {
  EXPECT_EQ(run("exit 0")->exit_status, 0);
  EXPECT_EQ(run("exit 7")->exit_status, 7);
  EXPECT_EQ(run("kill -TERM $$")->exit_status, 128 + SIGTERM);
}

TEST_F(Programs, GiveWhatTheyPrintOnBothStreams) { EXPECT_EQ(output_of("echo out; echo err >&2"), "out\nerr\n"); }

TEST_F(Programs, GetTheirArgumentsAsTheyAre) {
  EXPECT_EQ(output_of(R"(printf '%s|' "$@")"), "one|two words|");
  const auto result = run_program({{"/bin/echo", "$HOME", "`id`", "; rm"}, {}}, {Deadline::in(fakes::kSoon)});
  EXPECT_EQ(result->output, "$HOME `id` ; rm\n") << "no shell";
}

TEST_F(Programs, HaveNoEnvironmentButTheirs) {
  const auto result = run_program({{"/usr/bin/env"}, {"A=1", "B=two words"}}, {Deadline::in(fakes::kSoon)});
  ASSERT_TRUE(result);
  EXPECT_EQ(result->output, "A=1\nB=two words\n");
}

TEST_F(Programs, ReadNothingAndRunInTheRoot) {
  EXPECT_EQ(output_of("wc -c; pwd"), "0\n/\n");
  EXPECT_EQ(output_of("readlink /proc/self/fd/0"), "/dev/null\n");
}

TEST_F(Programs, HaveNoOtherDescriptors) {
  const UniqueFd own(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  ::close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);  // Whatever the test itself was started with.
  EXPECT_EQ(output_of("ls /proc/self/fd | wc -l"), "4\n") << "0, 1, 2 and the directory itself";
}

TEST_F(Programs, BeginWithDefaultSignals) {
  const auto old = ::signal(SIGPIPE, SIG_IGN);
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  const std::string signals = output_of("grep -E 'SigBlk|SigIgn' /proc/self/status");
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  ::signal(SIGPIPE, old);
  EXPECT_EQ(signals, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

TEST_F(Programs, RunInAProcessGroupOfTheirOwn) {
  const std::string group = output_of("ps -o pgid= -p $$ | tr -d ' '; echo $$");
  const std::size_t line = group.find('\n');
  EXPECT_EQ(group.substr(0, line + 1), group.substr(line + 1));
}

TEST_F(Programs, ThatCannotBeExecutedSaySo) {
  const auto absent = run_program({{"/nowhere/program"}, {}}, {Deadline::in(fakes::kSoon)});
  ASSERT_TRUE(absent);
  EXPECT_EQ(absent->exit_status, 127);
  EXPECT_EQ(absent->output, "cannot be executed\n");
}

TEST_F(Programs, MayPrintMoreThanIsKeptOfWhichTheEndIsKeptToo) {
  const auto result = run("echo first; head -c 1000000 /dev/zero; echo; echo last; exit 3");
  ASSERT_TRUE(result);
  EXPECT_EQ(result->exit_status, 3);
  EXPECT_LT(result->output.size(), 17U * 1024U);
  EXPECT_THAT(result->output, StartsWith("first\n"));
  EXPECT_THAT(result->output, HasSubstr("bytes left out]\n"));
  EXPECT_EQ(last_line(result->output), "last");
}

TEST_F(Programs, FailAlsoWhenTheirCallerIgnoresTheEndOfItsChildren) {
  // Inherited across execve(2), as by a caller with trap '' CHLD.
  const auto before = ::signal(SIGCHLD, SIG_IGN);
  const auto failed = run("exit 7");
  const auto ended = run("exit 0");
  ::signal(SIGCHLD, before);
  for (const auto* result : {&failed, &ended}) {
    ASSERT_FALSE(*result);
    EXPECT_THAT(result->error().message, HasSubstr("program is not known"));
  }
}

TEST_F(Programs, AreKilledAlsoWhereTheyHaveStoppedWhatKeepsThem) {
  const std::string acted = scratch_ / "acted";
  const auto result = run("echo $$ >" + (scratch_ / "pid") + "; kill -STOP $PPID; sleep 2; touch " + acted,
                          Deadline::in(milliseconds(500)));
  ASSERT_FALSE(result);
  EXPECT_THAT(result.error().message, HasSubstr("did not end in time and was killed"));
  EXPECT_TRUE(is_gone(pid_in(scratch_ / "pid")));
  EXPECT_TRUE(fakes::all_gone());
  EXPECT_NE(::access(acted.c_str(), F_OK), 0);
}

TEST_F(Programs, AreKilledWithTheirWholeGroupAtTheDeadline) {
  const std::string pids = scratch_ / "pids";
  const auto begin = BootClock::now();
  const auto result =
      run("sleep 1000 & echo $! >" + pids + "; sleep 1000 | sleep 1000", Deadline::in(milliseconds(500)));
  EXPECT_LT(BootClock::now() - begin, fakes::kSoon);
  EXPECT_GE(BootClock::now() - begin, milliseconds(500));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().message, scratch_ / "program did not end in time and was killed");
  EXPECT_TRUE(is_gone(pid_in(pids)));
  EXPECT_TRUE(fakes::all_gone());
}

TEST_F(Programs, AreKilledWhenTheyAreCancelled) {
  const UniqueFd cancel(::eventfd(0, EFD_CLOEXEC));
  std::thread canceller([&] {
    static_cast<void>(pid_in(scratch_ / "pid"));
    ::eventfd_write(cancel.get(), 1);
  });
  const auto result = run("echo $$ >" + (scratch_ / "pid") + "; sleep 1000", Deadline::in(seconds(600)), cancel.get());
  canceller.join();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().message, scratch_ / "program was ended before it was done");
  EXPECT_TRUE(fakes::all_gone());
}

TEST_F(Programs, ThatIgnoreSigtermAreKilledAllTheSame) {
  EXPECT_FALSE(run("trap '' TERM INT HUP; sleep 1000; sleep 1000", Deadline::in(milliseconds(100))));
  EXPECT_TRUE(fakes::all_gone());
}

TEST_F(Programs, DoNotWaitForADaemonThatTheyLeaveBehind) {
  const auto begin = BootClock::now();
  const auto result = run("sleep 1000 & echo done");
  EXPECT_LT(BootClock::now() - begin, seconds(15));
  ASSERT_TRUE(result);
  EXPECT_EQ(result->output, "done\n");
  EXPECT_FALSE(fakes::descendants().empty());
}

TEST_F(Programs, GiveTheLastThingTheyPrintBeforeTheyEnd) {
  for (int i = 0; i < 20; ++i) ASSERT_EQ(output_of("echo first; echo last"), "first\nlast\n");
}

TEST_F(Programs, HaveNoTerminal) { EXPECT_THAT(output_of("(: </dev/tty) || echo none"), HasSubstr("none")); }

TEST_F(Programs, AreKilledWithTheirWholeGroupWhenTheProcessThatRunsThemDies) {
  const pid_t runner = fakes::start_child([&] {
    static_cast<void>(run("sleep 1000 & echo $! >" + (scratch_ / "pid") + "; wait"));
    return 0;
  });
  const pid_t second = pid_in(scratch_ / "pid");
  ::kill(runner, SIGKILL);
  EXPECT_EQ(fakes::status_of(runner), 128 + SIGKILL);
  EXPECT_TRUE(is_gone(second));
  EXPECT_TRUE(fakes::all_gone());
}

TEST_F(Programs, DieWithTheirKeeper) {
  const pid_t runner = fakes::start_child([&] { return run("exec sleep 1000")->exit_status; });
  std::optional<pid_t> keeper;
  EXPECT_TRUE(eventually([&] { return fakes::descendant("sleep") && (keeper = fakes::descendant("dlm-keeper")); }));
  ::kill(*keeper, SIGKILL);
  EXPECT_EQ(fakes::status_of(runner), 128 + SIGKILL);
  EXPECT_TRUE(fakes::all_gone());
}

TEST_F(Programs, WhoseKeeperWasStoppedEndAllTheSame) {
  const std::string go = scratch_ / "go";
  const pid_t runner =
      fakes::start_child([&] { return run("until [ -e " + go + " ]; do sleep 0.01; done")->exit_status; });
  std::optional<pid_t> keeper;
  EXPECT_TRUE(eventually([&] { return fakes::descendant("sleep") && (keeper = fakes::descendant("dlm-keeper")); }));
  ::kill(*keeper, SIGSTOP);
  std::ofstream(go).put('x');
  EXPECT_EQ(fakes::status_of(runner), 0);
}

TEST_F(Programs, LeaveNoDescriptorsOpen) {
  static_cast<void>(run("exit 0"));
  const std::size_t before = fakes::open_descriptors();
  static_cast<void>(run("exit 0"));
  static_cast<void>(run("sleep 1000", Deadline::in(milliseconds(50))));
  EXPECT_EQ(fakes::open_descriptors(), before);
}

TEST_F(Programs, DieWithTheProcessThatRunsThem) {
  const pid_t runner = fakes::start_child([&] {
    static_cast<void>(run("echo $$ >" + (scratch_ / "pid") + "; exec sleep 1000"));
    return 0;
  });
  const pid_t program = pid_in(scratch_ / "pid");
  ::kill(runner, SIGKILL);
  EXPECT_EQ(fakes::status_of(runner), 128 + SIGKILL);
  EXPECT_TRUE(is_gone(program));
}

/// Programs that are talked to.
class RunningPrograms : public Programs {
 protected:
  [[nodiscard]] RunningProgram start(const std::string& body, ProgramInput input = ProgramInput::pipe,
                                     BootClock::duration grace = seconds(0)) const {
    auto running =
        RunningProgram::start({{scratch_.script("program", body)}, {"PATH=/usr/bin:/bin"}, "", false}, input, grace);
    if (!running) throw std::runtime_error(running.error().message);
    return std::move(*running);
  }
  [[nodiscard]] static std::string line_of(RunningProgram& running) {
    const auto line = running.next_line({Deadline::in(fakes::kSoon)});
    if (!line) return line.error().message;
    return *line ? **line : "(ended)";
  }
  [[nodiscard]] static bool readable(int fd, milliseconds limit = fakes::kSoon) {
    pollfd event = {fd, POLLIN, 0};
    return ::poll(&event, 1, static_cast<int>(limit.count())) > 0;
  }
};

TEST_F(RunningPrograms, GiveTheirLinesOneByOne) {
  RunningProgram running = start("echo one; echo; printf 'two\nthree\nno end'");
  for (const char* line : {"one", "", "two", "three", "(ended)", "(ended)"}) EXPECT_EQ(line_of(running), line);
  const auto result = running.finish({Deadline::in(fakes::kSoon)});
  ASSERT_TRUE(result);
  EXPECT_EQ(result->output, "no end");
}

TEST_F(RunningPrograms, GoOnWhenNoLineComesInTime) {
  RunningProgram running = start("read word; echo $word");
  const auto line = running.next_line({Deadline::in(milliseconds(50))});
  ASSERT_FALSE(line);
  EXPECT_EQ(line.error().message, scratch_ / "program did not answer in time");
  EXPECT_FALSE(running.has_ended());
  running.send_last("hello\n");
  EXPECT_EQ(line_of(running), "hello");
}

TEST_F(RunningPrograms, CanBeGivenUpWhileTheyAreWaitedFor) {
  RunningProgram running = start("read word");
  const UniqueFd cancel(::eventfd(1, EFD_CLOEXEC));
  const auto line = running.next_line({Deadline::in(fakes::kSoon), cancel.get()});
  ASSERT_FALSE(line);
  EXPECT_EQ(line.error().message, scratch_ / "program was ended before it was done");
}

TEST_F(RunningPrograms, SeeTheEndOfTheirInput) {
  RunningProgram running = start("cat; echo over");
  running.send_last("last words\n");
  EXPECT_EQ(line_of(running), "last words");
  EXPECT_EQ(line_of(running), "over");
  EXPECT_EQ(running.finish({Deadline::in(fakes::kSoon)})->exit_status, 0);
}

TEST_F(RunningPrograms, ThatHaveEndedCanBeToldAnything) {
  RunningProgram running = start("exit 3");
  ASSERT_TRUE(readable(running.end_fd()));
  EXPECT_TRUE(running.has_ended());
  running.send_last("hello\n");
  EXPECT_EQ(running.finish({Deadline::in(fakes::kSoon)})->exit_status, 3);
}

TEST_F(RunningPrograms, OutliveTheThreadThatStartedThem) {
  std::optional<RunningProgram> running;
  std::thread([&] { running.emplace(start("read word; echo $word")); }).join();
  EXPECT_FALSE(readable(running->end_fd(), milliseconds(200)));
  running->send_last("hello\n");
  EXPECT_EQ(line_of(*running), "hello");
}

TEST_F(RunningPrograms, MayPrintWithoutAnybodyReading) {
  RunningProgram running = start("head -c 100000 /dev/zero; echo; echo over");
  EXPECT_LE(line_of(running).size(), 16U * 1024U) << "the end of a line too long";
  EXPECT_EQ(line_of(running), "over");
}

TEST_F(RunningPrograms, AreKilledWhenTheyDoNotEndInTime) {
  RunningProgram running = start("trap '' TERM; sleep 1000 & sleep 1000");
  const auto result = running.finish({Deadline::in(milliseconds(100))});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().message, scratch_ / "program did not end in time and was killed");
  EXPECT_TRUE(fakes::all_gone());
  running.kill();  // Nothing, the second time.
}

TEST_F(RunningPrograms, AreKilledWhenNobodyWantsThemAnyMore) {
  static_cast<void>(start("sleep 1000"));
  EXPECT_TRUE(fakes::all_gone());
}

TEST_F(RunningPrograms, MayEndByThemselvesWhenTheProcessThatRunsThemDies) {
  const pid_t runner = fakes::start_child([&] {
    RunningProgram running =
        start("echo ready; cat; sleep 0.2; echo released >" + (scratch_ / "log"), ProgramInput::pipe, fakes::kSoon);
    static_cast<void>(line_of(running));
    scratch_.write("ready", "x");
    ::pause();
    return 0;
  });
  ASSERT_TRUE(eventually([&] { return content_of(scratch_ / "ready") == "x"; }));
  ::kill(runner, SIGKILL);
  EXPECT_EQ(fakes::status_of(runner), 128 + SIGKILL);
  EXPECT_TRUE(fakes::all_gone());
  EXPECT_EQ(content_of(scratch_ / "log"), "released\n");
}

TEST_F(RunningPrograms, MaySayWhatTheyLikeThenAlthoughNobodyReads) {
  const pid_t runner = fakes::start_child([&] {
    RunningProgram running =
        start("cat; echo READY && echo released >" + (scratch_ / "log"), ProgramInput::pipe, fakes::kSoon);
    scratch_.write("ready", "x");
    ::pause();
    return 0;
  });
  ASSERT_TRUE(eventually([&] { return content_of(scratch_ / "ready") == "x"; }));
  ::kill(runner, SIGKILL);
  EXPECT_EQ(fakes::status_of(runner), 128 + SIGKILL);
  EXPECT_TRUE(fakes::all_gone());
  EXPECT_EQ(content_of(scratch_ / "log"), "released\n");
}

TEST_F(RunningPrograms, AreKilledWhenTheyDoNotEndThen) {
  const pid_t runner = fakes::start_child([&] {
    RunningProgram running = start("sleep 1000", ProgramInput::pipe, milliseconds(300));
    scratch_.write("ready", "x");
    ::pause();
    return 0;
  });
  ASSERT_TRUE(eventually([&] { return content_of(scratch_ / "ready") == "x"; }));
  const auto begin = BootClock::now();
  ::kill(runner, SIGKILL);
  EXPECT_EQ(fakes::status_of(runner), 128 + SIGKILL);
  EXPECT_TRUE(fakes::all_gone());
  EXPECT_GE(BootClock::now() - begin, milliseconds(250));
}

/// Accounts that there are only here: in a mount namespace of its own with an /etc/passwd and /etc/group of its own.
class ProgramsOfAnAccount : public Programs {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "only root can run programs as somebody else";
    if (::unshare(CLONE_NEWNS) != 0) GTEST_SKIP() << "no mount namespace can be had here";
    ASSERT_EQ(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    ::chmod(scratch_.path().c_str(), 0755);
    const std::string home = scratch_ / "home";
    scratch_.write("home/.profile", "echo welcome; PATH=/of/the/profile:$PATH; export OF_PROFILE='a b'\n");
    scratch_.write("home/.cshrc", "setenv OF_PROFILE 'a b'\n");
    scratch_.write("home/.login", "echo welcome; setenv PATH /of/the/profile:$PATH\n");
    cover("/etc/passwd", "root:x:0:0::/root:/bin/sh\n" + account("dash", "/bin/sh") + account("bash", "/bin/bash") +
                             account("csh", "/bin/csh") + account("daemon", "/usr/sbin/nologin"));
    cover("/etc/group", "root:x:0:\nowners:x:4711:\nothers:x:4712:dash,bash\n");
  }
  void TearDown() override {
    for (const std::string& path : covered_) ::umount(path.c_str());
  }

  [[nodiscard]] Result<ProgramResult> run_as(const std::string& user, bool login, const std::string& body,
                                             std::vector<std::string> environment = {}) const {
    return run_program({{scratch_.script("program", body), "a b", "", "$HOME", "'`\"\\!", "*", "two\nlines", "-n"},
                        std::move(environment),
                        user,
                        login},
                       {Deadline::in(fakes::kSoon)});
  }
  [[nodiscard]] std::string output_as(const std::string& user, bool login, const std::string& body) const {
    const auto result = run_as(user, login, body);
    return result ? result->output : result.error().message;
  }

 private:
  [[nodiscard]] std::string account(const std::string& name, const std::string& shell) const {
    return name + ":x:4710:4711::" + (scratch_ / "home") + ":" + shell + "\n";
  }
  void cover(const std::string& path, const std::string& content) {
    const std::string own = scratch_.write("etc/" + path.substr(path.rfind('/') + 1), content);
    ASSERT_EQ(::mount(own.c_str(), path.c_str(), nullptr, MS_BIND, nullptr), 0);
    covered_.push_back(path);
  }
  std::vector<std::string> covered_;
};

TEST_F(ProgramsOfAnAccount, HaveItsIdsAndGroups) {
  EXPECT_EQ(output_as("dash", false, "id -u; id -g; id -G"), "4710\n4711\n4711 4712\n");
  EXPECT_EQ(output_as("dash", false, "grep -E '^Cap(Prm|Eff)' /proc/self/status | sort -u"),
            "CapEff:\t0000000000000000\nCapPrm:\t0000000000000000\n");
}

TEST_F(ProgramsOfAnAccount, HaveItsEnvironment) {
  EXPECT_EQ(output_as("dash", false, "env | grep -v ^PWD= | sort"),
            "HOME=" + (scratch_ / "home") +
                "\nLOGNAME=dash\nPATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nSHELL=/bin/sh\n"
                "USER=dash\n");
  EXPECT_EQ(run_as("dash", false, "echo $HOME $X", {"HOME=/elsewhere", "X=y"})->output, "/elsewhere y\n");
}

TEST_F(ProgramsOfAnAccount, CanOpenTheirStandardStreamsByName) {
  EXPECT_EQ(output_as("dash", false, "echo out >/dev/stdout; echo err >/dev/stderr"), "out\nerr\n");
  struct stat null {};
  ASSERT_EQ(::stat("/dev/null", &null), 0);
  EXPECT_EQ(null.st_uid, 0U) << "not to be given away";
}

TEST_F(ProgramsOfAnAccount, ThatDoesNotExistSaySo) {
  EXPECT_EQ(output_as("hdbadm", true, "exit 0"), "there is no account 'hdbadm' on this host");
}

TEST_F(ProgramsOfAnAccount, HaveItsProfileAfterALogin) {
  for (const char* user : {"dash", "bash", "csh"}) {
    if (user == std::string("csh") && ::access("/bin/csh", X_OK) != 0) continue;
    const std::string output = output_as(user, true, "echo \"$USER $OF_PROFILE ${PATH%%:*}\"");
    EXPECT_EQ(output, std::string("welcome\n") + user + " a b /of/the/profile\n");
  }
}

TEST_F(ProgramsOfAnAccount, GetTheirArgumentsAsTheyAreAfterALogin) {
  for (const char* user : {"dash", "bash", "csh"}) {
    if (user == std::string("csh") && ::access("/bin/csh", X_OK) != 0) continue;
    const std::string output = output_as(user, true, R"(printf '%s|' "$@")");
    EXPECT_EQ(output, "welcome\na b||$HOME|'`\"\\!|*|two\nlines|-n|") << user;
  }
}

TEST_F(ProgramsOfAnAccount, GiveTheirExitStatusAfterALogin) {
  EXPECT_EQ(run_as("bash", true, "exit 5")->exit_status, 5);
  EXPECT_EQ(run_as("bash", true, "kill -TERM $$")->exit_status, 128 + SIGTERM);
}

TEST_F(ProgramsOfAnAccount, WithoutALoginShellRunWithoutAProfile) {
  EXPECT_EQ(output_as("daemon", true, "echo \"$USER $OF_PROFILE\""), "daemon \n");
}

TEST_F(ProgramsOfAnAccount, AreKilledAtTheDeadline) {
  const auto result = run_program({{scratch_.script("program", "sleep 1000 & sleep 1000")}, {}, "bash", true},
                                  {Deadline::in(milliseconds(500))});
  EXPECT_FALSE(result);
  EXPECT_TRUE(fakes::all_gone());
}

TEST_F(ProgramsOfAnAccount, DieWithTheirKeeper) {
  const pid_t runner = fakes::start_child([&] { return run_as("dash", true, "exec sleep 1000")->exit_status; });
  std::optional<pid_t> keeper;
  EXPECT_TRUE(eventually([&] { return fakes::descendant("sleep") && (keeper = fakes::descendant("dlm-keeper")); }));
  ::kill(*keeper, SIGKILL);
  EXPECT_EQ(fakes::status_of(runner), 128 + SIGKILL);
  EXPECT_TRUE(fakes::all_gone());
}

TEST(LastLine, IsTheLastThatIsNotBlank) {
  EXPECT_EQ(last_line("one\ntwo\n"), "two");
  EXPECT_EQ(last_line("one\ntwo \t\r\n\n  \n"), "two");
  EXPECT_EQ(last_line("one"), "one");
  EXPECT_EQ(last_line("\n\none\n"), "one");
  EXPECT_EQ(last_line(""), "");
  EXPECT_EQ(last_line(" \n\n"), "");
}

}  // namespace
}  // namespace dlm_freeze
