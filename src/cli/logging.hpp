// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "dlm_freeze/base/log.hpp"

namespace dlm_freeze {

/// "INFO: text" and "WARN: text" on stdout, "ERROR: text" on stderr; the words coloured on a terminal, unless NO_COLOR
/// is set.
[[nodiscard]] std::unique_ptr<LogOutput> caller_output();

/// The same lines in the host's log: facility daemon, identity dlm-freeze. Where there is no log, nowhere.
[[nodiscard]] std::unique_ptr<LogOutput> syslog_output();

}  // namespace dlm_freeze
