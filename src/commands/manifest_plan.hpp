// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "commands/command_context.hpp"
#include "commands/host_plan.hpp"
#include "fs/attached_disks.hpp"

namespace dlm_freeze {

/// The manifests of the session `session_id`, for `filesystems`, which were opened for `plan`. Says which filesystems
/// get none: in an INFO line where that is by rule, else in a WARN. Without `settings.manifest` all get none, and those
/// of earlier sessions are removed.
[[nodiscard]] ManifestPlan plan_manifests(const HostPlan& plan, const FrozenFilesystems& filesystems,
                                          const std::string& session_id, const Settings& settings,
                                          CommandContext& context);

/// What is to watch that nothing is written to what lies below `filesystems` while they are held.
[[nodiscard]] HoldWitness plan_witness(const HostPlan& plan, const FrozenFilesystems& filesystems,
                                       const AttachedDisks& disks);

/// What each of `filesystems` lies on; as in SessionPlan.
[[nodiscard]] std::vector<std::vector<std::string>> volumes_below(const HostPlan& plan,
                                                                  const FrozenFilesystems& filesystems,
                                                                  const AttachedDisks& disks);

/// This host's name.
[[nodiscard]] std::string host_name();

/// A new UUID. Errors: the kernel does not give one.
[[nodiscard]] Result<std::string> new_session_id();

}  // namespace dlm_freeze
