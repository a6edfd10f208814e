// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "commands/hazards.hpp"

namespace dlm_freeze {

/// Processes that do harm when they block until the thaw: those that approve what others open (fanotify(7)), those that
/// systemd kills when they are silent, those that log for others. One hazard for each process and kind. Takes half a
/// second at most.
[[nodiscard]] std::vector<Hazard> find_process_hazards(const HostPlan& plan, std::chrono::seconds auto_thaw,
                                                       const std::string& proc);

}  // namespace dlm_freeze
