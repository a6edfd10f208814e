// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "commands/dry_run_report.hpp"
#include "record/inventory.hpp"

namespace dlm_freeze {

/// What a probe found, for the inventory: whether a pre-script would succeed now, and what it would cover. Never what a
/// client of a database or the server itself has said: messages of a database may quote statements, names and
/// addresses, and the inventory is read by more people than the host is. Pure.
[[nodiscard]] InventoryItem inventory_of(const DryRunReport& report, const CommandContext& context, WallTime now);

/// The same where it ended before anything could be looked at.
[[nodiscard]] InventoryItem inventory_of(const Error& error, const CommandContext& context, WallTime now);

/// Writes the item into the directory that `--inventory` gives, or, where that is empty, into the agent's; what it said
/// of the last session stays. Errors: there is no such directory, or it cannot be written to.
[[nodiscard]] Result<void> publish(InventoryItem item, const Settings& settings);

}  // namespace dlm_freeze
