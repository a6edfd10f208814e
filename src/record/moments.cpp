// SPDX-License-Identifier: Apache-2.0
#include "record/moments.hpp"

#include <algorithm>

namespace dlm_freeze {

std::int64_t to_count(WallTime time) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
}

std::int64_t to_count(BootClock::time_point time) { return time.time_since_epoch().count(); }

WallTime from_count(std::int64_t count) {
  constexpr std::int64_t kLatest = 8'000'000'000'000;
  return WallTime(std::chrono::milliseconds(std::clamp<std::int64_t>(count, 0, kLatest)));
}

BootClock::time_point boot_from_count(std::int64_t count) {
  constexpr std::int64_t kLatest = std::int64_t{1} << 60;
  return BootClock::time_point(BootClock::duration(std::clamp<std::int64_t>(count, 0, kLatest)));
}

Json clock_error_json(std::optional<std::chrono::microseconds> clock_error) {
  return clock_error ? Json(std::int64_t{clock_error->count()}) : Json();
}

std::optional<std::chrono::microseconds> clock_error_from(const Json& object, std::string_view key) {
  const Json* member = object.find(key);
  const std::int64_t* count = member != nullptr ? member->as_integer() : nullptr;
  if (count == nullptr) return std::nullopt;
  const std::chrono::microseconds error(*count);
  const bool is_bound = error >= error.zero() && error <= std::chrono::hours(1);
  return is_bound ? std::optional(error) : std::nullopt;
}

}  // namespace dlm_freeze
