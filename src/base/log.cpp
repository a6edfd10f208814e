// SPDX-License-Identifier: Apache-2.0
#include "dlm_freeze/base/log.hpp"

#include <utility>

#include "base/text.hpp"

namespace dlm_freeze {

std::string_view level_word(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return "DEBUG";
    case LogLevel::info:
      return "INFO";
    case LogLevel::warn:
      return "WARN";
    case LogLevel::error:
      return "ERROR";
  }
  return "INFO";
}

std::string dropped_lines(std::size_t count) {
  return count_of(count, "line") + (count == 1 ? " was" : " were") + " dropped: nobody read what was written before";
}

void LogChannel::write(LogLine line) {
  if (held_) {
    waiting_.push_back(std::move(line));
  } else if (output_) {
    line.text = printable(line.text);
    output_->write(line);
  }
}

void LogChannel::resume() {
  held_ = false;
  for (LogLine& line : std::exchange(waiting_, {})) write(std::move(line));
}

std::vector<LogLine> LogChannel::take_held() {
  std::vector<LogLine> lines;
  if (const std::size_t dropped = output_ ? output_->take_dropped() : 0; dropped > 0) {
    lines.push_back({LogLevel::warn, dropped_lines(dropped)});
  }
  for (LogLine& line : std::exchange(waiting_, {})) lines.push_back(std::move(line));
  return lines;
}

void Log::write(LogLevel level, const std::string& text) {
  if (level < threshold_) return;
  caller_.write({level, text});
  syslog_.write({level, text});
}

}  // namespace dlm_freeze
