// SPDX-License-Identifier: Apache-2.0
#include "record/state_directory.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <optional>
#include <string>

#include "fakes/processes.hpp"
#include "fakes/scratch.hpp"

namespace dlm_freeze {
namespace {

using fakes::Scratch;
using Lock = StateDirectory::Lock;
using std::chrono::milliseconds;
using testing::AllOf;
using testing::HasSubstr;

class StateDirectories : public testing::Test {
 protected:
  [[nodiscard]] std::string path() const { return scratch_ / "state"; }
  [[nodiscard]] StateDirectory open() const { return std::move(StateDirectory::open(path(), true).value()); }
  [[nodiscard]] std::string complaint(bool create = true) const {
    const auto state = StateDirectory::open(path(), create);
    return state ? "" : state.error().message;
  }

  Scratch scratch_;
};

// The directory.

TEST_F(StateDirectories, AreMadeForTheirOwnerOnly) {
  ::umask(0);
  const StateDirectory state = open();
  ::umask(022);
  struct stat info {};
  ASSERT_EQ(::stat(path().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0700U);
  EXPECT_EQ(state.path(), path());
}

TEST_F(StateDirectories, AreNotMadeUnlessThatIsAskedFor) {
  const auto state = StateDirectory::open(path(), false);
  ASSERT_FALSE(state);
  EXPECT_EQ(state.error().errno_value, ENOENT);
  EXPECT_FALSE(std::filesystem::exists(path()));
}

TEST_F(StateDirectories, MayBeThereAlready) {
  static_cast<void>(open());
  EXPECT_EQ(complaint(true), "");
  EXPECT_EQ(complaint(false), "");
}

TEST_F(StateDirectories, AreRefusedWhenTheyAreASymbolicLink) {
  std::filesystem::create_directory(scratch_ / "elsewhere");
  std::filesystem::create_symlink(scratch_ / "elsewhere", path());
  EXPECT_EQ(complaint(), "the state directory " + path() + " is a symbolic link or a file: remove it");
  EXPECT_TRUE(std::filesystem::is_empty(scratch_ / "elsewhere"));
}

TEST_F(StateDirectories, AreRefusedWhenTheyAreAFile) {
  scratch_.write("state", "");
  EXPECT_EQ(complaint(), "the state directory " + path() + " is a symbolic link or a file: remove it");
}

TEST_F(StateDirectories, AreRefusedWhenOthersMayWriteThere) {
  static_cast<void>(open());
  for (const mode_t mode : {0770U, 0707U, 01777U}) {
    ::chmod(path().c_str(), mode);
    EXPECT_THAT(complaint(), HasSubstr("could be changed by others"));
  }
}

TEST_F(StateDirectories, AreRefusedWhenTheyBelongToSomebodyElse) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs to give it away";
  static_cast<void>(open());
  ASSERT_EQ(::chown(path().c_str(), 65534, 0), 0);
  EXPECT_THAT(complaint(), HasSubstr("it must belong to uid 0"));
}

TEST_F(StateDirectories, CannotBeMadeWhereThereIsNoRun) {
  const auto state = StateDirectory::open("/nowhere/state", true);
  ASSERT_FALSE(state);
  EXPECT_THAT(state.error().message, AllOf(HasSubstr("/nowhere/state"), HasSubstr("No such file")));
}

TEST_F(StateDirectories, AreClosedOnExec) { EXPECT_EQ(::fcntl(open().fd(), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC); }

// The lock.

using Held = std::optional<UniqueFd>;

TEST_F(StateDirectories, HaveOneLock) {
  const StateDirectory state = open();
  EXPECT_FALSE(*state.is_locked());
  Held lock = std::move(state.try_lock(Lock::session).value());
  ASSERT_TRUE(lock);
  EXPECT_TRUE(*state.is_locked());
  EXPECT_FALSE(state.try_lock(Lock::session).value()) << "not even to the same process";
  lock.reset();
  EXPECT_FALSE(*state.is_locked());
  EXPECT_TRUE(state.try_lock(Lock::session).value());
}

TEST_F(StateDirectories, DoNotTakeTheLockByAskingForIt) {
  const StateDirectory state = open();
  const Held lock = std::move(state.try_lock(Lock::session).value());
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(*state.is_locked());
  EXPECT_EQ(fakes::in_child([&] { return *StateDirectory::open(path(), false)->is_locked() ? 0 : 1; }), 0);
  EXPECT_TRUE(*state.is_locked());
}

TEST_F(StateDirectories, DoNotLoseTheLockWhenAnotherDescriptorOnItsFileIsClosed) {
  // Which is what happens to the process-wide locks of POSIX.
  const StateDirectory state = open();
  const Held lock = std::move(state.try_lock(Lock::session).value());
  { const UniqueFd other(::open((path() + "/lock").c_str(), O_RDWR | O_CLOEXEC)); }
  EXPECT_TRUE(*state.is_locked());
}

TEST_F(StateDirectories, AreNotLockedBeforeThereWasALock) {
  const StateDirectory state = open();
  EXPECT_FALSE(*state.is_locked());
  EXPECT_TRUE(std::filesystem::is_empty(path())) << "asking leaves nothing behind";
}

TEST_F(StateDirectories, StayLockedByAForkedProcessUntilThatEnds) {
  const StateDirectory state = open();
  Held lock = std::move(state.try_lock(Lock::session).value());
  const pid_t child = fakes::start_child([] {
    for (;;) ::pause();
    return 0;
  });
  lock.reset();
  EXPECT_TRUE(*state.is_locked());
  EXPECT_FALSE(state.try_lock(Lock::session).value());
  ::kill(child, SIGKILL);
  ASSERT_EQ(fakes::status_of(child), 128 + SIGKILL);
  EXPECT_FALSE(*state.is_locked());
}

TEST_F(StateDirectories, HaveAnotherLockForTheFreezer) {
  const StateDirectory state = open();
  const Held freezer = std::move(state.try_lock(Lock::freezer).value());
  ASSERT_TRUE(freezer);
  EXPECT_FALSE(*state.is_locked()) << "that is the session's";
  EXPECT_TRUE(state.try_lock(Lock::session).value());
  EXPECT_FALSE(state.try_lock(Lock::freezer).value());
}

TEST_F(StateDirectories, CanBeLockedThroughAFileThatWasOpenedBefore) {
  const StateDirectory state = open();
  UniqueFd one = std::move(state.open_lock(Lock::session).value());
  const UniqueFd two = std::move(state.open_lock(Lock::session).value());
  EXPECT_FALSE(*state.is_locked());
  EXPECT_TRUE(StateDirectory::take(one.get()));
  EXPECT_TRUE(StateDirectory::take(one.get())) << "it has it already";
  EXPECT_FALSE(StateDirectory::take(two.get()));
  one.reset();
  EXPECT_TRUE(StateDirectory::take(two.get()));
}

TEST_F(StateDirectories, AreLockedByOneOfTwoProcesses) {
  static_cast<void>(open());
  for (int round = 0; round < 20; ++round) {
    const auto try_it = [&] {
      const StateDirectory state = open();
      const Held lock = std::move(state.try_lock(Lock::session).value());
      // Holds it until the other one has tried.
      ::usleep(20'000);
      return lock ? 1 : 2;
    };
    const pid_t one = fakes::start_child(try_it);
    const pid_t two = fakes::start_child(try_it);
    const int sum = fakes::status_of(one) + fakes::status_of(two);
    EXPECT_TRUE(sum == 3 || sum == 2) << sum;  // 2: one was done before the other began.
  }
}

TEST_F(StateDirectories, AreWaitedForUntilTheDeadline) {
  const StateDirectory state = open();
  const Held lock = std::move(state.try_lock(Lock::session).value());
  const auto begin = BootClock::now();
  const auto waited = state.lock_by(Lock::session, Deadline::in(milliseconds(300)));
  ASSERT_TRUE(waited) << waited.error().message;
  EXPECT_FALSE(*waited);
  EXPECT_GE(BootClock::now() - begin, milliseconds(300));
  EXPECT_LT(BootClock::now() - begin, fakes::kSoon);
}

TEST_F(StateDirectories, AreAskedForOnceWhenTheDeadlineHasPassed) {
  const StateDirectory state = open();
  EXPECT_TRUE(state.lock_by(Lock::session, Deadline::in(milliseconds(-5))).value());
  const Held lock = std::move(state.try_lock(Lock::session).value());
  ASSERT_TRUE(lock);
  EXPECT_FALSE(state.lock_by(Lock::session, Deadline::in(milliseconds(-5))).value());
}

TEST_F(StateDirectories, AreLockedAsSoonAsTheLockIsFree) {
  const StateDirectory state = open();
  Held lock = std::move(state.try_lock(Lock::session).value());
  const pid_t holder = fakes::start_child([] {
    ::usleep(200'000);
    return 0;
  });
  lock.reset();
  const auto begin = BootClock::now();
  const Held got = std::move(state.lock_by(Lock::session, Deadline::in(std::chrono::minutes(5))).value());
  EXPECT_TRUE(got);
  EXPECT_LT(BootClock::now() - begin, fakes::kSoon);
  EXPECT_EQ(fakes::status_of(holder), 0);
}

TEST_F(StateDirectories, LeaveSigalrmAsItWas) {
  const StateDirectory state = open();
  const auto old = ::signal(SIGALRM, SIG_IGN);
  static_cast<void>(state.lock_by(Lock::session, Deadline::in(milliseconds(1))));
  EXPECT_EQ(::signal(SIGALRM, old), SIG_IGN);
  itimerval timer{};
  ASSERT_EQ(::getitimer(ITIMER_REAL, &timer), 0);
  EXPECT_EQ(timer.it_value.tv_sec + timer.it_value.tv_usec, 0);
}

// A signal mask is inherited over exec: a caller may have blocked it.
TEST_F(StateDirectories, DoNotWaitForEverWhereSigalrmIsBlocked) {
  const StateDirectory state = open();
  const Held lock = std::move(state.try_lock(Lock::session).value());
  const pid_t waiting = fakes::start_child([&] {
    sigset_t all;
    ::sigfillset(&all);
    ::sigprocmask(SIG_SETMASK, &all, nullptr);
    return state.lock_by(Lock::session, Deadline::in(milliseconds(100))).value() ? 1 : 0;
  });
  EXPECT_EQ(fakes::status_of(waiting, std::chrono::seconds(5)), 0);
  ::kill(waiting, SIGKILL);
}

TEST_F(StateDirectories, DoNotFollowASymbolicLinkInPlaceOfTheLock) {
  const StateDirectory state = open();
  const std::string victim = scratch_.write("victim", "precious");
  std::filesystem::create_symlink(victim, path() + "/lock");
  EXPECT_FALSE(state.try_lock(Lock::session));
  EXPECT_FALSE(state.is_locked());
  EXPECT_EQ(fakes::content_of(victim), "precious");
}

// The record.

TEST_F(StateDirectories, HaveNoRecordAtFirst) {
  const auto record = open().read_record();
  ASSERT_TRUE(record) << record.error().message;
  EXPECT_FALSE(*record);
}

TEST_F(StateDirectories, KeepARecord) {
  const StateDirectory state = open();
  SessionRecord record;
  record.execution_id = "first";
  ASSERT_TRUE(state.write_record(record));
  record.execution_id = "second";
  ASSERT_TRUE(state.write_record(record));
  EXPECT_EQ((*state.read_record())->execution_id, "second");
}

TEST_F(StateDirectories, ReplaceTheRecordByAFileThatWasMadeReady) {
  const StateDirectory state = open();
  SessionRecord record;
  record.execution_id = "old";
  ASSERT_TRUE(state.write_record(record));
  auto file = state.new_record_file("slot", 10'000);
  ASSERT_TRUE(file) << file.error().message;
  record.execution_id = "new";
  EXPECT_EQ((*state.read_record())->execution_id, "old");
  ASSERT_TRUE(file->commit(record.to_json().dump()));
  EXPECT_EQ((*state.read_record())->execution_id, "new");
}

TEST_F(StateDirectories, MakeRecordFilesReadyWithoutReservingAnything) {
  const StateDirectory state = open();
  const auto file = state.new_record_file("slot");
  EXPECT_TRUE(file) << file.error().message;
}

TEST_F(StateDirectories, NameTheFileThatIsDamaged) {
  const StateDirectory state = open();
  scratch_.write("state/session.json", "{\"version\": 1,");
  const auto cut = state.read_record();
  ASSERT_FALSE(cut);
  EXPECT_THAT(cut.error().message, HasSubstr(path() + "/session.json: line 1: "));
  scratch_.write("state/session.json", "{\"version\": 99}");
  const auto future = state.read_record();
  ASSERT_FALSE(future);
  EXPECT_THAT(future.error().message, HasSubstr(path() + "/session.json: the record of the session is of version 99"));
}

// The socket.

TEST_F(StateDirectories, HaveASocketThatConnectsWhileSomebodyListens) {
  const StateDirectory state = open();
  EXPECT_EQ(state.connect(Deadline::in(fakes::kSoon)).error().errno_value, ENOENT);
  {
    const auto listener = state.listen();
    ASSERT_TRUE(listener) << listener.error().message;
    const auto client = state.connect(Deadline::in(fakes::kSoon));
    ASSERT_TRUE(client) << client.error().message;
    const UniqueFd server(::accept4(listener->get(), nullptr, nullptr, SOCK_CLOEXEC));
    EXPECT_TRUE(server);
    EXPECT_EQ(::send(client->get(), "one", 3, 0), 3);
    EXPECT_EQ(::send(client->get(), "two", 3, 0), 3);
    char buffer[10];
    EXPECT_EQ(::recv(server.get(), buffer, sizeof buffer, 0), 3) << "a packet at a time";
  }
  EXPECT_EQ(state.connect(Deadline::in(fakes::kSoon)).error().errno_value, ECONNREFUSED);
  EXPECT_TRUE(state.listen()) << "over what is left of the last one";
}

TEST_F(StateDirectories, HaveASocketHoweverLongTheirPathIs) {
  const std::string deep = scratch_ / (std::string(120, 'a') + "/" + std::string(120, 'b'));
  std::filesystem::create_directories(deep);
  const auto state = StateDirectory::open(deep + "/state", true);
  ASSERT_TRUE(state);
  const auto listener = state->listen();
  ASSERT_TRUE(listener) << listener.error().message;
  EXPECT_TRUE(state->connect(Deadline::in(fakes::kSoon)));
}

}  // namespace
}  // namespace dlm_freeze
