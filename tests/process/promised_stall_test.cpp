// SPDX-License-Identifier: Apache-2.0
// max_stall_seconds: kept, or everything is undone at once.
#include <gmock/gmock.h>

#include "process/session_test.hpp"

namespace dlm_freeze {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;
using testing::IsEmpty;

class PromisedStall : public SessionTest {
 protected:
  void SetUp() override {
    add_filesystem(0);
    add_filesystem(1);
    add_database();
    max_stall_ = milliseconds(200);
  }
};

TEST_F(PromisedStall, ThatIsKeptIsOnRecord) {
  max_stall_ = std::chrono::seconds(30);
  go(Step::held);
  EXPECT_GT(record().stall_seconds, 0);
  EXPECT_LT(record().stall_seconds, 30);
  EXPECT_GT(record().filesystems[0].freeze_seconds, 0);
  leave();
  EXPECT_EQ(post_script(), EndRequest::heard);
  EXPECT_GT(record().stall_seconds, 0);
}

TEST_F(PromisedStall, DoesNotEndASessionThatIsHeld) {
  go(Step::held);
  EXPECT_FALSE(is_over(milliseconds(600)));
  leave();
  EXPECT_EQ(post_script(), EndRequest::heard);
}

TEST_F(PromisedStall, UndoesWhatADatabaseHoldsUp) {
  databases_.set(0, Stage::quiesce, Behaviour::patient);
  go(Step::prepared);
  const auto quiesced = client().quiesce(soon());
  ASSERT_FALSE(quiesced);
  EXPECT_EQ(quiesced.error().kind, ErrorKind::not_ready);
  EXPECT_THAT(quiesced.error().message, HasSubstr("quiesce the databases"));
  EXPECT_THAT(quiesced.error().message, HasSubstr("dirty on this host"));
  EXPECT_THAT(roll_back(), IsEmpty());
  leave();
}

TEST_F(PromisedStall, LetsWritersOfTheDatabasesGoWhileAFreezeHangs) {
  kernel_.hang(1, Call::freeze);
  go(Step::quiesced);
  const auto frozen = client().freeze(soon());
  ASSERT_FALSE(frozen);
  EXPECT_EQ(frozen.error().kind, ErrorKind::not_ready);
  EXPECT_THAT(frozen.error().message, HasSubstr("freeze /fs1;"));
  EXPECT_TRUE(fakes::eventually([&] { return !databases_.is_locked(0); }));
  EXPECT_TRUE(fakes::eventually([&] { return !kernel_.is_frozen(0); }));
  expect_calls_while_frozen();
  kernel_.let_go(1, Call::freeze);
  static_cast<void>(roll_back());
  leave();
  EXPECT_TRUE(none_frozen()) << "as soon as the call returns";
}

TEST_F(PromisedStall, UndoesWhatPreScriptHoldsUp) {
  go(Step::quiesced);
  EXPECT_TRUE(fakes::eventually([&] { return !databases_.is_locked(0); })) << "it is stopped, say";
  EXPECT_FALSE(client().freeze(soon()));
  EXPECT_THAT(roll_back(), IsEmpty());
  leave();
}

}  // namespace
}  // namespace dlm_freeze
