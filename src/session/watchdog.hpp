// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "dlm_freeze/base/unique_fd.hpp"
#include "session/plan.hpp"
#include "session/shared_state.hpp"

namespace dlm_freeze {

/// The watchdog process, from just after the fork to its end. `channel` leads to pre-script; `life_lines` as for
/// Thawer.
[[noreturn]] void run_watchdog(SessionPlan& plan, SessionState& session, UniqueFd channel,
                               const std::vector<int>& life_lines);

}  // namespace dlm_freeze
