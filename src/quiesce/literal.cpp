// SPDX-License-Identifier: Apache-2.0
#include "quiesce/literal.hpp"

namespace dlm_freeze {

std::string literal(std::string_view text, char quote, std::string_view also_doubled) {
  std::string whole(1, quote);
  for (const char letter : text) {
    if (letter == quote || also_doubled.find(letter) != std::string_view::npos) whole += letter;
    whole += letter;
  }
  return whole + quote;
}

std::string sql_literal(std::string_view text) { return literal(text, '\''); }

}  // namespace dlm_freeze
