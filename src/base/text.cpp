// SPDX-License-Identifier: Apache-2.0
#include "base/text.hpp"

#include <sys/sysmacros.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <system_error>

namespace dlm_freeze {
namespace {

constexpr std::string_view kBlanks = " \t\r\n\v\f";

}  // namespace

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

std::string_view next_word(std::string_view& text) {
  text.remove_prefix(std::min(text.find_first_not_of(kBlanks), text.size()));
  const std::size_t end = std::min(text.find_first_of(kBlanks), text.size());
  const std::string_view word = text.substr(0, end);
  text.remove_prefix(end);
  return word;
}

std::string count_of(std::size_t count, std::string_view noun) {
  return std::to_string(count) + " " + std::string(noun) + (count == 1 ? "" : "s");
}

std::string format_size(std::uint64_t bytes) {
  constexpr std::array<const char*, 6> kUnits = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  constexpr double kStep = 1024;
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= kStep && unit + 1 < kUnits.size()) {
    value /= kStep;
    ++unit;
  }
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), unit == 0 ? "%.0f %s" : "%.1f %s", value, kUnits.at(unit));
  return text.data();
}

std::optional<std::int64_t> parse_decimal(std::string_view text, std::int64_t least, std::int64_t most) {
  std::int64_t number = 0;
  const auto is_digit = [](char character) { return character >= '0' && character <= '9'; };
  if (!std::all_of(text.begin(), text.end(), is_digit)) return std::nullopt;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || number < least || number > most) return std::nullopt;
  return number;
}

std::string whole_number(std::int64_t most) { return "a whole number from 1 to " + std::to_string(most); }

bool is_treacherous(char32_t character) noexcept {
  struct Range {
    char32_t first;
    char32_t last;
  };
  constexpr std::array kRanges = {Range{0x00, 0x1F},     Range{0x7F, 0x9F},     Range{0x061C, 0x061C},
                                  Range{0x200E, 0x200F}, Range{0x2028, 0x202E}, Range{0x2066, 0x2069}};
  return std::any_of(kRanges.begin(), kRanges.end(),
                     [&](Range range) { return character >= range.first && character <= range.last; });
}

std::optional<char32_t> first_character(std::string_view text, std::size_t& size) noexcept {
  size = 1;
  const auto lead = static_cast<unsigned char>(text[0]);
  if (lead < 0x80) return lead;
  const std::size_t bytes = lead >= 0xF0 ? 4 : (lead >= 0xE0 ? 3 : 2);
  if (lead < 0xC2 || lead > 0xF4 || text.size() < bytes) return std::nullopt;
  char32_t character = lead & (0x7FU >> bytes);
  for (const char next : text.substr(1, bytes - 1)) {
    if ((next & 0xC0) != 0x80) return std::nullopt;
    character = (character << 6) | (next & 0x3F);
  }
  constexpr std::array<char32_t, 5> kLeast = {0, 0, 0x80, 0x800, 0x10000};  // By the number of bytes.
  const bool is_surrogate = character >= 0xD800 && character <= 0xDFFF;
  if (character < kLeast.at(bytes) || character > 0x10FFFF || is_surrogate) return std::nullopt;
  size = bytes;
  return character;
}

std::string printable(std::string_view text) {
  std::string safe;
  while (!text.empty()) {
    std::size_t size = 0;
    const auto character = first_character(text, size);
    const std::string_view bytes = text.substr(0, size);
    text.remove_prefix(size);
    if (character && *character != U'\\' && !is_treacherous(*character)) {
      safe += bytes;
      continue;
    }
    for (const char byte : bytes) {
      std::array<char, 8> escaped{};
      std::snprintf(escaped.data(), escaped.size(), "\\%03o", static_cast<unsigned char>(byte));
      safe += escaped.data();
    }
  }
  return safe;
}

std::string without_middle(std::string_view text, std::size_t most) {
  constexpr std::string_view kGap = " ... ";
  if (text.size() <= most) return std::string(text);
  const auto begins_character = [&](std::size_t at) { return at >= text.size() || (text[at] & 0xC0) != 0x80; };
  // The cause comes first, and what was listed in the middle.
  std::size_t head = (most - kGap.size()) * 2 / 3;
  std::size_t tail = text.size() - (most - kGap.size() - head);
  while (head > 0 && !begins_character(head)) --head;
  while (!begins_character(tail)) ++tail;
  return std::string(text.substr(0, head)) + std::string(kGap) + std::string(text.substr(tail));
}

std::string join(const std::vector<std::string>& words, std::string_view separator) {
  std::string text;
  for (const std::string& word : words) {
    if (!text.empty()) text += separator;
    text += word;
  }
  return text;
}

std::string list_of(const std::vector<std::string>& words, std::string_view separator) {
  if (words.size() <= kMostNamed) return join(words, separator);
  const std::vector<std::string> named(words.begin(), words.begin() + kMostNamed);
  return join(named, separator) + " and " + std::to_string(words.size() - kMostNamed) + " more";
}

std::string uuid_text(std::span<const std::uint8_t, 16> bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += kDigits[bytes[i] >> 4U];
    text += kDigits[bytes[i] & 0xFU];
  }
  return text;
}

std::string device_number(dev_t device) { return std::to_string(major(device)) + ":" + std::to_string(minor(device)); }

}  // namespace dlm_freeze
