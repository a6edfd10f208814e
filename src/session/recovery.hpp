// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>

#include "dlm_freeze/base/deadline.hpp"
#include "dlm_freeze/base/error.hpp"
#include "dlm_freeze/quiesce/registry.hpp"
#include "fs/freeze_control.hpp"
#include "fs/frozen_filesystems.hpp"
#include "record/session_record.hpp"
#include "record/state_directory.hpp"
#include "session/plan.hpp"
#include "session/shared_state.hpp"

namespace dlm_freeze {

/// What is left to say of a session whose watchdog died, put into its record: it has ended; by `end` if it was held.
void mark_lost(SessionRecord& record, SessionEnd end);

/// Notes in `record` what the final states of `filesystems` mean for whoever reads it.
void note_problems(SessionRecord& record, const FrozenFilesystems& filesystems);

/// Undoes with new quiescers, all at the same time, what the quiesced ones of `record` left behind when their process
/// died; `type_of` gives the type of the i-th. What is undone is not quiesced any more, in the record; of what is not,
/// the error is among its problems.
void recover_quiescers(SessionRecord& record, const std::function<Result<const QuiescerType*>(std::size_t i)>& type_of,
                       Deadline deadline);

/// Whether the session of `record` should have been thawed by its deadline, some patience included, and its processes
/// have not said that it was: they are stopped, or frozen themselves (a paused container).
[[nodiscard]] bool is_overdue(const SessionRecord& record);

/// Thaws by the record alone what such a session may hold, while its processes live: a second FITHAW by them does no
/// harm. Their databases and their lock stay with them.
void thaw_overdue(SessionRecord& record, FreezeControl& control, Deadline deadline);

/// Undoes by the record alone what a session left behind whose processes are all gone: opens the filesystems again,
/// thaws them, releases what outlives a connection, and updates `record`, which the caller writes. The caller holds the
/// session's lock. What could not be undone until `deadline` is left in the record, so that it can be tried again, and
/// is among its problems.
void recover_orphan(const StateDirectory& state, SessionRecord& record, QuiescerRegistry& registry,
                    FreezeControl& control, Deadline deadline);

/// Does what a watchdog that died would have done: thaws, undoes what outlives the watchdog's database sessions, and
/// finishes the record, which the caller writes, with `end` if the session was held. `thaw` thaws and is true when
/// nothing is left; what does not return is waited for until `until`.
void take_over(SessionPlan& plan, SessionState& session, const std::function<bool(Deadline)>& thaw, Deadline until,
               SessionEnd end);

}  // namespace dlm_freeze
