// SPDX-License-Identifier: Apache-2.0
#include "base/child.hpp"

#include <gmock/gmock.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <functional>
#include <string>

#include "base/process.hpp"
#include "fakes/processes.hpp"

namespace dlm_freeze {
namespace {

using std::chrono::milliseconds;

[[noreturn]] void sleep_for_ever() {
  for (;;) ::pause();
}

Deadline soon() { return Deadline::in(fakes::kSoon); }

TEST(Children, AreWaitedForAndGiveTheirStatus) {
  auto child = Child::start([](int) { end_process(7); });
  ASSERT_TRUE(child);
  const auto status = child->wait(soon());
  ASSERT_TRUE(status);
  EXPECT_TRUE(WIFEXITED(*status));
  EXPECT_EQ(WEXITSTATUS(*status), 7);
  EXPECT_EQ(child->pid(), -1);
  EXPECT_FALSE(child->wait(soon())) << "once";
}

TEST(Children, ThatGoOnAreNotWaitedForBeyondTheDeadline) {
  auto child = Child::start([](int) { sleep_for_ever(); });
  ASSERT_TRUE(child);
  EXPECT_FALSE(child->wait(Deadline::in(milliseconds(50))));
  child->send(SIGKILL);
  const auto status = child->wait(soon());
  ASSERT_TRUE(status);
  EXPECT_EQ(WTERMSIG(*status), SIGKILL);
}

TEST(Children, ThatCloseAllButTheirLifeAreStillTheirs) {
  auto child = Child::start([](int life) {
    close_all_but({life});
    sleep_for_ever();
  });
  ASSERT_TRUE(child);
  EXPECT_FALSE(child->wait(Deadline::in(milliseconds(50))));
  child->send(SIGTERM);
  EXPECT_TRUE(child->wait(soon()));
}

TEST(Children, AreStartedWithoutADescriptorToo) {
  EXPECT_EQ(fakes::in_child([] {
              const rlimit none = {0, 0};
              ::setrlimit(RLIMIT_NOFILE, &none);
              auto child = Child::start([](int life) { end_process(life == -1 ? 7 : 8); });
              if (!child || child->life() != -1 || child->wait(soon())) return 1;
              int status = 0;
              ::waitpid(child->pid(), &status, 0);
              return WEXITSTATUS(status) == 7 ? 0 : 2;
            }),
            0);
}

TEST(Children, ThatWereWaitedForAreNotSignalled) {
  const pid_t child = fakes::start_child([] { return 0; });
  EXPECT_EQ(fakes::status_of(child), 0);
  signal_child(child, SIGKILL);  // Nobody's number, or another process's: that of nobody's child is left alone.
  const pid_t other = fakes::start_child([] {
    sleep_for_ever();
    return 0;
  });
  signal_child(::getpid(), SIGKILL);
  signal_child(other, SIGKILL);
  EXPECT_EQ(fakes::status_of(other), 128 + SIGKILL);
}

TEST(Children, ThatEndedBadlySayOfWhat) {
  const auto ending = [](const std::function<void()>& body) {
    const pid_t child = fakes::start_child([&] {
      body();
      return 0;
    });
    const std::string text = ending_of(child);
    static_cast<void>(fakes::status_of(child));
    return text;
  };
  EXPECT_THAT(ending([] { end_process(kOutOfMemory); }), testing::HasSubstr("it ran out of memory"));
  EXPECT_THAT(ending([] { ::raise(SIGKILL); }), testing::HasSubstr("it was killed, by a user or by the kernel"));
  EXPECT_THAT(ending([] { ::raise(SIGABRT); }), testing::HasSubstr("it can have no more memory"));
  EXPECT_THAT(ending([] { ::raise(SIGSYS); }), testing::HasSubstr("(seccomp) killed it"));
  EXPECT_THAT(ending([] { ::raise(SIGUSR1); }), testing::HasSubstr("it was killed by signal 10"));
  EXPECT_EQ(ending([] {}), "");
}

TEST(Children, OfNobodyAreNeitherWaitedForNorSignalled) {
  Child none;
  none.send(SIGKILL);
  EXPECT_FALSE(none.wait(soon()));
  EXPECT_EQ(none.life(), -1);
}

}  // namespace
}  // namespace dlm_freeze
