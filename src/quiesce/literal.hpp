// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace dlm_freeze {

/// `text` as a literal: between two `quote`s, those in it doubled, and each character of `also_doubled` too.
[[nodiscard]] std::string literal(std::string_view text, char quote, std::string_view also_doubled = "");

/// A string literal of standard SQL: a quote is doubled, nothing else is special.
[[nodiscard]] std::string sql_literal(std::string_view text);

}  // namespace dlm_freeze
