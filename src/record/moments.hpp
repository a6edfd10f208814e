// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

#include "dlm_freeze/base/deadline.hpp"
#include "dlm_freeze/base/json.hpp"

namespace dlm_freeze {

// Moments in documents: on the wall clock in milliseconds since the epoch, on the boot clock in nanoseconds; 0 where
// one has not come. A damaged one is brought into what a clock can say (until 2223; 36 years), so that one can
// calculate with it.

[[nodiscard]] std::int64_t to_count(WallTime time);
[[nodiscard]] std::int64_t to_count(BootClock::time_point time);
[[nodiscard]] WallTime from_count(std::int64_t count);
[[nodiscard]] BootClock::time_point boot_from_count(std::int64_t count);

/// The bound of a wall clock's error in microseconds; null where it is not known. What no clock has that is kept by a
/// time service (less than nothing, more than an hour) is no bound.
[[nodiscard]] Json clock_error_json(std::optional<std::chrono::microseconds> clock_error);
[[nodiscard]] std::optional<std::chrono::microseconds> clock_error_from(const Json& object, std::string_view key);

}  // namespace dlm_freeze
