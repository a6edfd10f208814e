// SPDX-License-Identifier: Apache-2.0
#include "commands/verify/extra_checks.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dlm_freeze {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(ExtraChecks, AreReadByTheDatabasesName) {
  const auto all = parse_extra_checks(R"({"databases": {
    "main": {"server": "/opt/mariadbd", "options": ["--a", "--b"],
             "canaries": [{"statement": "SELECT 1", "answer": "1", "database": "shop"}]},
    "iris": {"hook": ["/usr/bin/check", "all"]}, "pg": {"user": "admin"}}})");
  ASSERT_TRUE(all) << all.error().message;
  ASSERT_EQ(all->size(), 3U);
  EXPECT_EQ(all->at(0).name, "main");
  EXPECT_EQ(all->at(0).server, "/opt/mariadbd");
  EXPECT_THAT(all->at(0).options, ElementsAre("--a", "--b"));
  EXPECT_EQ(all->at(0).canaries.at(0).database, "shop");
  EXPECT_THAT(all->at(1).hook, ElementsAre("/usr/bin/check", "all"));
  EXPECT_EQ(all->at(2).user, "admin");
}

TEST(ExtraChecks, AreRefusedWithTheReason) {
  const auto why = [](const std::string& text) {
    const auto all = parse_extra_checks(text);
    return all ? std::string("none") : all.error().message;
  };
  EXPECT_THAT(why("{"), HasSubstr("line"));
  EXPECT_THAT(why("{}"), HasSubstr("databases"));
  EXPECT_THAT(why(R"({"databases": {}, "more": 1})"), HasSubstr("only key is databases"));
  EXPECT_THAT(why(R"({"databases": {"a": 1}})"), HasSubstr("'a' must be an object"));
  EXPECT_THAT(why(R"({"databases": {"a": {"canary": []}}})"), HasSubstr("unknown key 'canary'"));
  EXPECT_THAT(why(R"({"databases": {"a": {"canaries": 1}}})"), HasSubstr("canaries must be a list"));
  EXPECT_THAT(why(R"({"databases": {"a": {"canaries": [{"answer": "1"}]}}})"), HasSubstr("needs a statement"));
  EXPECT_THAT(why(R"({"databases": {"a": {"canaries": [{"statement": "x", "expect": "1"}]}}})"), HasSubstr("'expect'"));
  EXPECT_THAT(why(R"({"databases": {"a": {"hook": ["check"]}}})"), HasSubstr("'check' is no absolute path"));
  EXPECT_THAT(why(R"({"databases": {"a": {"options": "--x"}}})"), HasSubstr("options must be a list of texts"));
  EXPECT_THAT(why(R"({"databases": {"a": {"server": 1}}})"), HasSubstr("server must be a text"));
}

}  // namespace
}  // namespace dlm_freeze
