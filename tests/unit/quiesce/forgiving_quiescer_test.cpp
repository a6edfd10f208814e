// SPDX-License-Identifier: Apache-2.0
#include "quiesce/forgiving_quiescer.hpp"

#include <gmock/gmock.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace dlm_freeze {
namespace {

using testing::ElementsAre;

struct Calls {
  std::vector<std::string> all;
  std::string failing;
  BootClock::duration longest{};
};

class Scripted final : public Quiescer {
 public:
  explicit Scripted(Calls& calls) : calls_(calls) {}

  Result<Presence> locate(StageContext& context) override {
    if (auto done = stage("locate", context); !done) return tl::unexpected(done.error());
    return Presence{};
  }
  Result<void> probe(StageContext& context) override { return stage("probe", context); }
  Result<std::vector<Fact>> prepare(StageContext& context) override {
    if (auto done = stage("prepare", context); !done) return tl::unexpected(done.error());
    return std::vector<Fact>{{"key", "prepared"}};
  }
  Result<std::vector<Fact>> quiesce(StageContext& context) override {
    if (auto done = stage("quiesce", context); !done) return tl::unexpected(done.error());
    return std::vector<Fact>{{"key", "quiesced"}};
  }
  int watch_fd() const override { return 42; }
  Result<void> release(StageContext& context, Outcome outcome) override {
    return stage("release " + std::string(to_string(outcome)), context);
  }

 private:
  Result<void> stage(const std::string& name, StageContext& context) {
    calls_.all.push_back(name);
    calls_.longest = context.deadline.remaining();
    if (name == calls_.failing) return failure("it is hostile", ErrorKind::not_ready);
    return {};
  }

  Calls& calls_;
};

class Forgiving : public testing::Test {
 protected:
  /// All stages of a session, the last of which is the release.
  void run() {
    EXPECT_TRUE(quiescer_->locate(context_));
    EXPECT_TRUE(quiescer_->probe(context_));
    EXPECT_TRUE(quiescer_->prepare(context_));
    const auto facts = quiescer_->quiesce(context_);
    ASSERT_TRUE(facts);
    fact_ = facts->at(0).key + " " + facts->at(0).value;
    watch_fd_ = quiescer_->watch_fd();
    EXPECT_TRUE(quiescer_->release(context_, Outcome::completed));
  }

  Calls calls_;
  std::unique_ptr<Quiescer> quiescer_ = forgive(std::make_unique<Scripted>(calls_));
  StageContext context_{.deadline = Deadline::in(std::chrono::seconds(30))};
  std::string fact_;
  int watch_fd_ = 0;
};

TEST_F(Forgiving, IsNoDifferentWhereNothingFails) {
  run();
  EXPECT_THAT(calls_.all, ElementsAre("locate", "probe", "prepare", "quiesce", "release completed"));
  EXPECT_EQ(watch_fd_, 42);
  EXPECT_EQ(fact_, "key quiesced");
  EXPECT_FALSE(quiescer_->is_left_out());
  EXPECT_TRUE(context_.notes.empty());
  EXPECT_GT(context_.deadline.remaining(), std::chrono::seconds(20)) << "its share of the time is not the caller's";
  EXPECT_LE(calls_.longest, std::chrono::seconds(30));
}

TEST_F(Forgiving, LeavesOutWhatFailsWithAWarning) {
  const std::vector<std::pair<std::string, std::vector<std::string>>> cases = {
      {"locate", {"locate"}},
      {"probe", {"locate", "probe"}},
      {"prepare", {"locate", "probe", "prepare"}},
      {"quiesce", {"locate", "probe", "prepare", "quiesce", "release rolled_back"}}};
  for (const auto& [failing, expected] : cases) {
    SCOPED_TRACE(failing);
    calls_ = {};
    calls_.failing = failing;
    context_.notes.clear();
    quiescer_ = forgive(std::make_unique<Scripted>(calls_));
    run();
    EXPECT_EQ(calls_.all, expected);
    EXPECT_TRUE(quiescer_->is_left_out());
    EXPECT_EQ(watch_fd_, -1);
    EXPECT_EQ(fact_, "not_quiesced it is hostile");
    ASSERT_EQ(context_.notes.size(), 1U);
    EXPECT_EQ(context_.notes[0].level, LogLevel::warn);
    EXPECT_EQ(context_.notes[0].text, "NOT quiesced: it is hostile");
    EXPECT_TRUE(context_.notes[0].is_gap);
  }
}

TEST_F(Forgiving, GetsAPartOfTheTime) {
  ASSERT_TRUE(quiescer_->probe(context_));
  EXPECT_LE(calls_.longest, std::chrono::seconds(10));
}

}  // namespace
}  // namespace dlm_freeze
