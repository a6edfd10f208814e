// SPDX-License-Identifier: Apache-2.0
// What the processes of a session may not do, and that they do their work all the same when they try; docs/security.md.
#include "base/privileges.hpp"

#include <gmock/gmock.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "process/session_test.hpp"

namespace dlm_freeze {
namespace {

using testing::IsEmpty;

class Privileges : public SessionTest {
 protected:
  using Stray = fakes::FakeKernel::Stray;

  /// What a process is told that makes a call which is not its business: nothing where this build restricts none.
  [[nodiscard]] static int denied() {
    const bool is_restricted = fakes::in_child([] {
                                 keep_capabilities_for_good({});
                                 static_cast<void>(allow_calls(calls_of_freezing()));
                                 return ::socket(AF_UNIX, SOCK_STREAM, 0) == -1 ? 1 : 0;
                               }) == 1;
    return is_restricted ? EPERM : 0;
  }
};

TEST_F(Privileges, DoNotLetTheFreezerOpenAFileAndItFreezesAllTheSame) {
  const auto one = add_filesystem();
  const auto other = add_filesystem();
  kernel_.go_astray(one, Call::freeze);
  go(Step::held);
  leave();
  EXPECT_EQ(kernel_.astray(one, Call::freeze), denied());
  EXPECT_EQ(post_script(), EndRequest::heard);
  EXPECT_EQ(kernel_.succeeded(one, Call::thaw), 1);
  EXPECT_EQ(kernel_.succeeded(other, Call::thaw), 1);
  EXPECT_EQ(record().end, SessionEnd::completed);
}

TEST_F(Privileges, DoNotLetTheFreezerOpenAFileWhileItUndoesItsOwnWork) {
  const auto one = add_filesystem();
  const auto slow = add_filesystem();
  kernel_.hang(slow, Call::freeze);
  kernel_.go_astray(slow, Call::thaw);
  go(Step::quiesced);
  EXPECT_FALSE(client().freeze(in(100)));
  EXPECT_FALSE(roll_back(in(700)).empty());
  kernel_.let_go(slow, Call::freeze);
  leave();
  EXPECT_TRUE(is_over());
  EXPECT_EQ(kernel_.astray(slow, Call::thaw), denied());
  EXPECT_FALSE(kernel_.is_frozen(one));
  EXPECT_FALSE(kernel_.is_frozen(slow));
}

TEST_F(Privileges, DoNotLetTheWatchdogExecuteAProgramAndItThawsAllTheSame) {
  const auto one = add_filesystem();
  kernel_.go_astray(one, Call::thaw, Stray::program);
  go(Step::held);
  leave();
  EXPECT_EQ(post_script(), EndRequest::heard);
  EXPECT_EQ(kernel_.astray(one, Call::thaw), denied() == 0 ? ENOENT : denied());
  EXPECT_EQ(kernel_.succeeded(one, Call::thaw), 1);
  EXPECT_EQ(record().end, SessionEnd::completed);
}

TEST_F(Privileges, LetTheWatchdogStartANewSentinelThatMayDoNoMoreAndThawsAllTheSame) {
  const auto one = add_filesystem();
  kernel_.go_astray(one, Call::thaw, Stray::program);
  go(Step::held);
  leave();
  const pid_t first = sentinel();
  ::kill(first, SIGKILL);
  ASSERT_TRUE(fakes::eventually([&] { return sentinel() != first; }));
  ::kill(watchdog(), SIGKILL);
  EXPECT_TRUE(is_over());
  EXPECT_EQ(kernel_.astray(one, Call::thaw), denied() == 0 ? ENOENT : denied());
  EXPECT_FALSE(kernel_.is_frozen(one));
  EXPECT_EQ(record().end, SessionEnd::watchdog_lost);
}

TEST_F(Privileges, DoNotLetAThawerOpenAFileAndItThawsAllTheSame) {
  const auto one = add_filesystem();
  const auto other = add_filesystem();
  kernel_.go_astray(one, Call::thaw);
  go(Step::frozen);
  const pid_t sentinel_pid = sentinel();
  ::kill(sentinel_pid, SIGSTOP);
  ::kill(watchdog(), SIGSTOP);
  EXPECT_THAT(roll_back(in(2000)), IsEmpty());
  EXPECT_EQ(kernel_.astray(one, Call::thaw), denied());
  EXPECT_FALSE(kernel_.is_frozen(one));
  EXPECT_FALSE(kernel_.is_frozen(other));
  ::kill(sentinel_pid, SIGCONT);
  leave();
  EXPECT_TRUE(is_over());
}

}  // namespace
}  // namespace dlm_freeze
