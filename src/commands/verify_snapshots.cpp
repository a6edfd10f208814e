// SPDX-License-Identifier: Apache-2.0
#include "commands/verify_snapshots.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "base/text.hpp"

namespace dlm_freeze {
namespace {

using std::chrono::microseconds;

bool has_held(const SessionRecord& session, const std::string& volume) {
  const auto volumes = volumes_of(session);
  return session.held_at != WallTime() && std::find(volumes.begin(), volumes.end(), volume) != volumes.end();
}

/// How far `moment` is from the hold as the record has it, whatever its clock is worth.
WallTime::duration distance(const SessionRecord& session, WallTime moment) {
  const WallTime end =
      session.hold_ended_at != WallTime() ? session.hold_ended_at : std::max(session.held_at, session.ended_at);
  return std::max({session.held_at - moment, moment - end, WallTime::duration::zero()});
}

std::string seconds_text(microseconds span) {
  return format_seconds(std::chrono::duration<double>(span).count()) + " s";
}

void judge_place(JudgedSnapshot& judged, const History& history) {
  const Hold hold = judge_hold(*judged.session);
  if (!hold.begin) return judged.find(hold.proof, "its session: " + hold.why);
  const Placed placed = place_in(*hold.begin, *hold.end, judged.snapshot);
  judged.margin = placed.margin;
  switch (placed.place) {
    case Place::before:
      if (judged.session == &history.sessions.front()) {
        judged.session = nullptr;  // Of an older one, perhaps, whose line is no longer there.
        return judged.find(CutProof::unknown, "taken before the first session on record");
      }
      return judged.find(CutProof::disproven, "in no hold: taken " + seconds_text(-placed.margin) + " before this one");
    case Place::after:
      return judged.find(CutProof::disproven, "in no hold: taken " + seconds_text(-placed.margin) + " after this one");
    case Place::too_near:
      judged.find(CutProof::unknown, "too near to an end of the hold for these clocks");
      break;
    case Place::inside:
      break;
  }
  if (hold.proof != CutProof::proven) judged.find(hold.proof, "its session: " + hold.why);
}

JudgedSnapshot judge(const History& history, const Snapshot& snapshot) {
  JudgedSnapshot judged;
  judged.snapshot = snapshot;
  for (const SessionRecord& session : history.sessions) {
    if (!has_held(session, snapshot.volume_id)) continue;
    const auto far = distance(session, snapshot.started_at);
    if (judged.session == nullptr || far <= distance(*judged.session, snapshot.started_at)) judged.session = &session;
  }
  if (judged.session == nullptr) {
    judged.find(CutProof::unknown, "no session on record has held this volume");
    return judged;
  }
  judge_place(judged, history);
  if (judged.session != nullptr && history.contradicts(*judged.session))
    judged.find(CutProof::unknown, "its session has two accounts on record");
  if (const Judgement state = judge_state(snapshot); state.proof != CutProof::proven)
    judged.find(state.proof, state.why);
  return judged;
}

/// Whether it may be of its session.
bool is_of_session(const JudgedSnapshot& judged) {
  const bool is_outside = judged.proof == CutProof::disproven && judged.margin && *judged.margin < microseconds(0);
  return judged.session != nullptr && !is_outside;
}

}  // namespace

SnapshotReport judge_snapshots(const History& history, const std::vector<Snapshot>& snapshots) {
  SnapshotReport report;
  if (snapshots.empty()) report.find(CutProof::unknown, "there is no snapshot in the file");
  std::vector<Snapshot> in_order = snapshots;
  std::stable_sort(in_order.begin(), in_order.end(),
                   [](const Snapshot& a, const Snapshot& b) { return a.started_at < b.started_at; });
  for (const Snapshot& snapshot : in_order) report.snapshots.push_back(judge(history, snapshot));

  std::vector<JudgedSnapshot> missing;
  for (const SessionRecord& session : history.sessions) {
    std::set<std::string> there;
    for (const JudgedSnapshot& judged : report.snapshots) {
      if (judged.session == &session && is_of_session(judged)) there.insert(judged.snapshot.volume_id);
    }
    for (const std::string& volume : volumes_of(session)) {
      if (there.empty() || there.contains(volume)) continue;
      JudgedSnapshot none;
      none.session = &session;
      none.snapshot.volume_id = volume;
      const bool is_ebs = volume.starts_with("vol-");
      none.find(is_ebs ? CutProof::disproven : CutProof::unknown,
                is_ebs ? "missing" : "is no EBS volume, so that there is no snapshot of it");
      missing.push_back(std::move(none));
    }
  }
  for (JudgedSnapshot& none : missing) {
    const auto last = std::find_if(report.snapshots.rbegin(), report.snapshots.rend(),
                                   [&](const JudgedSnapshot& judged) { return judged.session == none.session; });
    report.snapshots.insert(last.base(), std::move(none));
  }
  for (const JudgedSnapshot& judged : report.snapshots) {
    report.find(judged.proof, judged.snapshot.volume_id + ": " + judged.why);
    if (judged.proof == CutProof::proven && (!report.margin || *judged.margin < *report.margin))
      report.margin = judged.margin;
  }
  return report;
}

}  // namespace dlm_freeze
