// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "dlm_freeze/base/error.hpp"
#include "session/plan.hpp"

namespace dlm_freeze {

/// Makes once, where it does no harm, what this process does only when a session ends: a filter of system calls
/// (seccomp(2)) that refuses one or kills for it does so before anything is frozen. `harmless` is a descriptor of
/// nothing that can be frozen, such as an event's. Error: a thaw is refused.
[[nodiscard]] Result<void> rehearse_end(const SessionPlan& plan, int harmless);

}  // namespace dlm_freeze
