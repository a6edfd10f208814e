// SPDX-License-Identifier: Apache-2.0
#include "dlm_freeze/quiesce/options.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "dlm_freeze/quiesce/registry.hpp"

namespace dlm_freeze {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;

enum class Colour { red, green };

struct Inner {
  std::string deep;
};

struct EveryOption {
  std::string text;
  std::string named = "default";
  std::string choice = "auto";
  Colour colour = Colour::green;
  bool flag = true;
  unsigned number = 0;
  seconds span{7};
  std::vector<std::string> list;
  Inner inner;
  std::string must;
};

const OptionTable<EveryOption>& option_table() {
  static const OptionTable<EveryOption> kTable = {
      {"text", &EveryOption::text, "d"}, {"named", &EveryOption::named, "d", kArgument},
      {"choice", &EveryOption::choice, "d", one_of({"auto", "never"})},
      {"colour", &EveryOption::colour, "d", Choices<Colour>{{"red", Colour::red}, {"green", Colour::green}}},
      {"flag", &EveryOption::flag, "d"}, {"number", &EveryOption::number, "d", Range{1, 120}},
      {"span_seconds", &EveryOption::span, "d", Range{0, 10}}, {"list", &EveryOption::list, "d"},
      {"deep", [](auto& options) -> auto& {return options.inner.deep;
}
, "d", kAbsolutePath
}  // namespace
, {"must", &EveryOption::must, "d", kAbsolutePath, Need::mandatory},
};  // namespace dlm_freeze
return kTable;
}

EveryOption read(const std::string& json) { return option_table().read(Json::parse(json).value()); }

TEST(OptionTable, GivesTheDefaultsOfWhatIsNotGiven) {
  const EveryOption options = read("{}");
  EXPECT_EQ(options.text, "");
  EXPECT_EQ(options.named, "default");
  EXPECT_EQ(options.colour, Colour::green);
  EXPECT_TRUE(options.flag);
  EXPECT_EQ(options.number, 0U);
  EXPECT_EQ(options.span, seconds(7));
  EXPECT_THAT(options.list, IsEmpty());
}

TEST(OptionTable, ReadsEveryTypeOfValue) {
  const EveryOption options = read(
      R"({"text": "t", "named": "n", "choice": "never", "colour": "red", "flag": false, "number": 120,
          "span_seconds": 0, "list": ["a", ""], "deep": "/d", "must": "/m"})");
  EXPECT_EQ(options.text, "t");
  EXPECT_EQ(options.named, "n");
  EXPECT_EQ(options.choice, "never");
  EXPECT_EQ(options.colour, Colour::red);
  EXPECT_FALSE(options.flag);
  EXPECT_EQ(options.number, 120U);
  EXPECT_EQ(options.span, seconds(0));
  EXPECT_THAT(options.list, ElementsAre("a", ""));
  EXPECT_EQ(options.inner.deep, "/d");
  EXPECT_EQ(options.must, "/m");
}

TEST(OptionTable, LeavesTheDefaultWhereAValueIsOfAnotherType) {
  const EveryOption options = read(
      R"({"named": 1, "choice": "always", "colour": "blue", "flag": "no", "number": "5", "list": "a", "other": 1})");
  EXPECT_EQ(options.named, "default");
  EXPECT_EQ(options.choice, "auto");
  EXPECT_EQ(options.colour, Colour::green);
  EXPECT_TRUE(options.flag);
  EXPECT_EQ(options.number, 0U);
  EXPECT_THAT(options.list, IsEmpty());
}

OptionSpec spec_of(std::string_view name) {
  for (const OptionSpec& spec : option_table().specs()) {
    if (spec.name == name) return spec;
  }
  return {};
}

TEST(OptionTable, DescribesEachOption) {
  EXPECT_EQ(spec_of("text").type, OptionType::text);
  EXPECT_EQ(spec_of("named").form.pattern, "^[^-]");
  EXPECT_THAT(spec_of("choice").choices, ElementsAre("auto", "never"));
  EXPECT_THAT(spec_of("colour").choices, ElementsAre("red", "green"));
  EXPECT_EQ(spec_of("flag").type, OptionType::boolean);
  EXPECT_EQ(spec_of("span_seconds").type, OptionType::integer);
  EXPECT_EQ(spec_of("span_seconds").range.maximum, 10);
  EXPECT_EQ(spec_of("list").type, OptionType::text_list);
  EXPECT_TRUE(spec_of("must").mandatory);
  EXPECT_FALSE(spec_of("deep").mandatory);
}

std::string default_of(std::string_view name) { return spec_of(name).otherwise.dump_line(); }

TEST(OptionTable, TellsDefaultsFromNone) {
  EXPECT_EQ(default_of("named"), "\"default\"\n");
  EXPECT_EQ(default_of("choice"), "\"auto\"\n");
  EXPECT_EQ(default_of("colour"), "\"green\"\n");
  EXPECT_EQ(default_of("flag"), "true\n");
  EXPECT_EQ(default_of("span_seconds"), "7\n");
  for (const char* name : {"text", "number", "list", "deep", "must"}) {
    EXPECT_EQ(default_of(name), "null\n") << name;
  }
}

const QuiescerType& every_option() {
  static const QuiescerType kType = {
      .name = "every",
      .description = "has an option of each type",
      .options = option_table().specs(),
      .create = nullptr,
      .detect = nullptr,
  };
  return kType;
}

/// What is said of options, of which the first stands on line 1; nothing when they are good.
std::string complaint(const std::string& options) {
  const auto json = Json::parse(options);
  if (!json) return "not JSON";
  const auto checked = check_options(every_option(), *json, "q");
  return checked ? "" : checked.error().message;
}

TEST(CheckOptions, AcceptsEveryTypeOfValue) {
  EXPECT_EQ(
      complaint(R"({"must": "/x", "text": "t", "choice": "auto", "flag": false, "number": 120, "list": ["", "b"]})"),
      "");
}

TEST(CheckOptions, NamesTheLineOfAKeyThatIsNotKnown) {
  EXPECT_EQ(complaint("{\"must\": \"/x\",\n\"txt\": \"t\"}"),
            "line 2: q.txt is not known for a quiescer of type 'every'");
}

TEST(CheckOptions, NamesTheOneThatIsMissing) { EXPECT_EQ(complaint("{}"), "line 1: q.must is missing"); }

TEST(CheckOptions, RefusesValuesOfAnotherType) {
  EXPECT_EQ(complaint(R"({"must": 1})"), "line 1: q.must must be a non-empty string");
  EXPECT_EQ(complaint(R"({"must": ""})"), "line 1: q.must must be a non-empty string");
  EXPECT_EQ(complaint(R"({"must": null})"), "line 1: q.must must be a non-empty string");
  EXPECT_EQ(complaint(R"({"must": "/x", "flag": "true"})"), "line 1: q.flag must be true or false");
  EXPECT_EQ(complaint(R"({"must": "/x", "list": "a"})"), "line 1: q.list must be a non-empty list of strings");
  EXPECT_EQ(complaint(R"({"must": "/x", "list": []})"), "line 1: q.list must be a non-empty list of strings");
  EXPECT_EQ(complaint(R"({"must": "/x", "list": ["a", 1]})"), "line 1: q.list must be a non-empty list of strings");
}

TEST(CheckOptions, RefusesNumbersOutOfRange) {
  for (const char* number : {"0", "121", "-1", "1.5", "\"5\"", "true"}) {
    EXPECT_EQ(complaint(std::string(R"({"must": "/x", "number": )") + number + "}"),
              "line 1: q.number must be a whole number from 1 to 120");
  }
}

TEST(CheckOptions, RefusesTextsOfAnotherForm) {
  EXPECT_EQ(complaint(R"({"must": "x"})"), "line 1: q.must must be an absolute path");
  EXPECT_EQ(complaint(R"({"must": "/x", "named": "-n"})"),
            "line 1: q.named must be a string that does not begin with '-'");
}

TEST(CheckOptions, NamesTheChoices) {
  EXPECT_EQ(complaint(R"({"must": "/x", "choice": "always"})"), "line 1: q.choice must be one of: auto, never");
}

}  // namespace
}  // namespace dlm_freeze
