// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>
#include <vector>

namespace dlm_freeze {

/// Without the blanks, tabs and line ends around it.
[[nodiscard]] std::string_view trimmed(std::string_view text);

/// The parts between the separators: one more than there are separators.
[[nodiscard]] std::vector<std::string_view> split(std::string_view text, char separator);

/// The first word of `text`, which loses it; empty when there is none.
[[nodiscard]] std::string_view next_word(std::string_view& text);

}  // namespace dlm_freeze
