// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

#include "dlm_freeze/base/deadline.hpp"
#include "session/plan.hpp"
#include "session/shared_state.hpp"

namespace dlm_freeze {

/// Does what a watchdog that died would have done: thaws, undoes what outlives the watchdog's database sessions, and
/// finishes the record, which the caller writes, with `end` if the session was held. `thaw` thaws and is true when
/// nothing is left; what does not return is waited for until `until`.
void take_over(SessionPlan& plan, SessionState& session, const std::function<bool(Deadline)>& thaw, Deadline until,
               SessionEnd end);

}  // namespace dlm_freeze
