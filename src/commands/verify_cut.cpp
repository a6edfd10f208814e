// SPDX-License-Identifier: Apache-2.0
#include "commands/verify_cut.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "base/text.hpp"
#include "base/utc.hpp"
#include "fs/frozen_filesystems.hpp"
#include "fs/hold_witness.hpp"
#include "record/member_reader.hpp"
#include "record/moments.hpp"

namespace dlm_freeze {
namespace {

using std::chrono::microseconds;

/// Records have whole milliseconds.
constexpr auto kResolution = std::chrono::milliseconds(1);
/// The clock that StartTime is of. AWS documents no bound; its own time service keeps far below this.
constexpr auto kSnapshotClock = std::chrono::milliseconds(100);
/// By how much the boot clock may run faster or slower than UTC, in a millionth: what NTP takes for a broken clock.
constexpr std::int64_t kDrift = 500;

microseconds to_microseconds(WallTime::duration span) { return std::chrono::duration_cast<microseconds>(span); }

microseconds absolute(microseconds span) { return span < microseconds(0) ? -span : span; }

/// Whether the wall clock went as the boot clock did during the hold, as far as its errors allow.
bool is_clock_steady(const SessionRecord& record) {
  const auto by_boot = std::chrono::duration_cast<microseconds>(record.hold_ended_boot - record.held_boot);
  const auto by_wall = to_microseconds(record.hold_ended_at - record.held_at);
  const auto allowed = *record.held_clock_error + *record.hold_ended_clock_error + 2 * microseconds(kResolution) +
                       absolute(by_boot) * kDrift / 1'000'000;
  return absolute(by_boot - by_wall) <= allowed;
}

std::string first_of(const std::vector<std::string>& all) { return all.empty() ? "" : all.front(); }

/// The first thing that keeps a session from being evidence; empty: none does. A clock is another matter.
std::string what_went_wrong(const SessionRecord& record) {
  if (record.phase != Phase::ended) return "its session has not ended";
  if (record.end != SessionEnd::completed)
    return "its hold was not ended by post-script: " + std::string(to_string(record.end));
  if (!record.problems.empty()) return first_of(record.problems);
  if (record.filesystems.empty()) return "no filesystem was frozen, so that no volume is known";
  for (const FilesystemRecord& filesystem : record.filesystems) {
    if (filesystem.state != to_string(FreezeState::thawed))
      return filesystem.mount_point + " was not held: " + filesystem.state;
    if (filesystem.volumes.empty()) return "it is not known on which volume " + filesystem.mount_point + " lies";
  }
  return "";
}

std::string what_is_wrong_with_its_clock(const SessionRecord& record) {
  if (record.hold_ended_at == WallTime()) return "nobody knows until when it was held";
  if (!record.held_clock_error || !record.hold_ended_clock_error) return "no time service kept its clock";
  const bool is_boot_clock_known =
      record.held_boot != BootClock::time_point() && record.hold_ended_boot != BootClock::time_point();
  if (!is_boot_clock_known) return "its record has no time that no setting of the clock moves";
  if (!is_clock_steady(record)) return "its clock was set while it was held";
  return "";
}

class Judge {
 public:
  explicit Judge(const std::vector<Snapshot>& snapshots) : snapshots_(snapshots) {}

  CutHost judge(const HostHistory& history, const SessionRecord* session) {
    CutHost host;
    host.path = history.path;
    host.host = session != nullptr && !session->host.empty() ? session->host : history.path;
    if (session == nullptr) {
      find(host, CutProof::unknown, "has no session of this group");
    } else {
      judge_session(host, *session);
    }
    return host;
  }

 private:
  void judge_session(CutHost& host, const SessionRecord& record) {
    if (!record.session_id.empty() && !seen_.insert(record.session_id).second)
      return find(host, CutProof::unknown, "is given twice");
    if (record.held_at == WallTime())
      return find(host, CutProof::disproven, "was not held: " + std::string(to_string(record.end)));
    for (const WitnessRecord& device : record.witness) {
      if (device.result == to_string(HoldWitness::Result::written))
        find(host, CutProof::disproven, "something wrote to " + device.device + " while it was held");
    }
    if (const std::string wrong = what_went_wrong(record); !wrong.empty()) find(host, CutProof::unknown, wrong);
    if (const std::string wrong = what_is_wrong_with_its_clock(record); !wrong.empty())
      return find(host, CutProof::unknown, wrong);
    const auto begin_error = *record.held_clock_error;
    const auto end_error = *record.hold_ended_clock_error;
    host.begin = Bounds{record.held_at - begin_error, record.held_at + kResolution + begin_error};
    host.end = Bounds{record.hold_ended_at - end_error, record.hold_ended_at + kResolution + end_error};
    std::set<std::string> volumes;
    for (const FilesystemRecord& filesystem : record.filesystems)
      volumes.insert(filesystem.volumes.begin(), filesystem.volumes.end());
    for (const std::string& volume : volumes) judge_volume(host, volume);
  }

  void judge_volume(CutHost& host, const std::string& volume) {
    std::vector<const Snapshot*> found;
    for (const Snapshot& snapshot : snapshots_) {
      if (snapshot.volume_id == volume) found.push_back(&snapshot);
    }
    if (found.empty()) return find(host, CutProof::unknown, "there is no snapshot of " + volume);
    if (found.size() > 1) {
      return find(
          host, CutProof::unknown,
          count_of(found.size(), "snapshot") + " of " + volume + ": leave only those of this group in the file");
    }
    if (found.front()->state == "error")
      return find(host, CutProof::unknown, "the snapshot " + found.front()->id + " of " + volume + " has failed");
    judge_snapshot(host, *found.front());
  }

  static void judge_snapshot(CutHost& host, const Snapshot& snapshot) {
    const WallTime earliest = snapshot.started_at - kSnapshotClock;
    const WallTime latest = snapshot.started_at + kSnapshotClock;
    const auto margin = to_microseconds(std::min(earliest - host.begin->latest, host.end->earliest - latest));
    if (!host.margin || margin < *host.margin) host.margin = margin;
    if (margin > microseconds(0)) return;
    const std::string name = "the snapshot " + snapshot.id + " of " + snapshot.volume_id;
    if (latest < host.begin->earliest) return find(host, CutProof::disproven, name + " was taken before it was held");
    if (earliest > host.end->latest) return find(host, CutProof::disproven, name + " was taken after it was released");
    find(host, CutProof::unknown, name + " is too near to an end of its hold for these clocks");
  }

  /// The worst finding counts, of those the first.
  static void find(CutHost& host, CutProof proof, std::string why) {
    if (proof <= host.proof) return;
    host.proof = proof;
    host.why = std::move(why);
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
  const auto overlap = to_microseconds(first->end->earliest - last->begin->latest);
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

std::string_view to_string(CutProof proof) {
  switch (proof) {
    case CutProof::proven:
      return "proven";
    case CutProof::unknown:
      return "unknown";
    case CutProof::disproven:
      return "disproven";
  }
  return "";
}

Result<std::vector<Snapshot>> parse_snapshots(const Json& json) {
  const Json* list = json.find("Snapshots");
  if (list == nullptr || list->as_array() == nullptr)
    return failure("it has no list of Snapshots, as describe-snapshots and create-snapshots print it");
  std::vector<Snapshot> snapshots;
  for (const Json& element : *list->as_array()) {
    MemberReader reader(element);
    Snapshot snapshot{reader.text("SnapshotId"), reader.text("VolumeId"), reader.text("State"), {}};
    const auto started_at = parse_utc(reader.text("StartTime"));
    if (!reader.first_missing().empty()) return failure("a snapshot of it has no " + reader.first_missing());
    if (!started_at) return failure("StartTime of the snapshot " + snapshot.id + " is no time");
    snapshot.started_at = *started_at;
    snapshots.push_back(std::move(snapshot));
  }
  return snapshots;
}

std::vector<SessionRecord> parse_history(std::string_view text) {
  std::vector<SessionRecord> records;
  for (const std::string_view line : split(text, '\n')) {
    const auto json = Json::parse(line);
    auto record = json ? SessionRecord::from_json(*json) : tl::unexpected(json.error());
    if (!record) continue;
    // Whichever time namespace it is of: only differences count.
    const MemberReader reader(*json);
    record->held_boot = boot_from_count(reader.integer_if_there("held_boot_ns"));
    record->hold_ended_boot = boot_from_count(reader.integer_if_there("hold_ended_boot_ns"));
    records.push_back(std::move(*record));
  }
  return records;
}

Result<Cut> judge_cut(const std::vector<HostHistory>& histories, const std::vector<Snapshot>& snapshots,
                      const std::string& group_id) {
  Cut cut;
  cut.group_id = group_id.empty() ? latest_group(histories) : group_id;
  if (cut.group_id.empty())
    return failure("no session in these histories has a group; pre-script --group gives it one", ErrorKind::not_ready);
  cut.proof = CutProof::proven;
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
