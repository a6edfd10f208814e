// SPDX-License-Identifier: Apache-2.0
#include "commands/report.hpp"

#include <gtest/gtest.h>

#include <string>

namespace dlm_freeze {
namespace {

TEST(Printable, EscapesWhatWouldBreakALineOrATerminal) {
  EXPECT_EQ(printable("/data"), "/data");
  EXPECT_EQ(printable("/two words"), "/two words");
  EXPECT_EQ(printable("/two\nlines"), "/two\\012lines");
  EXPECT_EQ(printable("/a\ttab"), "/a\\011tab");
  EXPECT_EQ(printable("/\x1b[31mred"), "/\\033[31mred");
  EXPECT_EQ(printable("/back\\slash"), "/back\\134slash");
  EXPECT_EQ(printable("/del\x7f"), "/del\\177");
  EXPECT_EQ(printable(std::string("/nul\0x", 6)), "/nul\\000x");
}

TEST(Printable, LeavesUtf8Alone) { EXPECT_EQ(printable("/M\xc3\xbcller"), "/M\xc3\xbcller"); }

TEST(FormatSize, UsesBinaryUnits) {
  EXPECT_EQ(format_size(0), "0 B");
  EXPECT_EQ(format_size(1023), "1023 B");
  EXPECT_EQ(format_size(1024), "1.0 KiB");
  EXPECT_EQ(format_size(std::uint64_t{8} << 30), "8.0 GiB");
  EXPECT_EQ(format_size(std::uint64_t{1536} << 40), "1.5 PiB");
  EXPECT_EQ(format_size(~std::uint64_t{0}), "16384.0 PiB");
}

TEST(CountOf, HasASingular) {
  EXPECT_EQ(count_of(0, "filesystem"), "0 filesystems");
  EXPECT_EQ(count_of(1, "filesystem"), "1 filesystem");
  EXPECT_EQ(count_of(2, "filesystem"), "2 filesystems");
}

TEST(Join, PutsTheSeparatorBetweenWords) {
  EXPECT_EQ(join({}, ", "), "");
  EXPECT_EQ(join({"a"}, ", "), "a");
  EXPECT_EQ(join({"a", "", "b"}, ", "), "a, , b");
}

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

}  // namespace
}  // namespace dlm_freeze
