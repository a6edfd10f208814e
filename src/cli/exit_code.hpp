// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "dlm_freeze/base/error.hpp"

namespace dlm_freeze {

enum class Command { pre_script, post_script, dry_run, status, history, verify };

/// The exit codes that callers act on; README.md says what each means.
enum class ExitCode {
  ok = 0,
  usage = 1,      ///< Of verify also: something is bad.
  unchecked = 2,  ///< Of verify alone: something could not be checked.
  pre_script_failed = 201,
  post_script_failed = 202,
  auto_thawed = 203,
  already_frozen = 204,
  not_frozen = 205,
  not_ready = 206,
};

/// What a command exits with when it has failed with an error of that kind.
[[nodiscard]] ExitCode exit_code(Command command, ErrorKind kind);

}  // namespace dlm_freeze
