// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "dlm_freeze/base/deadline.hpp"
#include "dlm_freeze/base/log.hpp"

namespace dlm_freeze {

/// How a command's lines reach its caller.
struct CallerOutputOptions {
  /// Every line on stderr: stdout is for a document.
  bool stdout_is_document = false;
  /// How long all lines of a run together may wait for a reader who does not read, each of stdout and stderr by itself.
  BootClock::duration patience = std::chrono::hours(24);
};

/// Whether `fd` is a terminal that may be sent escape sequences: not with NO_COLOR set, nor where TERM is absent or
/// dumb.
[[nodiscard]] bool takes_escapes(int fd);

/// "INFO: text" and "WARN: text" on stdout, "ERROR: text" on stderr; the words coloured on a terminal, unless NO_COLOR
/// is set. An ERROR keeps its beginning and its end, and loses its middle where that takes it beyond what DLM shows.
[[nodiscard]] std::unique_ptr<LogOutput> caller_output(const CallerOutputOptions& options = {});

/// The same lines in the host's log, over the socket of syslog(3) at `path`: facility daemon, identity
/// dlm-freeze[<process>]. Where there is no log, nowhere. A log daemon that does not read is waited for 50 ms in all:
/// time for one that is merely busy.
[[nodiscard]] std::unique_ptr<LogOutput> syslog_output(const std::string& path = "/dev/log");

}  // namespace dlm_freeze
