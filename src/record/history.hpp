// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "dlm_freeze/base/error.hpp"
#include "record/session_record.hpp"

namespace dlm_freeze {

/// Sessions that have ended, in a file that is only appended to: one JSON document a line, oldest first. When it has
/// grown over a limit it becomes `<file>.1` and a new one is begun, so that two files of bounded size hold at least the
/// last hundred sessions of a large host.
inline constexpr const char* kDefaultHistoryFile = "/var/lib/dlm-freeze/history.jsonl";

/// Where a history that has grown over its limit is moved to.
[[nodiscard]] std::string previous_history(const std::string& file);

/// Adds `record` to the file that it names, if any, replaces the file of metrics that it names, if any, and what the
/// item of the inventory that it names says of the last session. Makes the
/// history's directory (not its parents). Only after the thaw, and when nobody waits for this process: either file may
/// lie on a filesystem that another program keeps frozen. Errors: the first; what can be written is written all the
/// same.
[[nodiscard]] Result<void> remember(const SessionRecord& record);

/// The same in a child process, for a caller that must not wait: for at most `patience`; then the child goes on alone.
[[nodiscard]] Result<void> remember_for(const SessionRecord& record, BootClock::duration patience);

/// What is in `file` and the one before it, oldest first; nothing when there is none. Lines that are damaged (a host
/// that lost power) are left out.
[[nodiscard]] Result<std::vector<SessionRecord>> read_history(const std::string& file);

/// The ended session in the exposition format of Prometheus, for the textfile collector of its node exporter.
[[nodiscard]] std::string metrics_of(const SessionRecord& record);

}  // namespace dlm_freeze
