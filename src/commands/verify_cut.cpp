// SPDX-License-Identifier: Apache-2.0
#include "commands/verify_cut.hpp"

#include <algorithm>
#include <cstddef>
#include <set>

#include "base/text.hpp"

namespace dlm_freeze {
namespace {

using std::chrono::microseconds;

class Judge {
 public:
  explicit Judge(const std::vector<Snapshot>& snapshots) : snapshots_(snapshots) {}

  CutHost judge(const HostHistory& history, const SessionRecord* session) {
    CutHost host;
    host.path = history.path;
    host.host = session != nullptr && !session->host.empty() ? session->host : history.path;
    if (session == nullptr) {
      host.find(CutProof::unknown, "has no session of this group");
    } else {
      judge_session(host, *session);
      if (history.contradicts(*session)) host.find(CutProof::unknown, "has two accounts of its session");
      if (static_cast<std::size_t>(session - history.sessions.data()) < history.before_damage)
        host.find(CutProof::unknown, "has a line after this session that cannot be read");
    }
    return host;
  }

 private:
  void judge_session(CutHost& host, const SessionRecord& record) {
    if (!record.session_id.empty() && !seen_.insert(record.session_id).second)
      return host.find(CutProof::unknown, "is given twice");
    static_cast<Hold&>(host) = judge_hold(record);
    if (!host.begin) return;
    for (const std::string& volume : volumes_of(record)) judge_volume(host, volume);
  }

  void judge_volume(CutHost& host, const std::string& volume) {
    std::vector<const Snapshot*> found;
    for (const Snapshot& snapshot : snapshots_) {
      if (snapshot.volume_id == volume) found.push_back(&snapshot);
    }
    if (found.empty()) return host.find(CutProof::unknown, "there is no snapshot of " + volume);
    if (found.size() > 1) {
      return host.find(CutProof::unknown, count_of(found.size(), "snapshot") + " of " + volume +
                                              ": leave only those of this group in the file");
    }
    if (const Judgement state = judge_state(*found.front()); state.proof != CutProof::proven)
      host.find(CutProof::unknown, "the snapshot " + found.front()->id + " of " + volume + " " + state.why);
    judge_snapshot(host, *found.front());
  }

  static void judge_snapshot(CutHost& host, const Snapshot& snapshot) {
    const Placed placed = place_in(*host.begin, *host.end, snapshot);
    if (!host.margin || placed.margin < *host.margin) host.margin = placed.margin;
    const std::string name = "the snapshot " + snapshot.id + " of " + snapshot.volume_id;
    switch (placed.place) {
      case Place::inside:
        return;
      case Place::before:
        return host.find(CutProof::disproven, name + " was taken before it was held");
      case Place::after:
        return host.find(CutProof::disproven, name + " was taken after it was released");
      case Place::too_near:
        return host.find(CutProof::unknown, name + " is too near to an end of its hold for these clocks");
    }
  }

  const std::vector<Snapshot>& snapshots_;
  std::set<std::string> seen_;  ///< Sessions.
};

/// The session of the group that counts: pre-script may have been repeated.
const SessionRecord* session_of(const HostHistory& history, const std::string& group_id) {
  const SessionRecord* last = nullptr;
  for (const SessionRecord& session : history.sessions) {
    if (session.group_id != group_id) continue;
    const bool was_held = session.held_at != WallTime();
    if (last == nullptr || was_held || last->held_at == WallTime()) last = &session;
  }
  return last;
}

std::string latest_group(const std::vector<HostHistory>& histories) {
  const SessionRecord* latest = nullptr;
  for (const HostHistory& history : histories) {
    for (const SessionRecord& session : history.sessions) {
      if (!session.group_id.empty() && (latest == nullptr || latest->started_at < session.started_at))
        latest = &session;
    }
  }
  return latest != nullptr ? latest->group_id : "";
}

template <typename Moment>
const CutHost* extreme(const Cut& cut, const Moment& is_beyond) {
  const CutHost* found = nullptr;
  for (const CutHost& host : cut.hosts) {
    if (host.begin && (found == nullptr || is_beyond(host, *found))) found = &host;
  }
  return found;
}

/// Whether there is a moment at which all of them were held.
void judge_overlap(Cut& cut) {
  const CutHost* last =
      extreme(cut, [](const CutHost& a, const CutHost& b) { return a.begin->latest > b.begin->latest; });
  const CutHost* first =
      extreme(cut, [](const CutHost& a, const CutHost& b) { return a.end->earliest < b.end->earliest; });
  if (last == nullptr) return;
  const auto overlap = std::chrono::duration_cast<microseconds>(first->end->earliest - last->begin->latest);
  if (!cut.margin || overlap < *cut.margin) {
    cut.margin = overlap;
    if (cut.proof == CutProof::proven) cut.decided_by = last->host;
  }
  if (overlap > microseconds(0)) return;
  // Of others the clocks may be worse.
  const CutHost* surely_last =
      extreme(cut, [](const CutHost& a, const CutHost& b) { return a.begin->earliest > b.begin->earliest; });
  const CutHost* surely_first =
      extreme(cut, [](const CutHost& a, const CutHost& b) { return a.end->latest < b.end->latest; });
  const bool is_surely_none = surely_last->begin->earliest > surely_first->end->latest;
  const CutProof proof = is_surely_none ? CutProof::disproven : CutProof::unknown;
  if (proof <= cut.proof) return;
  cut.proof = proof;
  cut.decided_by = is_surely_none ? surely_last->host : last->host;
  cut.why = is_surely_none ? "was held only after " + surely_first->host + " had been released"
                           : "was perhaps held only after " + first->host + " had been released";
}

}  // namespace

Result<Cut> judge_cut(const std::vector<HostHistory>& histories, const std::vector<Snapshot>& snapshots,
                      const std::string& group_id) {
  Cut cut;
  cut.group_id = group_id.empty() ? latest_group(histories) : group_id;
  if (cut.group_id.empty())
    return failure("no session in these histories has a group; pre-script --group gives it one", ErrorKind::not_ready);
  Judge judge(snapshots);
  for (const HostHistory& history : histories) {
    const CutHost host = judge.judge(history, session_of(history, cut.group_id));
    const bool is_worse = host.proof > cut.proof;
    const bool is_nearer = host.margin && (!cut.margin || *host.margin < *cut.margin);
    if (is_worse || (is_nearer && cut.proof == CutProof::proven)) {
      cut.decided_by = host.host;
      cut.why = host.why;
    }
    if (is_nearer) cut.margin = host.margin;
    cut.proof = std::max(cut.proof, host.proof);
    cut.hosts.push_back(host);
  }
  judge_overlap(cut);
  return cut;
}

}  // namespace dlm_freeze
