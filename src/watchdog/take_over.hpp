// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "dlm_freeze/base/deadline.hpp"
#include "dlm_freeze/fs/frozen_filesystems.hpp"
#include "dlm_freeze/watchdog/session_plan.hpp"
#include "watchdog/session_state.hpp"

namespace dlm_freeze {

/// Does what a watchdog that died would have done: thaws, undoes what outlives the watchdog's database sessions, and
/// finishes the record, which the caller writes. Filesystems whose thaw does not return are waited for until `until`.
void take_over(SessionPlan& plan, SessionState& session, Thawer& thawer, Deadline until);

}  // namespace dlm_freeze
