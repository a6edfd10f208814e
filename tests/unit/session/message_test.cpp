// SPDX-License-Identifier: Apache-2.0
#include "session/message.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <cerrno>
#include <string>

namespace dlm_freeze {
namespace {

using testing::HasSubstr;

class Channel : public testing::Test {
 protected:
  void SetUp() override {
    auto channel = message_channel();
    ASSERT_TRUE(channel);
    here_ = std::move(channel->first);
    there_ = std::move(channel->second);
  }
  UniqueFd here_;
  UniqueFd there_;
};

TEST_F(Channel, CarriesMessagesBothWays) {
  ASSERT_TRUE(send_message(here_.get(), {.verb = Verb::end, .sentinel = 7}));
  const auto got = receive_message(there_.get());
  ASSERT_TRUE(got && *got);
  EXPECT_EQ((*got)->verb, Verb::end);
  EXPECT_EQ((*got)->sentinel, 7);
  ASSERT_TRUE(send_message(there_.get(), {.verb = Verb::done}));
  EXPECT_EQ((*receive_message(here_.get()))->verb, Verb::done);
}

TEST_F(Channel, KeepsMessagesApart) {
  ASSERT_TRUE(send_message(here_.get(), {.verb = Verb::prepare}));
  ASSERT_TRUE(send_message(here_.get(), {.verb = Verb::commit}));
  EXPECT_EQ((*receive_message(there_.get()))->verb, Verb::prepare);
  EXPECT_EQ((*receive_message(there_.get()))->verb, Verb::commit);
}

TEST_F(Channel, CarriesALongMessage) {
  const std::string text(100'000, 'x');
  ASSERT_TRUE(send_message(here_.get(), {.verb = Verb::done, .lines = {{LogLevel::warn, text}}}));
  const auto got = receive_message(there_.get());
  ASSERT_TRUE(got && *got);
  EXPECT_EQ((*got)->lines.at(0).text, text);
}

TEST_F(Channel, ReportsItsEnd) {
  here_.reset();
  const auto got = receive_message(there_.get());
  ASSERT_TRUE(got);
  EXPECT_FALSE(*got);
}

TEST_F(Channel, ReportsItsEndAlsoWhenThePeerLeftMessagesUnread) {
  ASSERT_TRUE(send_message(there_.get(), {.verb = Verb::prepare}));
  here_.reset();
  const auto got = receive_message(there_.get());
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_FALSE(*got);
}

TEST_F(Channel, BringsWhatThePeerSaidLastAlsoWhenItLeftMessagesUnread) {
  ASSERT_TRUE(send_message(there_.get(), {.verb = Verb::prepare}));
  ASSERT_TRUE(send_message(here_.get(), {.verb = Verb::stuck}));
  here_.reset();
  const auto last = receive_message(there_.get());
  ASSERT_TRUE(last && *last);
  EXPECT_EQ((*last)->verb, Verb::stuck);
  const auto end = receive_message(there_.get());
  ASSERT_TRUE(end);
  EXPECT_FALSE(*end);
}

TEST_F(Channel, FailsToSendWhereNobodyIsWithoutASignal) {
  there_.reset();
  const auto sent = send_message(here_.get(), {.verb = Verb::done});
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().errno_value, EPIPE);
}

TEST_F(Channel, NeverWaitsForAReader) {
  int count = 0;
  while (count < 100'000 && send_message(here_.get(), {.verb = Verb::done})) ++count;
  EXPECT_GT(count, 0);
  EXPECT_LT(count, 100'000) << "it filled up and said so";
}

TEST_F(Channel, RefusesWhatIsNoMessage) {
  for (const std::string& text : {std::string("x"), std::string("{}"), std::string(4096, '\x7f')}) {
    ASSERT_GT(::send(here_.get(), text.data(), text.size(), 0), 0);
    EXPECT_FALSE(receive_message(there_.get())) << text.size();
  }
}

TEST_F(Channel, RefusesAMessageThatIsCutShort) {
  std::string bytes(4096, '\0');
  ASSERT_TRUE(send_message(here_.get(), {.verb = Verb::failed, .error = {ErrorKind::failed, "a text", 0}}));
  const ssize_t size = ::recv(there_.get(), bytes.data(), bytes.size(), 0);
  ASSERT_GT(size, 1);
  for (ssize_t shorter = 1; shorter < size; ++shorter) {
    ASSERT_GT(::send(here_.get(), bytes.data(), static_cast<std::size_t>(shorter), 0), 0);
    EXPECT_FALSE(receive_message(there_.get())) << shorter;
  }
}

TEST_F(Channel, CarriesTextAsItIs) {
  ASSERT_TRUE(send_packet(here_.get(), "end None"));
  const auto got = receive_packet(there_.get());
  ASSERT_TRUE(got && *got);
  EXPECT_EQ(**got, "end None");
  here_.reset();
  EXPECT_FALSE(*receive_packet(there_.get()));
}

TEST_F(Channel, CarriesErrors) {
  const Error error{ErrorKind::not_ready, "it starts", ECONNREFUSED};
  ASSERT_TRUE(send_message(here_.get(), {.verb = Verb::failed, .error = error}));
  const auto got = receive_message(there_.get());
  ASSERT_TRUE(got && *got);
  EXPECT_EQ((*got)->error.kind, error.kind);
  EXPECT_EQ((*got)->error.message, error.message);
  EXPECT_EQ((*got)->error.errno_value, error.errno_value);
}

TEST_F(Channel, CarriesLinesDeadlinesAndStages) {
  const Deadline deadline = Deadline::in(std::chrono::seconds(5));
  ASSERT_TRUE(send_message(here_.get(), {.verb = Verb::commit,
                                         .deadline = deadline,
                                         .sentinel = 42,
                                         .stages = {1, 2, 3, 4, 5},
                                         .lines = {{LogLevel::warn, "one"}, {LogLevel::error, "two\nlines"}}}));
  const auto got = receive_message(there_.get());
  ASSERT_TRUE(got && *got);
  EXPECT_EQ((*got)->deadline.at(), deadline.at());
  EXPECT_EQ((*got)->sentinel, 42);
  EXPECT_EQ((*got)->stages, (StageSeconds{1, 2, 3, 4, 5}));
  ASSERT_EQ((*got)->lines.size(), 2U);
  EXPECT_EQ((*got)->lines[0].level, LogLevel::warn);
  EXPECT_EQ((*got)->lines[1].text, "two\nlines");
}

}  // namespace
}  // namespace dlm_freeze
