// SPDX-License-Identifier: Apache-2.0
#include "base/wait.hpp"

#include <gtest/gtest.h>
#include <poll.h>

#include <chrono>

namespace dlm_freeze {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;

class Waiting : public testing::Test {
 protected:
  [[nodiscard]] Patience patience(BootClock::duration span) const { return {Deadline::in(span), cancel_.get()}; }

  UniqueFd awaited_ = new_event().value();
  UniqueFd cancel_ = new_event().value();
};

TEST_F(Waiting, EndsWhenItIsReadable) {
  raise_event(awaited_.get());
  EXPECT_TRUE(wait_readable(awaited_.get(), patience(minutes(1))));
  EXPECT_TRUE(wait_readable(awaited_.get(), Patience{Deadline::in(minutes(1))})) << "without anything that cancels";
}

TEST_F(Waiting, IsGivenUpWhenItIsCancelled) {
  raise_event(cancel_.get());
  EXPECT_FALSE(wait_readable(awaited_.get(), patience(minutes(1))));
}

TEST_F(Waiting, IsGivenUpAtTheDeadline) { EXPECT_FALSE(wait_readable(awaited_.get(), patience(milliseconds(10)))); }

TEST_F(Waiting, TellsWhatCameFromBeingCancelled) {
  raise_event(awaited_.get());
  raise_event(cancel_.get());
  EXPECT_TRUE(wait_readable(awaited_.get(), patience(minutes(1))));
}

TEST_F(Waiting, ForAServerEndsWhenItAnswers) {
  raise_event(awaited_.get());
  EXPECT_TRUE(await_server(awaited_.get(), POLLIN, patience(minutes(1))));
  EXPECT_TRUE(await_server(awaited_.get(), POLLIN, Patience{Deadline::in(minutes(1))})) << "nothing can cancel it";
}

TEST_F(Waiting, ForAServerThatKeepsAnsweringEndsAtTheDeadlineToo) {
  raise_event(awaited_.get());
  for (const auto& late : {await_server(awaited_.get(), POLLIN, patience({})),
                           await_server(cancel_.get(), POLLIN, patience(milliseconds(10)))}) {
    ASSERT_FALSE(late);
    EXPECT_EQ(late.error().kind, ErrorKind::not_ready);
  }
}

TEST_F(Waiting, ForAServerIsGivenUpWhenItIsCancelled) {
  raise_event(awaited_.get());
  raise_event(cancel_.get());
  const auto given_up = await_server(awaited_.get(), POLLIN, patience(minutes(1)));
  ASSERT_FALSE(given_up);
  EXPECT_EQ(given_up.error().kind, ErrorKind::failed);
}

TEST_F(Waiting, SharesTheTimeThatIsLeft) {
  const Patience half = patience(minutes(2)).share(2);
  EXPECT_LE(half.deadline.remaining(), minutes(1));
  EXPECT_GT(half.deadline.remaining(), std::chrono::seconds(50));
  EXPECT_EQ(half.cancel_fd, cancel_.get());
}

TEST_F(Waiting, PausesAsLongAsItIsTold) {
  const auto before = BootClock::now();
  EXPECT_TRUE(pause_for(milliseconds(20), patience(minutes(1))));
  EXPECT_GE(BootClock::now() - before, milliseconds(20));
}

TEST_F(Waiting, PausesNoLongerThanItMay) {
  EXPECT_FALSE(pause_for(minutes(1), patience(milliseconds(10))));
  raise_event(cancel_.get());
  EXPECT_FALSE(pause_for(minutes(1), patience(minutes(1))));
}

}  // namespace
}  // namespace dlm_freeze
