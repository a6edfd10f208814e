// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/command_line.hpp"
#include "commands/command_context.hpp"
#include "dlm_freeze/base/error.hpp"

namespace dlm_freeze {

/// Puts together what a command goes by: the command line wins over the configuration file, that over the environment
/// (AUTO_THAW_DURATION_SECS), that over the defaults. post-script and status read no configuration.
[[nodiscard]] Result<Settings> resolve_settings(const CommandLine& line, QuiescerRegistry& registry);

}  // namespace dlm_freeze
