// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "dlm_freeze/quiesce/registry.hpp"

namespace dlm_freeze {
namespace {

using testing::ElementsAre;

/// Says something in each stage, and fails in all of them if it is to.
class Talker final : public Quiescer {
 public:
  explicit Talker(bool fails) : fails_(fails) {}

  Result<Presence> locate(StageContext& context) override {
    if (auto told = tell(context, "locate"); !told) return tl::unexpected(told.error());
    return Presence{true, "here", {}};
  }
  Result<void> probe(StageContext& context) override { return tell(context, "probe"); }
  Result<std::vector<Fact>> prepare(StageContext& context) override {
    if (auto told = tell(context, "prepare"); !told) return tl::unexpected(told.error());
    return std::vector<Fact>{{"stage", "prepare"}};
  }
  Result<std::vector<Fact>> quiesce(StageContext& context) override {
    if (auto told = tell(context, "quiesce"); !told) return tl::unexpected(told.error());
    return std::vector<Fact>{{"stage", "quiesce"}};
  }
  int watch_fd() const override { return 42; }
  Result<void> release(StageContext& context, Outcome outcome) override {
    return tell(context, "release " + std::string(to_string(outcome)));
  }
  Result<void> recover(StageContext& context, const std::vector<Fact>& facts) override {
    return tell(context, "recover " + facts.at(0).key);
  }

 private:
  Result<void> tell(StageContext& context, const std::string& what) const {
    context.notes.push_back({LogLevel::info, what});
    if (fails_) return failure("cannot " + what, ErrorKind::not_ready);
    return {};
  }

  bool fails_;
};

struct TalkerOptions {
  bool fails = false;
  bool is_refused = false;
};

const QuiescerType& talker() {
  static const OptionTable<TalkerOptions> kTable = {{"fails", &TalkerOptions::fails, "d"},
                                                    {"is_refused", &TalkerOptions::is_refused, "d"}};
  static const QuiescerType kType = {
      .name = "talker",
      .description = "d",
      .options = kTable.specs(),
      .create = [](const QuiescerConfig& config) -> Result<std::unique_ptr<Quiescer>> {
        const TalkerOptions options = kTable.read(config.options);
        if (options.is_refused) return failure("is_refused is set");
        return std::make_unique<Talker>(options.fails);
      },
      .detect = nullptr,
  };
  return kType;
}

Result<std::unique_ptr<Quiescer>> make(Json::Object options = {}) {
  return make_quiescer(talker(), {"talker", "main", true, Json(std::move(options))});
}

StageContext context() { return {.deadline = Deadline::in(std::chrono::seconds(5))}; }

std::vector<std::string> texts_of(const StageContext& stage) {
  std::vector<std::string> texts;
  for (const LogLine& note : stage.notes) texts.push_back(note.text);
  return texts;
}

TEST(NamedQuiescer, PutsItsNameBeforeWhatIsNotedInEachStage) {
  const auto quiescer = make().value();
  StageContext stage = context();
  stage.notes.push_back({LogLevel::info, "of another one"});
  EXPECT_EQ(quiescer->locate(stage)->detail, "here");
  EXPECT_TRUE(quiescer->probe(stage));
  EXPECT_EQ(quiescer->prepare(stage)->at(0).value, "prepare");
  EXPECT_EQ(quiescer->quiesce(stage)->at(0).value, "quiesce");
  EXPECT_EQ(quiescer->watch_fd(), 42);
  EXPECT_TRUE(quiescer->release(stage, Outcome::auto_thawed));
  EXPECT_TRUE(quiescer->recover(stage, {{"key", ""}}));
  EXPECT_THAT(texts_of(stage), ElementsAre("of another one", "main: locate", "main: probe", "main: prepare",
                                           "main: quiesce", "main: release auto_thawed", "main: recover key"));
}

TEST(NamedQuiescer, CanBeQuotedWithoutItsName) {
  const auto quiescer = make().value();
  StageContext stage = context();
  EXPECT_TRUE(quiescer->probe(stage));
  EXPECT_EQ(without_name(stage.notes.at(0).text, "main"), "probe");
  EXPECT_EQ(without_name("what another one says", "main"), "what another one says");
}

TEST(NamedQuiescer, PutsItsNameBeforeTheErrorOfEachStage) {
  const auto quiescer = make({{"fails", true}}).value();
  StageContext stage = context();
  EXPECT_EQ(quiescer->locate(stage).error().message, "main: cannot locate");
  EXPECT_EQ(quiescer->probe(stage).error().message, "main: cannot probe");
  EXPECT_EQ(quiescer->prepare(stage).error().message, "main: cannot prepare");
  EXPECT_EQ(quiescer->quiesce(stage).error().message, "main: cannot quiesce");
  EXPECT_EQ(quiescer->release(stage, Outcome::completed).error().message, "main: cannot release completed");
  EXPECT_EQ(quiescer->recover(stage, {{"key", ""}}).error().message, "main: cannot recover key");
  EXPECT_EQ(quiescer->probe(stage).error().kind, ErrorKind::not_ready);
}

TEST(NamedQuiescer, HasItsNameBeforeWhyItIsNotMade) {
  EXPECT_EQ(make({{"is_refused", true}}).error().message, "main: is_refused is set");
}

}  // namespace
}  // namespace dlm_freeze
