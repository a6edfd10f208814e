// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <optional>

namespace dlm_freeze {

/// How far the wall clock is from UTC at most, as the kernel knows it: |offset| + maxerror of adjtimex(2). Nothing
/// where no time service keeps it (TIME_ERROR or STA_UNSYNC), and then it may be off by any amount.
[[nodiscard]] std::optional<std::chrono::microseconds> clock_error() noexcept;

}  // namespace dlm_freeze
