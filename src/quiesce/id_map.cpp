// SPDX-License-Identifier: Apache-2.0
#include "quiesce/id_map.hpp"

#include <cstdint>

#include "base/text.hpp"

namespace dlm_freeze {
namespace {

constexpr std::int64_t kMostId = 0xFFFFFFFF;

struct Range {
  std::int64_t inside;
  std::int64_t outside;
  std::int64_t count;
};

std::optional<Range> range_of(std::string_view line) {
  const auto inside = parse_decimal(next_word(line), 0, kMostId);
  const auto outside = parse_decimal(next_word(line), 0, kMostId);
  const auto count = parse_decimal(next_word(line), 0, kMostId);
  if (!inside || !outside || !count) return std::nullopt;
  return Range{*inside, *outside, *count};
}

std::optional<unsigned> moved(std::string_view map, unsigned id, std::int64_t Range::*from, std::int64_t Range::*to) {
  for (const std::string_view line : split(map, '\n')) {
    const auto range = range_of(line);
    if (!range) continue;
    const std::int64_t offset = std::int64_t{id} - (*range).*from;
    if (offset >= 0 && offset < range->count) return static_cast<unsigned>((*range).*to + offset);
  }
  return std::nullopt;
}

}  // namespace

std::optional<unsigned> id_outside(std::string_view map, unsigned inside) {
  return moved(map, inside, &Range::inside, &Range::outside);
}

std::optional<unsigned> id_inside(std::string_view map, unsigned outside) {
  return moved(map, outside, &Range::outside, &Range::inside);
}

}  // namespace dlm_freeze
