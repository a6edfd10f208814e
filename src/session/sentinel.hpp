// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <array>
#include <vector>

#include "dlm_freeze/base/deadline.hpp"
#include "dlm_freeze/base/files.hpp"
#include "session/plan.hpp"
#include "session/shared_state.hpp"

namespace dlm_freeze {

/// What the watchdog tells a new sentinel.
struct SentinelDuty {
  pid_t watchdog = -1;                           ///< Its parent, whose work it does if that dies or is late.
  Deadline deadline;                             ///< Of the session.
  int channel = -1;                              ///< The watchdog's end: held open, never used.
  int ready = -1;                                ///< An event that it raises when it is set up.
  int life = -1;                                 ///< Held open until its end, by which the watchdog knows.
  std::vector<int> inherited;                    ///< Its descriptors, as for stay_background.
  const std::vector<int>& life_lines;            ///< As for Thawer.
  AtomicFile& record_file;                       ///< For the record of an end without the watchdog.
  std::array<AtomicFile*, 3> watchdogs_files{};  ///< To be taken away from a watchdog that may put one in place late.
};

/// The sentinel process, from just after the fork to its end. Nothing here needs a file that is not open, until all is
/// thawed.
[[noreturn]] void run_sentinel(SessionPlan& plan, SessionState& session, const SentinelDuty& duty);

}  // namespace dlm_freeze
