// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/text.hpp"
#include "commands/command_context.hpp"

namespace dlm_freeze {

/// The last line of pre-script and post-script when they succeed.
void log_completion(std::string_view command, CommandContext& context);

/// A line of a report, with its end. What could forge another one is escaped, as in TextTable.
[[nodiscard]] std::string text_line(std::string_view text);

/// Columns as wide as their widest cell, two blanks apart, each row indented by two; the last column is not padded.
class TextTable {
 public:
  explicit TextTable(std::vector<std::string> header) { rows_.push_back(std::move(header)); }
  void add(const std::vector<std::string>& cells);
  [[nodiscard]] std::string text() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace dlm_freeze
