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
  ASSERT_TRUE(send_message(here_.get(), {verbs::kEnd, Json::Object{{"execution_id", "None"}}}));
  const auto got = receive_message(there_.get());
  ASSERT_TRUE(got && *got);
  EXPECT_EQ((*got)->verb, "end");
  EXPECT_EQ(*(*got)->body.find("execution_id")->as_string(), "None");
  ASSERT_TRUE(send_message(there_.get(), {verbs::kDone}));
  EXPECT_EQ((*receive_message(here_.get()))->verb, "done");
}

TEST_F(Channel, KeepsMessagesApart) {
  ASSERT_TRUE(send_message(here_.get(), {"one"}));
  ASSERT_TRUE(send_message(here_.get(), {"two"}));
  EXPECT_EQ((*receive_message(there_.get()))->verb, "one");
  EXPECT_EQ((*receive_message(there_.get()))->verb, "two");
}

TEST_F(Channel, CarriesALongMessage) {
  const std::string text(100'000, 'x');
  ASSERT_TRUE(send_message(here_.get(), {"long", Json::Object{{"text", text}}}));
  const auto got = receive_message(there_.get());
  ASSERT_TRUE(got && *got);
  EXPECT_EQ(*(*got)->body.find("text")->as_string(), text);
}

TEST_F(Channel, ReportsItsEnd) {
  here_.reset();
  const auto got = receive_message(there_.get());
  ASSERT_TRUE(got);
  EXPECT_FALSE(*got);
}

TEST_F(Channel, ReportsItsEndAlsoWhenThePeerLeftMessagesUnread) {
  ASSERT_TRUE(send_message(there_.get(), {"unread"}));
  here_.reset();
  const auto got = receive_message(there_.get());
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_FALSE(*got);
}

TEST_F(Channel, BringsWhatThePeerSaidLastAlsoWhenItLeftMessagesUnread) {
  ASSERT_TRUE(send_message(there_.get(), {"unread"}));
  ASSERT_TRUE(send_message(here_.get(), {"last"}));
  here_.reset();
  const auto last = receive_message(there_.get());
  ASSERT_TRUE(last && *last);
  EXPECT_EQ((*last)->verb, "last");
  const auto end = receive_message(there_.get());
  ASSERT_TRUE(end);
  EXPECT_FALSE(*end);
}

TEST_F(Channel, FailsToSendWhereNobodyIsWithoutASignal) {
  there_.reset();
  const auto sent = send_message(here_.get(), {"lost"});
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().errno_value, EPIPE);
}

TEST_F(Channel, NeverWaitsForAReader) {
  int count = 0;
  while (count < 100'000 && send_message(here_.get(), {"more"})) ++count;
  EXPECT_GT(count, 0);
  EXPECT_LT(count, 100'000) << "it filled up and said so";
}

TEST_F(Channel, RefusesWhatIsNoMessage) {
  for (const char* text : {"x", "[]", "{}", R"({"verb": 1, "body": {}})", R"({"verb": "x"})"}) {
    ASSERT_GT(::send(here_.get(), text, std::string(text).size(), 0), 0);
    EXPECT_FALSE(receive_message(there_.get())) << text;
  }
}

TEST(Messages, CarryErrors) {
  const Error error{ErrorKind::not_ready, "it starts", 0};
  const Error again = error_from_json(to_json(error));
  EXPECT_EQ(again.kind, error.kind);
  EXPECT_EQ(again.message, error.message);
}

TEST(Messages, MakeAnErrorOutOfAnything) {
  EXPECT_EQ(error_from_json(Json()).kind, ErrorKind::failed);
  EXPECT_EQ(error_from_json(Json::Object{{"kind", "x"}, {"message", 1}}).message, "no reason was given");
}

TEST(Messages, CarryLogLines) {
  const std::vector<LogLine> lines = {{LogLevel::warn, "one"}, {LogLevel::error, "two\nlines"}};
  const Json json = to_json(lines);
  const auto again = lines_from_json(&json);
  ASSERT_EQ(again.size(), 2U);
  EXPECT_EQ(again[0].level, LogLevel::warn);
  EXPECT_EQ(again[1].text, "two\nlines");
  EXPECT_TRUE(lines_from_json(nullptr).empty());
}

}  // namespace
}  // namespace dlm_freeze
