// SPDX-License-Identifier: Apache-2.0
#include "base/text.hpp"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

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

TEST(Printable, LeavesUtf8Alone) {
  for (const char* text :
       {"/M\xc3\xbcller", "\xe6\x97\xa5\xe6\x9c\xac", "\xf0\x9f\x92\xbe", "\xc2\xa0", "\xef\xbf\xbd"}) {
    EXPECT_EQ(printable(text), text);
  }
}

TEST(Printable, EscapesWhatIsNotUtf8) {
  EXPECT_EQ(printable("/\xff"), "/\\377");
  EXPECT_EQ(printable("\xc3"), "\\303") << "cut off";
  EXPECT_EQ(printable("\xe6\x97"), "\\346\\227") << "cut off";
  EXPECT_EQ(printable("\xc3("), "\\303(");
  EXPECT_EQ(printable("\xc0\x8a"), "\\300\\212") << "a line feed in two bytes";
  EXPECT_EQ(printable("\xe0\x80\x8a"), "\\340\\200\\212");
  EXPECT_EQ(printable("\xed\xa0\x80"), "\\355\\240\\200") << "half a surrogate pair";
  EXPECT_EQ(printable("\xf4\x90\x80\x80"), "\\364\\220\\200\\200") << "beyond U+10FFFF";
}

TEST(Printable, EscapesCharactersThatFoolATerminalOrItsReader) {
  EXPECT_EQ(printable("\xc2\x9b"
                      "2J"),
            "\\302\\2332J")
      << "CSI";
  EXPECT_EQ(printable("\xc2\x85"), "\\302\\205") << "next line";
  EXPECT_EQ(printable("\xe2\x80\xa8"), "\\342\\200\\250") << "line separator";
  EXPECT_EQ(printable("\xe2\x80\xae"), "\\342\\200\\256") << "right-to-left override";
  EXPECT_EQ(printable("\xe2\x81\xa7"), "\\342\\201\\247") << "right-to-left isolate";
}

TEST(Printable, IsPrintableWhateverItWasMadeOf) {
  unsigned seed = 1;
  for (int round = 0; round < 2000; ++round) {
    std::string text;
    for (int i = 0; i < 12; ++i) text += static_cast<char>((seed = seed * 1664525 + 1013904223) >> 24);
    const std::string safe = printable(text);
    for (std::string_view rest = safe; !rest.empty();) {
      std::size_t size = 0;
      const auto character = first_character(rest, size);
      ASSERT_TRUE(character && !is_treacherous(*character)) << safe;
      rest.remove_prefix(size);
    }
  }
}

TEST(WithoutMiddle, KeepsBothEnds) {
  EXPECT_EQ(without_middle("short", 5), "short");
  const std::string text = "the cause" + std::string(1000, 'x') + "the code";
  const std::string shorter = without_middle(text, 100);
  EXPECT_LE(shorter.size(), 100U);
  EXPECT_TRUE(shorter.starts_with("the cause") && shorter.ends_with("the code")) << shorter;
  EXPECT_NE(shorter.find("x ... x"), std::string::npos);
}

TEST(WithoutMiddle, CutsNoCharacter) {
  std::string text;
  for (int i = 0; i < 100; ++i) text += "\xe6\x97\xa5";
  for (std::size_t most = 20; most < 40; ++most) {
    const std::string shorter = without_middle(text, most);
    EXPECT_LE(shorter.size(), most);
    EXPECT_EQ(printable(shorter), shorter);
  }
}

TEST(ParseDecimal, TakesDigitsAndNothingElse) {
  EXPECT_EQ(parse_decimal("1", 1, 60), 1);
  EXPECT_EQ(parse_decimal("60", 1, 60), 60);
  EXPECT_EQ(parse_decimal("010", 1, 60), 10) << "not octal";
  for (const char* text :
       {"", "0", "61", "0x10", "+5", "-5", " 5", "5 ", "5s", "1e1", "5.0", "1'0", "99999999999999999999", "\xd9\xa5"}) {
    EXPECT_FALSE(parse_decimal(text, 1, 60)) << text;
  }
}

TEST(ListOf, NamesTheFirstFive) {
  EXPECT_EQ(list_of({}), "");
  EXPECT_EQ(list_of({"a", "b"}), "a, b");
  EXPECT_EQ(list_of({"a", "b", "c", "d", "e"}), "a, b, c, d, e");
  EXPECT_EQ(list_of(std::vector<std::string>(60, "x")), "x, x, x, x, x and 55 more");
}

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

}  // namespace
}  // namespace dlm_freeze
