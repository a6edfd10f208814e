// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <vector>

#include "commands/command_context.hpp"
#include "fs/mount_table.hpp"

namespace dlm_freeze {

/// A database that is configured or was found, and what can be said of it without logging in.
struct FoundQuiescer {
  PlannedQuiescer planned;
  Presence presence;
};

/// Everything pre-script is going to do, before it does any of it.
struct HostPlan {
  MountTable table;
  FreezePlan freeze;
  std::vector<FoundQuiescer> quiescers;
  Result<void> databases_known;  ///< An error: `quiescers` lacks what could not be looked for, and pre-script fails.

  /// Whether the filesystem that holds `path` is going to be frozen. Symbolic links in `path` are followed.
  [[nodiscard]] Coverage coverage(const std::string& path) const;

  /// The deadline of the session: `wanted`, or less where a database must not be frozen for so long, with a WARN.
  [[nodiscard]] std::chrono::seconds auto_thaw(std::chrono::seconds wanted, Log& log) const;
};

/// Looks at the host and decides. Errors: the mount table cannot be read.
[[nodiscard]] Result<HostPlan> plan_host(const Settings& settings, CommandContext& context);

/// Fails when this process must not freeze: FIFREEZE needs CAP_SYS_ADMIN.
[[nodiscard]] Result<void> check_privilege();

}  // namespace dlm_freeze
