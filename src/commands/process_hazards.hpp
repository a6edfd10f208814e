// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "commands/hazards.hpp"

namespace dlm_freeze {

/// Processes that do harm when they have to wait for a thaw: those that decide on what others may open (fanotify(7)),
/// those that systemd ends when they are silent, those that log for all. Of each kind a hazard a process. Looks for no
/// longer than some hundred milliseconds.
[[nodiscard]] std::vector<Hazard> find_process_hazards(const HostPlan& plan, std::chrono::seconds auto_thaw,
                                                       const std::string& proc);

}  // namespace dlm_freeze
