// SPDX-License-Identifier: Apache-2.0
#include "dlm_freeze/base/log.hpp"

#include <utility>

namespace dlm_freeze {

void LogChannel::write(LogLine line) {
  if (held_) {
    waiting_.push_back(std::move(line));
  } else if (output_) {
    output_->write(line);
  }
}

void LogChannel::resume() {
  held_ = false;
  for (LogLine& line : take_held()) write(std::move(line));
}

std::vector<LogLine> LogChannel::take_held() { return std::exchange(waiting_, {}); }

void Log::write(LogLevel level, const std::string& text) {
  if (level < threshold_) return;
  caller_.write({level, text});
  syslog_.write({level, text});
}

}  // namespace dlm_freeze
