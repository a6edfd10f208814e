// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <vector>

#include "dlm_freeze/base/deadline.hpp"
#include "record/session_record.hpp"
#include "session/plan.hpp"
#include "session/shared_state.hpp"

namespace dlm_freeze {

/// The sentinel process, from just after the fork to its end: waits, and does the watchdog's work if `watchdog` dies or
/// is late. `channel` is held open and never used. `life_lines` as for Thawer. `record_file` is for the record of an
/// end without the watchdog. Nothing here needs a file that is not open, until all is thawed.
[[noreturn]] void run_sentinel(SessionPlan& plan, SessionState& session, pid_t watchdog, Deadline deadline, int channel,
                               const std::vector<int>& life_lines, AtomicFile& record_file);

}  // namespace dlm_freeze
