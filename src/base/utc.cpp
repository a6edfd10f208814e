// SPDX-License-Identifier: Apache-2.0
#include "base/utc.hpp"

#include <array>
#include <chrono>
#include <cstdio>

#include "base/text.hpp"

namespace dlm_freeze {
namespace {

/// Takes such a number of that many digits off the front of `text`.
std::optional<int> take_number(std::string_view& text, std::size_t digits, int least, int most) {
  const auto number = parse_decimal(text.substr(0, digits), least, most);
  if (!number || text.size() < digits) return std::nullopt;
  text.remove_prefix(digits);
  return static_cast<int>(*number);
}

bool take(std::string_view& text, char character) {
  if (!text.starts_with(character)) return false;
  text.remove_prefix(1);
  return true;
}

std::optional<std::chrono::sys_days> take_date(std::string_view& text) {
  const auto year = take_number(text, 4, 1970, 2200);
  if (!year || !take(text, '-')) return std::nullopt;
  const auto month = take_number(text, 2, 1, 12);
  if (!month || !take(text, '-')) return std::nullopt;
  const auto day = take_number(text, 2, 1, 31);
  if (!day) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(*year), std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  return date.ok() ? std::optional(std::chrono::sys_days(date)) : std::nullopt;
}

/// "02:15"
std::optional<std::chrono::minutes> take_hour_and_minute(std::string_view& text) {
  const auto hour = take_number(text, 2, 0, 23);
  if (!hour || !take(text, ':')) return std::nullopt;
  const auto minute = take_number(text, 2, 0, 59);
  if (!minute) return std::nullopt;
  return std::chrono::hours(*hour) + std::chrono::minutes(*minute);
}

/// ".250", or nothing at all.
std::optional<std::chrono::microseconds> take_fraction(std::string_view& text) {
  if (!take(text, '.')) return std::chrono::microseconds(0);
  std::int64_t fraction = 0;
  std::int64_t unit = 100'000;
  std::size_t digits = 0;
  for (; digits < text.size() && text[digits] >= '0' && text[digits] <= '9'; ++digits) {
    fraction += unit * (text[digits] - '0');
    unit /= 10;
  }
  if (digits == 0) return std::nullopt;
  text.remove_prefix(digits);
  return std::chrono::microseconds(fraction);
}

/// "Z", "+01:00"
std::optional<std::chrono::minutes> take_zone(std::string_view& text) {
  if (take(text, 'Z')) return std::chrono::minutes(0);
  const bool is_west = text.starts_with('-');
  if (!take(text, is_west ? '-' : '+')) return std::nullopt;
  const auto offset = take_hour_and_minute(text);
  if (!offset) return std::nullopt;
  return is_west ? -*offset : *offset;
}

}  // namespace

std::optional<WallTime> parse_utc(std::string_view text) {
  const auto date = take_date(text);
  if (!date || !take(text, 'T')) return std::nullopt;
  const auto time = take_hour_and_minute(text);
  if (!time || !take(text, ':')) return std::nullopt;
  const auto second = take_number(text, 2, 0, 59);
  if (!second) return std::nullopt;
  const auto fraction = take_fraction(text);
  if (!fraction) return std::nullopt;
  const auto zone = take_zone(text);
  if (!zone || !text.empty()) return std::nullopt;
  return WallTime(*date) + *time + std::chrono::seconds(*second) + *fraction - *zone;
}

std::string format_utc_milliseconds(WallTime when) {
  const auto second = std::chrono::floor<std::chrono::seconds>(when);
  const auto rest = std::chrono::duration_cast<std::chrono::milliseconds>(when - second).count();
  std::array<char, 8> fraction{};
  std::snprintf(fraction.data(), fraction.size(), ".%03dZ", static_cast<int>(rest));
  std::string text = format_utc(second);
  text.pop_back();
  return text + fraction.data();
}

}  // namespace dlm_freeze
