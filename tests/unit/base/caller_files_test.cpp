// SPDX-License-Identifier: Apache-2.0
#include "base/caller_files.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

#include <chrono>
#include <string>

#include "base/process.hpp"
#include "fakes/processes.hpp"
#include "fakes/scratch.hpp"

namespace dlm_freeze {
namespace {

using fakes::content_of;
using fakes::in_child;

constexpr auto kPatience = std::chrono::seconds(10);

/// As a shell's `>file`.
bool redirect(int fd, const std::string& path) {
  return ::dup2(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600), fd) == fd;
}

bool say(const std::string& text) { return ::write(STDOUT_FILENO, text.data(), text.size()) > 0; }

/// Only what a test opens is a file: a runner may have left some.
void close_stdio_of_test() {
  const int null = ::open("/dev/null", O_RDWR);
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::dup2(null, fd);
  close_from(STDERR_FILENO + 1);
}

class CallersFiles : public testing::Test {
 protected:
  fakes::Scratch scratch_;
  std::string log_ = scratch_ / "log";
};

TEST_F(CallersFiles, HaveWhatWasWrittenOnceItIsFlushed) {
  EXPECT_EQ(in_child([&] {
              if (!redirect(STDOUT_FILENO, log_)) return 1;
              CallerFiles files(kPatience);
              files.hand_over();
              if (!say("one") || !say(" two")) return 2;
              files.flush();
              return content_of(log_) == "one two" ? 0 : 3;
            }),
            0);
}

TEST_F(CallersFiles, WaitWhileTheyArePausedForWhoeverHasTheLease) {
  EXPECT_EQ(in_child([&] {
              if (!redirect(STDOUT_FILENO, log_)) return 1;
              CallerFiles files(kPatience);
              files.hand_over();
              files.pause();
              if (!say("held")) return 2;
              const UniqueFd lease(::dup(files.lease().get()));
              // As pre-script does when it exits.
              files.lease().reset();
              for (const int fd : {STDOUT_FILENO, STDERR_FILENO}) ::close(fd);
              if (fakes::eventually([&] { return !content_of(log_).empty(); }, std::chrono::milliseconds(100)))
                return 3;
              ::close(lease.get());
              return fakes::eventually([&] { return content_of(log_) == "held"; }) ? 0 : 4;
            }),
            0);
}

TEST_F(CallersFiles, GoOnWhereNothingIsHeld) {
  EXPECT_EQ(in_child([&] {
              if (!redirect(STDOUT_FILENO, log_)) return 1;
              CallerFiles files(kPatience);
              files.hand_over();
              files.pause();
              if (!say("undone")) return 2;
              files.go_on();
              files.flush();
              return content_of(log_) == "undone" ? 0 : 3;
            }),
            0);
}

TEST_F(CallersFiles, ThatAreNotWrittenAreHeldByNobodyOnceTheyAreClosed) {
  EXPECT_EQ(in_child([&] {
              close_stdio_of_test();
              const int lock = ::open(log_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
              if (::dup2(lock, 7) != 7 || ::flock(lock, LOCK_EX) != 0 || ::close(lock) != 0) return 1;
              CallerFiles files(kPatience);
              files.hand_over();
              const UniqueFd other(::open(log_.c_str(), O_RDWR | O_CLOEXEC));
              if (::flock(other.get(), LOCK_EX | LOCK_NB) == 0) return 2;
              files.close();
              return ::flock(other.get(), LOCK_EX | LOCK_NB) == 0 ? 0 : 3;
            }),
            0);
}

TEST_F(CallersFiles, AreNoPipes) {
  EXPECT_EQ(in_child([&] {
              close_stdio_of_test();
              CallerFiles files(kPatience);
              files.hand_over();
              files.flush();
              return files.outputs().empty() && !files.lease() ? 0 : 1;
            }),
            0);
}

}  // namespace
}  // namespace dlm_freeze
