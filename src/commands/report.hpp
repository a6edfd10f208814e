// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "commands/command_context.hpp"

namespace dlm_freeze {

/// The last line of pre-script and post-script when they succeed.
void log_completion(std::string_view command, CommandContext& context);

/// "1 filesystem", "3 filesystems".
[[nodiscard]] std::string count_of(std::size_t count, std::string_view noun);

/// Bytes for a person: "8.0 GiB".
[[nodiscard]] std::string format_size(std::uint64_t bytes);

/// Characters that would break a line or a terminal, as \ooo, the way /proc/self/mountinfo writes them.
[[nodiscard]] std::string printable(std::string_view text);

/// Words joined by `separator`.
[[nodiscard]] std::string join(const std::vector<std::string>& words, std::string_view separator);

/// Columns as wide as their widest cell, two blanks apart, each row indented by two; the last column is not padded.
class TextTable {
 public:
  explicit TextTable(std::vector<std::string> header) { rows_.push_back(std::move(header)); }
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  [[nodiscard]] std::string text() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace dlm_freeze
