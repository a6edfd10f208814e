// SPDX-License-Identifier: Apache-2.0
#include "dlm_freeze/base/json.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>

namespace dlm_freeze {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

Json parsed(std::string_view text) {
  auto json = Json::parse(text);
  EXPECT_TRUE(json) << json.error().message;
  return json ? *json : Json();
}

std::string complaint(std::string_view text) {
  const auto json = Json::parse(text);
  return json ? "nothing" : json.error().message;
}

TEST(Json, ReadsEveryKindOfValue) {
  const Json json = parsed(R"({"n": null, "b": true, "i": -7, "d": 1.5, "s": "x", "a": [1], "o": {}})");
  EXPECT_TRUE(std::holds_alternative<std::nullptr_t>(json.find("n")->value()));
  EXPECT_EQ(*json.find("b")->as_bool(), true);
  EXPECT_EQ(*json.find("i")->as_integer(), -7);
  EXPECT_EQ(std::get<double>(json.find("d")->value()), 1.5);
  EXPECT_EQ(*json.find("s")->as_string(), "x");
  EXPECT_EQ(json.find("a")->as_array()->size(), 1U);
  EXPECT_TRUE(json.find("o")->as_object()->empty());
  EXPECT_EQ(json.find("absent"), nullptr);
}

TEST(Json, GivesNullForAValueOfAnotherType) {
  const Json json = parsed("[1.0, \"1\", 1]");
  const Json::Array& array = *json.as_array();
  EXPECT_EQ(array[0].as_integer(), nullptr);
  EXPECT_EQ(array[1].as_integer(), nullptr);
  EXPECT_EQ(array[2].as_string(), nullptr);
  EXPECT_EQ(array[2].as_bool(), nullptr);
  EXPECT_EQ(array[2].find("key"), nullptr);
  EXPECT_EQ(json.as_object(), nullptr);
}

TEST(Json, KeepsTheOrderOfKeys) {
  const Json json = parsed(R"({"z": 1, "a": 2, "m": 3})");
  const auto& object = *json.as_object();
  ASSERT_EQ(object.size(), 3U);
  EXPECT_EQ(object[0].first, "z");
  EXPECT_EQ(object[1].first, "a");
  EXPECT_EQ(object[2].first, "m");
}

TEST(Json, KnowsTheLineOfEachMember) {
  const Json json = parsed(
      "{\n"                 // 1
      "  \"one\": 1,\n"     // 2
      "  \"two\":\n"        // 3
      "     2,\n"           // 4
      "  \"list\": [\n"     // 5
      "    \"a\",\n"        // 6
      "    {\"in\": 1},\n"  // 7
      "    8,\n"            // 8
      "    9\n"             // 9
      "  ], \"end\": 0\n"   // 10
      "}\n");
  EXPECT_EQ(json.line(), 1);
  EXPECT_EQ(json.find("one")->line(), 2);
  EXPECT_EQ(json.find("two")->line(), 3) << "where the key stands";
  EXPECT_EQ(json.find("list")->line(), 5);
  const auto& list = *json.find("list")->as_array();
  EXPECT_EQ(list[0].line(), 6);
  EXPECT_EQ(list[1].line(), 7);
  EXPECT_EQ(list[1].find("in")->line(), 7);
  EXPECT_EQ(list[2].line(), 8);
  EXPECT_EQ(json.find("end")->line(), 10);
}

// The parser reads one character beyond a number.
TEST(Json, KnowsTheLineOfANumberThatEndsIt) {
  const Json json = parsed("[\n1\n,\n2.5\n]");
  const auto& list = *json.as_array();
  EXPECT_EQ(list[0].line(), 2);
  EXPECT_EQ(list[1].line(), 4);
}

TEST(Json, HasNoLineWhenItWasNotRead) { EXPECT_EQ(Json(1).line(), 0); }

TEST(Json, AllowsComments) {
  const Json json = parsed("// first\n{ /* here\n and here */ \"a\": 1 // last\n}");
  EXPECT_EQ(*json.find("a")->as_integer(), 1);
  EXPECT_EQ(json.find("a")->line(), 3);
}

TEST(Json, RefusesACommentWithoutItsEnd) { EXPECT_THAT(complaint("{} /* "), StartsWith("line 1: ")); }

TEST(Json, RefusesAKeyThatStandsTwice) {
  EXPECT_EQ(complaint("{\"a\": 1,\n \"b\": 2,\n \"a\": 3}"), "line 3: the key 'a' appears twice");
}

TEST(Json, AllowsTheSameKeyInDifferentObjects) { EXPECT_EQ(complaint(R"({"a": {"a": 1}, "b": {"a": 1}})"), "nothing"); }

TEST(Json, NamesTheLineOfWhatIsNotJson) {
  EXPECT_THAT(complaint("{\n  \"a\": 1\n  \"b\": 2\n}"), StartsWith("line 3: "));
  EXPECT_THAT(complaint("{\n\n  nonsense\n}"), StartsWith("line 3: "));
  EXPECT_THAT(complaint(""), StartsWith("line 1: "));
  EXPECT_THAT(complaint("{\n\"a\": [1, 2\n"), HasSubstr("line "));
}

TEST(Json, RefusesTrailingText) {
  EXPECT_THAT(complaint("{}\n{}"), StartsWith("line 2: "));
  EXPECT_THAT(complaint("{} x"), StartsWith("line 1: "));
}

TEST(Json, RefusesWhatOtherReadersTakeForJson) {
  for (const char* text : {"{'a': 1}", "{a: 1}", "[1,]", "{\"a\": 1,}", "[01]", "[+1]", "[.5]", "[0x10]", "NaN",
                           "[Infinity]", "\"a\nb\"", "\"\\q\"", "[1 2]", "tru", "{\"a\"}", "]"}) {
    EXPECT_NE(complaint(text), "nothing") << text;
  }
}

TEST(Json, RefusesIntegersOutside64Bits) {
  EXPECT_EQ(*parsed("[9223372036854775807]").as_array()->front().as_integer(),
            std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(*parsed("[-9223372036854775808]").as_array()->front().as_integer(),
            std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(complaint("[\n9223372036854775808]"), "line 2: the number is too large");
}

TEST(Json, DoesNotTakeAHugeNumberForAnInteger) {
  const auto json = Json::parse("[123456789012345678901234567890]");
  EXPECT_TRUE(!json || json->as_array()->front().as_integer() == nullptr);
  EXPECT_NE(complaint("[1e999]"), "nothing");
}

TEST(Json, ReadsSixtyFourLevelsAndNoMore) {
  EXPECT_EQ(complaint(std::string(64, '[') + std::string(64, ']')), "nothing");
  EXPECT_EQ(complaint(std::string(65, '[') + std::string(65, ']')), "line 1: this is nested too deeply");
  EXPECT_EQ(complaint(std::string(1'000'000, '[')), "line 1: this is nested too deeply");
}

TEST(Json, RefusesTextThatIsNotUtf8) { EXPECT_NE(complaint("\"\xff\""), "nothing"); }

TEST(Json, ReadsEscapesAndUnicode) {
  EXPECT_EQ(*parsed(R"("\u00fc\n\"\\")").as_string(), "\xc3\xbc\n\"\\");
  EXPECT_EQ(*parsed("\"\xc3\xbc\"").as_string(), "\xc3\xbc");
}

TEST(Json, WritesWhatItReads) {
  const std::string text =
      "{\n  \"a\": [\n    1,\n    true,\n    null,\n    \"\xc3\xbc\"\n  ],\n  \"b\": {},\n  \"c\": 1.5\n}\n";
  EXPECT_EQ(parsed(text).dump(), text);
}

TEST(Json, ReplacesBytesThatAreNotUtf8WhenItWrites) {
  const std::string text = Json("/mnt/\xff\xfe x").dump();
  EXPECT_THAT(text, HasSubstr("\xef\xbf\xbd"));
  EXPECT_TRUE(Json::parse(text));
}

TEST(Json, EscapesControlCharactersWhenItWrites) { EXPECT_EQ(Json("a\nb\x1b").dump(), "\"a\\nb\\u001b\"\n"); }

TEST(Json, IsCopiedDeeply) {
  Json one = parsed(R"({"a": [1, {"b": 2}]})");
  const Json two = one;
  one = Json(1);
  EXPECT_EQ(*two.find("a")->as_array()->at(1).find("b")->as_integer(), 2);
}

TEST(Json, EscapesCharactersThatFoolATerminalAndReadsThemBack) {
  const std::string text = "\x1b\x7f\xc2\x9b \xe2\x80\xae \xe2\x81\xa6 M\xc3\xbcller \\ \"";
  const std::string written = Json(Json::Object{{text, text}}).dump_line();
  const std::string escaped = "\"\\u001b\\u007f\\u009b \\u202e \\u2066 M\xc3\xbcller \\\\ \\\"\"";
  EXPECT_EQ(written, "{" + escaped + ":" + escaped + "}\n");
  const auto again = Json::parse(written);
  ASSERT_TRUE(again) << again.error().message;
  ASSERT_NE(again->find(text), nullptr);
  EXPECT_EQ(*again->find(text)->as_string(), text);
}

}  // namespace
}  // namespace dlm_freeze
