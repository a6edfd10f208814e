// SPDX-License-Identifier: Apache-2.0
#include "quiesce/literal.hpp"

#include <gtest/gtest.h>

namespace dlm_freeze {
namespace {

TEST(Literal, OfSqlDoublesQuotesAlone) {
  EXPECT_EQ(sql_literal(""), "''");
  EXPECT_EQ(sql_literal("it's; DROP"), "'it''s; DROP'");
  EXPECT_EQ(sql_literal("''"), "''''''");
  EXPECT_EQ(sql_literal("a\\'\""), "'a\\''\"'");
}

TEST(Literal, DoublesWhatElseIsSpecial) {
  EXPECT_EQ(literal(R"(a'b\c")", '\'', "\\"), R"('a''b\\c"')");
  EXPECT_EQ(literal(R"(a'b\c")", '"'), R"("a'b\c""")");
}

}  // namespace
}  // namespace dlm_freeze
