// SPDX-License-Identifier: Apache-2.0
#include "watchdog/take_over.hpp"

#include <chrono>
#include <utility>

#include "dlm_freeze/watchdog/recovery.hpp"

namespace dlm_freeze {
namespace {

constexpr auto kThawPatience = std::chrono::milliseconds(300);
constexpr auto kReleaseTimeout = std::chrono::seconds(30);

/// What the watchdog recorded last, or what this process knows itself.
SessionRecord last_record(const SessionPlan& plan, const SessionState& session) {
  auto recorded = plan.state->read_record();
  const bool usable = recorded && *recorded && (*recorded)->filesystems.size() == plan.filesystems.size() &&
                      (*recorded)->quiescers.size() == plan.quiescers.size();
  if (usable) return std::move(**recorded);
  return session.record;
}

void release_leftovers(const SessionPlan& plan, SessionState& session) {
  SessionRecord& record = session.record;
  for (std::size_t i = 0; i < plan.quiescers.size(); ++i) {
    if (!session.is_quiesced(i)) continue;
    const auto recovered = recover_quiescer(*plan.quiescers[i].type, record.quiescers[i], record.execution_id,
                                            Deadline::in(kReleaseTimeout));
    if (recovered) {
      session.set_quiesced(i, false);
    } else {
      record.problems.push_back(recovered.error().message);
    }
  }
}

}  // namespace

void take_over(SessionPlan& plan, SessionState& session, const std::function<bool(Deadline)>& thaw, Deadline until,
               SessionEnd end) {
  const bool finished = thaw(until.or_earlier(Deadline::in(kThawPatience)));
  plan.rcu.end();
  session.record = last_record(plan, session);
  mark_lost(session.record, end);
  release_leftovers(plan, session);
  if (!finished) static_cast<void>(thaw(until));
  note_problems(session.record, plan.filesystems);
}

}  // namespace dlm_freeze
