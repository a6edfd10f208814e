// SPDX-License-Identifier: Apache-2.0
#include "commands/report.hpp"

#include <algorithm>
#include <utility>

namespace dlm_freeze {
namespace {

/// Columns that a UTF-8 text takes on a terminal, taking every character for one.
std::size_t width(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char byte) { return (byte & 0xC0) != 0x80; }));
}

}  // namespace

void log_start(std::string_view command, const std::string& execution_id, Log& log) {
  log.info(std::string(command) + " starting at " + format_utc(std::chrono::system_clock::now()) +
           " with executionId: " + execution_id);
}

void log_completion(std::string_view command, CommandContext& context) {
  context.log.info(std::string(command) + " completed at " + format_utc(std::chrono::system_clock::now()) +
                   ". Total runtime: " + format_seconds(BootClock::now() - context.started) + " seconds.");
}

std::string text_line(std::string_view text) { return printable(text) + "\n"; }

void TextTable::add(const std::vector<std::string>& cells) {
  std::vector<std::string> row;
  row.reserve(cells.size());
  for (const std::string& cell : cells) row.push_back(printable(cell));
  rows_.push_back(std::move(row));
}

std::string TextTable::text() const {
  std::vector<std::size_t> widths(rows_.front().size());
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width(row[i]));
  }
  std::string text;
  for (const auto& row : rows_) {
    std::string line = " ";
    for (std::size_t i = 0; i < row.size(); ++i) {
      line += " " + row[i];
      if (i + 1 < row.size()) line += std::string(widths[i] - width(row[i]) + 1, ' ');
    }
    text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return text;
}

}  // namespace dlm_freeze
