// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "dlm_freeze/base/unique_fd.hpp"
#include "dlm_freeze/watchdog/session_plan.hpp"

namespace dlm_freeze {

/// The watchdog process, from just after the fork to its end. `channel` leads to pre-script, `freezer_life` reports
/// the end of the freezer.
[[noreturn]] void run_watchdog(SessionPlan& plan, UniqueFd channel, UniqueFd freezer_life);

}  // namespace dlm_freeze
