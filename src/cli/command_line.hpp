// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/exit_code.hpp"
#include "commands/verify/request.hpp"
#include "dlm_freeze/base/deadline.hpp"
#include "dlm_freeze/base/error.hpp"
#include "dlm_freeze/base/log.hpp"

namespace dlm_freeze {

/// What the command line says; what it does not say is empty.
struct CommandLine {
  Command command = Command::status;
  std::optional<std::string> config;
  LogLevel log_level = LogLevel::info;
  std::optional<std::string> state_directory;
  std::optional<std::string> execution_id;
  std::optional<std::string> group_id;
  std::optional<WallTime> hold_at;
  std::optional<int> auto_thaw;
  std::optional<int> timeout;
  std::optional<int> memory;  ///< MiB
  bool probe = false;
  bool all = false;
  std::optional<std::string> inventory;  ///< Empty: the SSM agent's directory.
  std::optional<int> write_speed;        ///< MiB a second.
  bool json = false;
  bool watch = false;
  std::optional<std::string> metrics_file;
  std::optional<int> last;
  std::vector<std::string> paths;  ///< Of verify.
  bool cut = false;                ///< Of verify: `paths` are the histories of several hosts.
  std::optional<std::string> snapshots;
  VerifyRequest verify;  ///< But for its paths.

  /// Set for --help and --version: print this and be done.
  std::optional<std::string> text;
};

/// Errors are of kind `usage`.
[[nodiscard]] Result<CommandLine> parse_command_line(int argc, const char* const* argv);

/// The word for it on the command line.
[[nodiscard]] std::string_view to_string(Command command);

}  // namespace dlm_freeze
