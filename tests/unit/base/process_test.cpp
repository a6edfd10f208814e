// SPDX-License-Identifier: Apache-2.0
#include "base/process.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <memory>
#include <string>
#include <thread>

#include "base/wait.hpp"
#include "fakes/older_kernel.hpp"
#include "fakes/processes.hpp"
#include "fakes/scratch.hpp"

namespace dlm_freeze {
namespace {

using fakes::in_child;

/// From now on the kernel does not know close_range(2), or does not allow it.
bool deny_close_range(int error) { return fakes::deny_calls(fakes::kCloseRange, fakes::kCloseRange, error); }

bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

/// Opens a few hundred with gaps between; gives 0 when close_all_but closes what it should.
int open_and_close() {
  for (int fd = 10; fd < 800; fd += 3) ::dup2(STDERR_FILENO, fd);
  close_all_but({799, 13, 400, -1, 16});
  for (int fd = 3; fd < 1000; ++fd) {
    const bool is_kept = fd == 13 || fd == 16 || fd == 400 || fd == 799;
    if (is_open(fd) != is_kept) return 1;
  }
  return is_open(STDERR_FILENO) ? 0 : 2;
}

TEST(CloseAllBut, ClosesAllBut) { EXPECT_EQ(in_child(open_and_close), 0); }

TEST(CloseAllBut, DoesSoWithoutCloseRange) {
  for (const int error : {ENOSYS, EPERM}) {
    EXPECT_EQ(in_child([error] { return deny_close_range(error) ? open_and_close() : 9; }), 0) << error;
  }
}

TEST(CloseAllBut, ClosesWhatTheThreadHasToItselfWithoutCloseRange) {
  EXPECT_EQ(in_child([] {
              if (!deny_close_range(ENOSYS)) return 9;
              ::dup2(STDERR_FILENO, 500);
              int status = 8;
              std::thread([&] {
                if (::unshare(CLONE_FILES) != 0) return;
                ::dup2(STDERR_FILENO, 600);
                close_all_but({});
                status = is_open(500) || is_open(600) ? 1 : 0;
              }).join();
              return status != 0 ? status : (is_open(500) ? 0 : 2);
            }),
            0);
}

TEST(CloseAllBut, FindsDescriptorsAboveALimitThatWasLoweredSinceWithoutCloseRange) {
  EXPECT_EQ(in_child([] {
              if (!deny_close_range(ENOSYS)) return 9;
              ::dup2(STDERR_FILENO, 900);
              rlimit limit{};
              ::getrlimit(RLIMIT_NOFILE, &limit);
              limit.rlim_cur = 10;
              ::setrlimit(RLIMIT_NOFILE, &limit);
              close_from(3);
              return is_open(900) ? 1 : 0;
            }),
            0);
}

TEST(CloseAllBut, NeedsNoDescriptorOfItsOwnWithoutCloseRange) {
  EXPECT_EQ(in_child([] {
              if (!deny_close_range(ENOSYS)) return 9;
              rlimit limit{};
              ::getrlimit(RLIMIT_NOFILE, &limit);
              limit.rlim_cur = 50;
              ::setrlimit(RLIMIT_NOFILE, &limit);
              while (::dup(STDERR_FILENO) >= 0) {
              }
              close_from(3);
              for (int fd = 3; fd < 50; ++fd) {
                if (is_open(fd)) return 1;
              }
              return 0;
            }),
            0);
}

TEST(CloseAllBut, WorksInTheChildOfAProcessWithThreadsWithoutCloseRange) {
  EXPECT_EQ(in_child([] {
              if (!deny_close_range(ENOSYS)) return 9;
              // One thread keeps the allocator's locks busy all the time; whoever allocates after the fork may hang.
              std::atomic<bool> is_over{false};
              std::thread allocating([&] {
                while (!is_over) std::string(100'000, 'x').swap(*std::make_unique<std::string>());
              });
              int status = 0;
              for (int i = 0; i < 50 && status == 0; ++i) {
                const pid_t child = ::fork();
                if (child == 0) {
                  for (int fd = 10; fd < 300; fd += 3) ::dup2(STDERR_FILENO, fd);
                  close_from(5);
                  ::_exit(is_open(13) || is_open(298) || !is_open(STDERR_FILENO) ? 1 : 0);
                }
                status = fakes::status_of(child);
              }
              is_over = true;
              allocating.join();
              return status;
            }),
            0);
}

TEST(CloseAllBut, ClosesThousandsWithoutCloseRange) {
  EXPECT_EQ(in_child([] {
              if (!deny_close_range(ENOSYS)) return 9;
              if (!raise_descriptor_limit(4096)) return 0;
              for (int fd = 3; fd < 4096; ++fd) ::dup2(STDERR_FILENO, fd);
              close_all_but({3, 4, 5, 2000, 4095});
              int left = 0;
              for (int fd = 3; fd < 4096; ++fd) left += is_open(fd) ? 1 : 0;
              return left == 5 && is_open(3) && is_open(5) && is_open(2000) && is_open(4095) ? 0 : 1;
            }),
            0);
}

TEST(DescriptorLimit, IsRaisedAsFarAsItMay) {
  EXPECT_EQ(in_child([] {
              rlimit limit{};
              ::getrlimit(RLIMIT_NOFILE, &limit);
              limit.rlim_cur = 20;
              ::setrlimit(RLIMIT_NOFILE, &limit);
              if (!raise_descriptor_limit(100)) return 1;
              ::getrlimit(RLIMIT_NOFILE, &limit);
              if (limit.rlim_cur != 100) return 2;
              if (!raise_descriptor_limit(50)) return 3;
              ::getrlimit(RLIMIT_NOFILE, &limit);
              return limit.rlim_cur == 100 ? 0 : 4;  // Never lowered.
            }),
            0);
}

TEST(DescriptorLimit, SaysWhenTheHardLimitIsInTheWay) {
  EXPECT_EQ(in_child([] {
              const rlimit low = {20, 30};
              ::setrlimit(RLIMIT_NOFILE, &low);
              rlimit limit{};
              const bool is_raised = raise_descriptor_limit(100);
              ::getrlimit(RLIMIT_NOFILE, &limit);
              return limit.rlim_cur == (is_raised ? 100U : 30U) ? 0 : 1;  // It depends on CAP_SYS_RESOURCE.
            }),
            0);
}

TEST(Background, LeavesNoCoreDumpAndSaysWhatItCouldNotHave) {
  EXPECT_EQ(in_child([] {
              const bool may_spare = set_oom_score("-1000");
              const auto missing = become_background("dlm-test", {});
              if (::prctl(PR_GET_DUMPABLE) != 0) return 1;
              if (missing.empty() != may_spare) return 2;
              return missing.empty() || missing[0].find("dlm-test is not spared by the OOM killer: ") == 0 ? 0 : 3;
            }),
            0);
}

TEST(Background, LeavesTheCallersStdioAlsoWithoutANullDevice) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs chroot";
  const fakes::Scratch scratch;
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  const UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  std::array<int, 2> hold{};
  ASSERT_EQ(::pipe2(hold.data(), O_CLOEXEC), 0);
  const UniqueFd held(hold[0]);
  UniqueFd holder(hold[1]);
  const pid_t child = fakes::start_child([&] {
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::dup2(writer.get(), fd);
    if (::chroot(scratch.path().c_str()) != 0) return 1;
    become_background("dlm-test", {held.get()});
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
      if (::write(fd, "x", 1) != -1 || ::fcntl(fd, F_GETFD) < 0) return 2;
    }
    char byte = 0;
    return ::read(held.get(), &byte, 1) == 0 ? 0 : 3;
  });
  writer.reset();
  EXPECT_TRUE(wait_readable(reader.get(), Deadline::in(fakes::kSoon))) << "the end of file, while the child lives";
  EXPECT_EQ(::waitpid(child, nullptr, WNOHANG), 0);
  holder.reset();
  EXPECT_EQ(fakes::status_of(child), 0);
}

TEST(ProcessStats, AreReadWhateverTheProcessIsCalled) {
  const std::string stat =
      "1234 (a) b (c)) S 77 1234 1234 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 3 0 987654 4096 1 18446744073709551615 1";
  const auto process = parse_stat(stat);
  ASSERT_TRUE(process);
  EXPECT_EQ(process->state, 'S');
  EXPECT_EQ(process->parent, 77);
  EXPECT_EQ(process->started, 987654U);
  EXPECT_EQ(process->threads, 3);
  EXPECT_FALSE(process->has_ended());
  EXPECT_FALSE(ProcessStat({'Z', 1, 2, 3}).has_ended()) << "another thread goes on";
  EXPECT_TRUE(ProcessStat({'Z', 1, 1, 3}).has_ended());
  EXPECT_TRUE(ProcessStat({'X', 1, 0, 3}).has_ended());
  EXPECT_FALSE(parse_stat(""));
  EXPECT_FALSE(parse_stat("1234 (a) S 77"));
  EXPECT_FALSE(parse_stat(stat.substr(0, stat.find("987654"))));
}

/// A child that adopts orphans, and has some by and by.
pid_t child_with_orphans(const UniqueFd& ready) {
  return fakes::start_child([&] {
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    for (int i = 0; i < 3; ++i) {
      if (::fork() != 0) continue;
      ::setsid();
      if (::fork() == 0 && ::fork() == 0) ::setsid();
      raise_event(ready.get());
      for (;;) ::pause();
    }
    for (;;) ::pause();
    return 0;
  });
}

TEST(Descendants, AreKilledWhateverSessionTheyAreIn) {
  auto ready = new_event();
  ASSERT_TRUE(ready);
  const pid_t child = child_with_orphans(*ready);
  ASSERT_TRUE(fakes::eventually([] { return fakes::descendants().size() == 10; }));
  kill_descendants(child, 20000);
  const auto left = fakes::descendants();
  ASSERT_EQ(left.size(), 1U);
  EXPECT_EQ(left.front().pid, child);
  EXPECT_EQ(left.front().state, 'T');
  ::kill(child, SIGKILL);
  EXPECT_EQ(fakes::status_of(child), 128 + SIGKILL);
}

TEST(Descendants, ThatAreNoneAreNotWaitedFor) {
  const pid_t child = fakes::start_child([] {
    ::pause();
    return 0;
  });
  const Deadline soon = Deadline::in(fakes::kSoon);
  kill_descendants(child, 600000);
  EXPECT_FALSE(soon.expired());
  ::kill(child, SIGKILL);
  EXPECT_EQ(fakes::status_of(child), 128 + SIGKILL);
}

TEST(Memory, IsLockedOrItIsSaidThatItIsNot) {
  EXPECT_EQ(in_child([] { return lock_memory() ? 0 : 1; }), ::geteuid() == 0 ? 0 : 1);
  EXPECT_EQ(in_child([] {
              const rlimit none = {0, 0};
              ::setrlimit(RLIMIT_MEMLOCK, &none);
              if (::setgid(65534) != 0 || ::setuid(65534) != 0) return 0;
              if (::mlockall(MCL_CURRENT) == 0) return 0;  // Sanitizers let it do nothing.
              const auto locked = lock_memory();
              return !locked && locked.error().errno_value != 0 ? 0 : 1;
            }),
            0);
}

}  // namespace
}  // namespace dlm_freeze
