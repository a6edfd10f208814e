// SPDX-License-Identifier: Apache-2.0
#include "commands/report.hpp"

#include <gtest/gtest.h>

#include <string>

namespace dlm_freeze {
namespace {

TEST(TextTable, AlignsItsColumns) {
  TextTable table({"A", "LONG HEADER", "LAST"});
  table.add({"wide cell", "x", "y"});
  table.add({"", "", ""});
  EXPECT_EQ(table.text(),
            "  A          LONG HEADER  LAST\n"
            "  wide cell  x            y\n"
            "\n");
}

TEST(TextTable, CountsCharactersAndNotBytes) {
  TextTable table({"A", "B"});
  table.add({"M\xc3\xbcller", "x"});
  table.add({"Muller", "x"});
  EXPECT_EQ(table.text(), "  A       B\n  M\xc3\xbcller  x\n  Muller  x\n");
}

TEST(TextTable, LetsNoCellForgeAnother) {
  TextTable table({"A", "B"});
  table.add({"a\n  b", "x\x1b[2J"});
  EXPECT_EQ(table.text(), "  A         B\n  a\\012  b  x\\033[2J\n");
}

TEST(TextLine, IsOne) { EXPECT_EQ(text_line("one\nERROR: two"), "one\\012ERROR: two\n"); }

}  // namespace
}  // namespace dlm_freeze
