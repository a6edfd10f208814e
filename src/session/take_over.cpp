// SPDX-License-Identifier: Apache-2.0
#include "session/take_over.hpp"

#include <chrono>
#include <utility>
#include <vector>

#include "session/recovery.hpp"

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
  std::vector<QuiescerRecord>& quiescers = session.record.quiescers;
  // What the watchdog had done since it wrote the record is shared.
  for (std::size_t i = 0; i < quiescers.size(); ++i) quiescers[i].quiesced = session.is_quiesced(i);
  const auto type_of = [&](std::size_t i) -> Result<const QuiescerType*> { return plan.quiescers[i].type; };
  recover_quiescers(session.record, type_of, Deadline::in(kReleaseTimeout));
  for (std::size_t i = 0; i < quiescers.size(); ++i) session.set_quiesced(i, quiescers[i].quiesced);
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
