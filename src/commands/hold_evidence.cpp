// SPDX-License-Identifier: Apache-2.0
#include "commands/hold_evidence.hpp"

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
  if (record.session_id.empty()) return "its record does not say which session it is of";
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
  if (record.hold_ended_at == WallTime()) return "the end of its hold is unknown";
  if (!record.held_clock_error || !record.hold_ended_clock_error) return "no time service kept its clock";
  const bool is_boot_clock_known =
      record.held_boot != BootClock::time_point() && record.hold_ended_boot != BootClock::time_point();
  if (!is_boot_clock_known) return "its record has no time that no setting of the clock moves";
  if (!is_clock_steady(record)) return "its clock was set while it was held";
  return "";
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
  if (const Json* next = json.find("NextToken"); next != nullptr && next->as_string() != nullptr)
    return failure("it is incomplete (it has a NextToken): fetch all pages");
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

bool History::contradicts(const SessionRecord& session) const {
  return std::any_of(sessions.begin(), sessions.end(), [&](const SessionRecord& other) {
    return other.session_id == session.session_id && other.to_json().dump_line() != session.to_json().dump_line();
  });
}

History parse_history(std::string_view text) {
  History history;
  for (const std::string_view line : split(text, '\n')) {
    if (trimmed(line).empty()) continue;
    const auto json = Json::parse(line);
    auto record = json ? SessionRecord::from_json(*json) : tl::unexpected(json.error());
    if (!record) {
      history.before_damage = history.sessions.size();
      continue;
    }
    // Whichever time namespace it is of: only differences count.
    MemberReader reader(*json);
    record->held_boot = boot_from_count(reader.integer_if_there("held_boot_ns"));
    record->hold_ended_boot = boot_from_count(reader.integer_if_there("hold_ended_boot_ns"));
    history.sessions.push_back(std::move(*record));
  }
  return history;
}

Judgement judge_state(const Snapshot& snapshot) {
  Judgement judgement;
  if (snapshot.state == "pending") {
    judgement.find(CutProof::unknown, "is not completed yet");
  } else if (snapshot.state == "error") {
    judgement.find(CutProof::disproven, "has failed");
  } else if (snapshot.state != "completed") {
    judgement.find(CutProof::unknown, "is in the state '" + snapshot.state + "'");
  }
  return judgement;
}

void Judgement::find(CutProof found, std::string because) {
  if (found <= proof) return;
  proof = found;
  why = std::move(because);
}

Hold judge_hold(const SessionRecord& record) {
  Hold hold;
  if (record.held_at == WallTime()) {
    hold.find(CutProof::disproven, "was not held: " + std::string(to_string(record.end)));
    return hold;
  }
  for (const WitnessRecord& device : record.witness) {
    if (device.result == to_string(HoldWitness::Result::written))
      hold.find(CutProof::disproven, "something wrote to " + device.device + " while it was held");
  }
  if (const std::string wrong = what_went_wrong(record); !wrong.empty()) hold.find(CutProof::unknown, wrong);
  if (const std::string wrong = what_is_wrong_with_its_clock(record); !wrong.empty()) {
    hold.find(CutProof::unknown, wrong);
    return hold;
  }
  const auto begin_error = *record.held_clock_error;
  const auto end_error = *record.hold_ended_clock_error;
  hold.begin = Bounds{record.held_at - begin_error, record.held_at + kResolution + begin_error};
  hold.end = Bounds{record.hold_ended_at - end_error, record.hold_ended_at + kResolution + end_error};
  return hold;
}

std::vector<std::string> volumes_of(const SessionRecord& record) {
  std::set<std::string> volumes;
  for (const FilesystemRecord& filesystem : record.filesystems)
    volumes.insert(filesystem.volumes.begin(), filesystem.volumes.end());
  return {volumes.begin(), volumes.end()};
}

Placed place_in(const Bounds& begin, const Bounds& end, const Snapshot& snapshot) {
  const WallTime earliest = snapshot.started_at - kSnapshotClock;
  const WallTime latest = snapshot.started_at + kSnapshotClock;
  Placed placed{Place::inside, to_microseconds(std::min(earliest - begin.latest, end.earliest - latest))};
  if (placed.margin > microseconds(0)) return placed;
  placed.place = latest < begin.earliest ? Place::before : earliest > end.latest ? Place::after : Place::too_near;
  return placed;
}

}  // namespace dlm_freeze
