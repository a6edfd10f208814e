// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace dlm_freeze {

enum class LogLevel { debug, info, warn, error };

struct LogLine {
  LogLevel level = LogLevel::info;
  std::string text;  ///< Without the level and without a final newline.
  /// Of a warning: whether the snapshot may be less consistent for it. False: other programs may block, no more.
  bool is_gap = true;
};

/// The word that stands before a line: "WARN".
[[nodiscard]] std::string_view level_word(LogLevel level);

/// The final destination of lines. Never called while they are held. An implementation waits for its reader for a
/// limited time; what does not fit by then is dropped and counted.
class LogOutput {
 public:
  LogOutput() = default;
  LogOutput(const LogOutput&) = delete;
  LogOutput& operator=(const LogOutput&) = delete;
  virtual ~LogOutput() = default;

  /// `line.text` is safe to print: LogChannel has escaped it.
  virtual void write(const LogLine& line) = 0;

  /// How many lines were dropped since this was last asked; the caller reports them.
  [[nodiscard]] virtual std::size_t take_dropped() { return 0; }
};

/// The line that reports dropped lines.
[[nodiscard]] std::string dropped_lines(std::size_t count);

/// One destination of log lines, which can be told to keep them in memory, since writing them may block on a frozen
/// filesystem. Lines may hold text from anywhere: what could forge a line or control a terminal is escaped here and
/// nowhere else, when they are written.
class LogChannel {
 public:
  /// `output` may be null: then lines are dropped.
  explicit LogChannel(std::unique_ptr<LogOutput> output) : output_(std::move(output)) {}

  void write(LogLine line);

  /// From now on lines wait in memory.
  void hold() noexcept { held_ = true; }

  /// Writes what has waited and goes back to writing at once.
  void resume();

  /// Hands over the waiting lines, for another process to write; the first says how many were dropped so far, if any
  /// were.
  [[nodiscard]] std::vector<LogLine> take_held();

 private:
  std::unique_ptr<LogOutput> output_;
  std::vector<LogLine> waiting_;
  bool held_ = false;
};

/// What a command says: to its caller (stdout and stderr) and to the host's log (syslog). Not for use by several
/// threads at once.
class Log {
 public:
  Log(std::unique_ptr<LogOutput> caller, std::unique_ptr<LogOutput> syslog, LogLevel threshold = LogLevel::info)
      : caller_(std::move(caller)), syslog_(std::move(syslog)), threshold_(threshold) {}

  void write(LogLevel level, const std::string& text);
  void debug(const std::string& text) { write(LogLevel::debug, text); }
  void info(const std::string& text) { write(LogLevel::info, text); }
  void warn(const std::string& text) { write(LogLevel::warn, text); }
  void error(const std::string& text) { write(LogLevel::error, text); }

  [[nodiscard]] LogChannel& caller() noexcept { return caller_; }
  [[nodiscard]] LogChannel& syslog() noexcept { return syslog_; }

 private:
  LogChannel caller_;
  LogChannel syslog_;
  LogLevel threshold_;
};

}  // namespace dlm_freeze
