// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "dlm_freeze/base/deadline.hpp"

namespace dlm_freeze {

/// A moment as ISO 8601 writes it, with date, time and zone: "2026-11-30T02:15:00Z", "2026-11-30T02:15:00.250+00:00".
/// Of a fraction microseconds count. Nothing where it is written in another way, or there is no such day or time.
[[nodiscard]] std::optional<WallTime> parse_utc(std::string_view text);

/// "2026-11-30T02:15:00.250Z"
[[nodiscard]] std::string format_utc_milliseconds(WallTime when);

}  // namespace dlm_freeze
