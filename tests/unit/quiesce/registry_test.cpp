// SPDX-License-Identifier: Apache-2.0
#include "dlm_freeze/quiesce/registry.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "fakes/fake_databases.hpp"
#include "fakes/scratch.hpp"

namespace dlm_freeze {
namespace {

using fakes::FakeDatabases;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const QuiescerType& found_type() {
  static const QuiescerType kType = {
      .name = "found",
      .description = "is always found",
      .options = {},
      .create = nullptr,
      .detect =
          [] {
            return std::vector<QuiescerConfig>{{"found", "one", false, Json::Object()},
                                               {"found", "two", false, Json::Object()}};
          },
  };
  return kType;
}

TEST(Registry, HasTheTypesOfTheProgram) {
  QuiescerRegistry registry(builtin_quiescer_types(), module_quiescer_types(), "/nowhere");
  const auto command = registry.find("command");
  ASSERT_TRUE(command) << command.error().message;
  EXPECT_EQ((*command)->name, "command");
  const auto names = registry.names();
  EXPECT_NE(std::find(names.begin(), names.end(), "command"), names.end());
}

TEST(Registry, DescribesEveryOptionOfEveryType) {
  for (const QuiescerType* type : builtin_quiescer_types()) {
    EXPECT_FALSE(type->description.empty()) << type->name;
    EXPECT_NE(type->create, nullptr) << type->name;
    for (const OptionSpec& option : type->options) {
      EXPECT_FALSE(option.description.empty()) << type->name << "." << option.name;
      if (option.type == OptionType::integer) {
        EXPECT_LT(option.minimum, option.maximum) << type->name << "." << option.name;
      }
    }
  }
}

TEST(Registry, SaysWhichTypesThereAreForOneThatThereIsNot) {
  QuiescerRegistry registry({&found_type(), &FakeDatabases::type()}, {{"oracle", {}}}, "/nowhere");
  const auto type = registry.find("mongo");
  ASSERT_FALSE(type);
  EXPECT_EQ(type.error().message, "there is no quiescer of type 'mongo'; there are: found, fake, oracle");
}

TEST(Registry, SaysWhichPackageAModuleIsIn) {
  QuiescerRegistry registry({}, {{"mysql", {}}}, "/nowhere/modules");
  const auto type = registry.find("mysql");
  ASSERT_FALSE(type);
  EXPECT_EQ(type.error().message,
            "the module for mysql is not installed (/nowhere/modules/quiesce-mysql.so): install the package "
            "dlm-freeze-mysql");
}

TEST(Registry, RefusesAModuleThatIsNone) {
  const fakes::Scratch scratch;
  scratch.write("quiesce-mysql.so", "this is no shared object");
  QuiescerRegistry registry({}, {{"mysql", {}}}, scratch.path());
  const auto type = registry.find("mysql");
  ASSERT_FALSE(type);
  EXPECT_THAT(type.error().message, HasSubstr("cannot load " + (scratch / "quiesce-mysql.so")));
}

TEST(Registry, FindsAModuleTypeThatIsBuiltInWithoutItsModule) {
  QuiescerRegistry registry({&FakeDatabases::type()}, {{"fake", {}}}, "/nowhere");
  EXPECT_TRUE(registry.find("fake"));
  EXPECT_THAT(registry.names(), ElementsAre("fake"));
}

TEST(Detection, AsksEveryTypeThatCanDetect) {
  QuiescerRegistry registry({&found_type(), &FakeDatabases::type()}, {}, "/nowhere");
  const auto found = registry.detect();
  ASSERT_TRUE(found);
  ASSERT_EQ(found->size(), 2U);
  EXPECT_EQ((*found)[0].name, "one");
  EXPECT_EQ((*found)[1].name, "two");
}

TEST(Detection, FailsWhenADatabaseIsThereAndItsModuleIsNot) {
  const fakes::Scratch scratch;
  const std::string sign = scratch.write("run/mysqld.sock", "");
  const std::string pattern = scratch / "run/*.sock";
  QuiescerRegistry registry({}, {{"mysql", {"/nowhere/*", pattern}}}, "/nowhere/modules");
  const auto found = registry.detect();
  ASSERT_FALSE(found);
  EXPECT_THAT(found.error().message, HasSubstr("found " + sign + ": the module for mysql is not installed"));
}

TEST(Detection, DoesNotNeedTheModuleOfADatabaseThatIsNotThere) {
  QuiescerRegistry registry({}, {{"mysql", {"/nowhere/*.sock"}}}, "/nowhere/modules");
  const auto found = registry.detect();
  ASSERT_TRUE(found);
  EXPECT_THAT(*found, IsEmpty());
}

TEST(QuiescerConfigs, GiveTheirOptionsByType) {
  QuiescerConfig config;
  config.options = Json::parse(R"({"text": "x", "yes": true, "number": 7, "list": ["a", "b"]})").value();
  EXPECT_EQ(config.text("text"), "x");
  EXPECT_EQ(config.text("absent", "other"), "other");
  EXPECT_EQ(config.text("number", "other"), "other");
  EXPECT_TRUE(config.boolean("yes", false));
  EXPECT_TRUE(config.boolean("absent", true));
  EXPECT_EQ(config.integer("number", 1), 7);
  EXPECT_EQ(config.integer("absent", 1), 1);
  EXPECT_THAT(config.text_list("list"), ElementsAre("a", "b"));
  EXPECT_THAT(config.text_list("absent"), IsEmpty());
  EXPECT_THAT(config.text_list("text"), IsEmpty());
  EXPECT_TRUE(config.has("yes"));
  EXPECT_FALSE(config.has("absent"));
}

const QuiescerType& every_option() {
  static const QuiescerType kType = {
      .name = "every",
      .description = "has an option of each type",
      .options = {{.name = "text", .description = "d"},
                  {.name = "choice", .description = "d", .choices = {"auto", "never"}},
                  {.name = "flag", .type = OptionType::boolean, .description = "d"},
                  {.name = "number", .type = OptionType::integer, .description = "d", .minimum = 1, .maximum = 120},
                  {.name = "list", .type = OptionType::text_list, .description = "d"},
                  {.name = "must", .description = "d", .mandatory = true}},
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
      complaint(R"({"must": "x", "text": "t", "choice": "auto", "flag": false, "number": 120, "list": ["", "b"]})"),
      "");
}

TEST(CheckOptions, NamesTheLineOfAKeyThatIsNotKnown) {
  EXPECT_EQ(complaint("{\"must\": \"x\",\n\"txt\": \"t\"}"),
            "line 2: q.txt is not known for a quiescer of type 'every'");
}

TEST(CheckOptions, NamesTheOneThatIsMissing) { EXPECT_EQ(complaint("{}"), "line 1: q.must is missing"); }

TEST(CheckOptions, RefusesValuesOfAnotherType) {
  EXPECT_EQ(complaint(R"({"must": 1})"), "line 1: q.must must be a non-empty string");
  EXPECT_EQ(complaint(R"({"must": ""})"), "line 1: q.must must be a non-empty string");
  EXPECT_EQ(complaint(R"({"must": null})"), "line 1: q.must must be a non-empty string");
  EXPECT_EQ(complaint(R"({"must": "x", "flag": "true"})"), "line 1: q.flag must be true or false");
  EXPECT_EQ(complaint(R"({"must": "x", "list": "a"})"), "line 1: q.list must be a non-empty list of strings");
  EXPECT_EQ(complaint(R"({"must": "x", "list": []})"), "line 1: q.list must be a non-empty list of strings");
  EXPECT_EQ(complaint(R"({"must": "x", "list": ["a", 1]})"), "line 1: q.list must be a non-empty list of strings");
}

TEST(CheckOptions, RefusesNumbersOutOfRange) {
  for (const char* number : {"0", "121", "-1", "1.5", "\"5\"", "true"}) {
    EXPECT_EQ(complaint(std::string(R"({"must": "x", "number": )") + number + "}"),
              "line 1: q.number must be a whole number from 1 to 120");
  }
}

TEST(CheckOptions, NamesTheChoices) {
  EXPECT_EQ(complaint(R"({"must": "x", "choice": "always"})"), "line 1: q.choice must be one of: auto, never");
}

}  // namespace
}  // namespace dlm_freeze
