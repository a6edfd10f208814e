// SPDX-License-Identifier: Apache-2.0
#include "dlm_freeze/base/log.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace dlm_freeze {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class Collector final : public LogOutput {
 public:
  explicit Collector(std::vector<std::string>* lines) : lines_(lines) {}
  void write(const LogLine& line) override { lines_->push_back(line.text); }
  [[nodiscard]] std::size_t take_dropped() override { return std::exchange(dropped, 0); }

  std::size_t dropped = 0;

 private:
  std::vector<std::string>* lines_;
};

class Logs : public testing::Test {
 protected:
  [[nodiscard]] Log log(LogLevel threshold = LogLevel::info) {
    return {std::make_unique<Collector>(&caller_), std::make_unique<Collector>(&syslog_), threshold};
  }
  std::vector<std::string> caller_;
  std::vector<std::string> syslog_;
};

TEST_F(Logs, GoToTheCallerAndToTheHost) {
  Log log = this->log();
  log.info("one");
  log.error("two");
  EXPECT_THAT(caller_, ElementsAre("one", "two"));
  EXPECT_THAT(syslog_, ElementsAre("one", "two"));
}

TEST_F(Logs, LeaveOutWhatIsBelowTheThreshold) {
  Log log = this->log(LogLevel::warn);
  log.debug("debug");
  log.info("info");
  log.warn("warn");
  log.error("error");
  EXPECT_THAT(caller_, ElementsAre("warn", "error"));
}

TEST_F(Logs, KeepLinesInMemoryWhileTheyAreHeld) {
  Log log = this->log();
  log.info("before");
  log.syslog().hold();
  log.info("one");
  log.info("two");
  EXPECT_THAT(syslog_, ElementsAre("before"));
  EXPECT_THAT(caller_, ElementsAre("before", "one", "two")) << "held one by one";
  log.syslog().resume();
  EXPECT_THAT(syslog_, ElementsAre("before", "one", "two"));
  log.info("after");
  EXPECT_THAT(syslog_, ElementsAre("before", "one", "two", "after"));
}

TEST_F(Logs, GiveHeldLinesAway) {
  Log log = this->log();
  log.caller().hold();
  log.warn("one");
  const std::vector<LogLine> held = log.caller().take_held();
  ASSERT_EQ(held.size(), 1U);
  EXPECT_EQ(held[0].text, "one");
  EXPECT_EQ(held[0].level, LogLevel::warn);
  log.caller().resume();
  EXPECT_THAT(caller_, IsEmpty());
}

TEST_F(Logs, StayHeldWhenTheirLinesAreTaken) {
  Log log = this->log();
  log.caller().hold();
  static_cast<void>(log.caller().take_held());
  log.info("still");
  EXPECT_THAT(caller_, IsEmpty());
}

TEST_F(Logs, MayBeResumedWithoutHavingBeenHeld) {
  Log log = this->log();
  log.caller().resume();
  log.info("one");
  EXPECT_THAT(caller_, ElementsAre("one"));
}

TEST_F(Logs, DropLinesWhereThereIsNoOutput) {
  Log log(nullptr, nullptr);
  log.info("nobody hears this");
  log.caller().hold();
  log.info("nor this");
  log.caller().resume();
}

TEST_F(Logs, EscapeWhatCouldForgeALineOnceAndWhereItIsWritten) {
  Log log = this->log();
  log.warn("mount /a\nINFO: pre-script completed");
  log.caller().hold();
  log.warn("held\n");
  const std::vector<LogLine> held = log.caller().take_held();
  ASSERT_EQ(held.size(), 1U);
  EXPECT_EQ(held[0].text, "held\n") << "whoever writes it escapes it";
  EXPECT_THAT(caller_, ElementsAre("mount /a\\012INFO: pre-script completed"));
  EXPECT_THAT(syslog_, ElementsAre("mount /a\\012INFO: pre-script completed", "held\\012"));
}

TEST(LogChannels, GiveAwayHowManyLinesWereDropped) {
  std::vector<std::string> lines;
  auto output = std::make_unique<Collector>(&lines);
  output->dropped = 3;
  LogChannel channel(std::move(output));
  channel.hold();
  channel.write({LogLevel::info, "one"});
  const std::vector<LogLine> held = channel.take_held();
  ASSERT_EQ(held.size(), 2U);
  EXPECT_EQ(held[0].text, dropped_lines(3));
  EXPECT_EQ(held[1].text, "one");
  EXPECT_THAT(channel.take_held(), IsEmpty()) << "said once";
}

}  // namespace
}  // namespace dlm_freeze
