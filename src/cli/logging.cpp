// SPDX-License-Identifier: Apache-2.0
#include "cli/logging.hpp"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/ansicolor_sink.h>
#include <spdlog/sinks/syslog_sink.h>

#include <cstdlib>
#include <utility>

namespace dlm_freeze {
namespace {

spdlog::level::level_enum to_library(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return spdlog::level::debug;
    case LogLevel::info:
      return spdlog::level::info;
    case LogLevel::warn:
      return spdlog::level::warn;
    case LogLevel::error:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

/// The level as the callers of this program know it: "WARN", not "warning".
class LevelWord final : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm& /*time*/, spdlog::memory_buf_t& out) override {
    const char* word = "INFO";
    if (message.level == spdlog::level::debug) word = "DEBUG";
    if (message.level == spdlog::level::warn) word = "WARN";
    if (message.level == spdlog::level::err) word = "ERROR";
    out.append(std::string_view(word));
  }
  [[nodiscard]] std::unique_ptr<custom_flag_formatter> clone() const override { return std::make_unique<LevelWord>(); }
};

std::unique_ptr<spdlog::formatter> formatter() {
  auto lines = std::make_unique<spdlog::pattern_formatter>(spdlog::pattern_time_type::utc);
  lines->add_flag<LevelWord>('*').set_pattern("%^%*%$: %v");
  return lines;
}

spdlog::details::log_msg to_library(const LogLine& line) { return {"", to_library(line.level), line.text}; }

class CallerOutput final : public LogOutput {
 public:
  CallerOutput() : out_(colours()), error_(colours()) {
    out_.set_formatter(formatter());
    error_.set_formatter(formatter());
  }

  void write(const LogLine& line) override {
    if (line.level == LogLevel::error) {
      error_.log(to_library(line));
      error_.flush();
    } else {
      out_.log(to_library(line));
      out_.flush();
    }
  }

 private:
  static spdlog::color_mode colours() {
    return std::getenv("NO_COLOR") != nullptr ? spdlog::color_mode::never
                                              : spdlog::color_mode::automatic;  // NOLINT(concurrency-mt-unsafe)
  }

  spdlog::sinks::ansicolor_stdout_sink_st out_;
  spdlog::sinks::ansicolor_stderr_sink_st error_;
};

class SyslogOutput final : public LogOutput {
 public:
  SyslogOutput() : sink_("dlm-freeze", LOG_PID, LOG_DAEMON, /*enable_formatting=*/true) {
    sink_.set_formatter(formatter());
  }
  void write(const LogLine& line) override { sink_.log(to_library(line)); }

 private:
  spdlog::sinks::syslog_sink_st sink_;
};

}  // namespace

std::unique_ptr<LogOutput> caller_output() { return std::make_unique<CallerOutput>(); }

std::unique_ptr<LogOutput> syslog_output() { return std::make_unique<SyslogOutput>(); }

}  // namespace dlm_freeze
