// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dlm_freeze/base/error.hpp"
#include "dlm_freeze/base/json.hpp"
#include "record/session_record.hpp"

namespace dlm_freeze {

/// What a history and the snapshots of AWS say of holds. The worst last.
enum class CutProof {
  proven,
  unknown,    ///< The evidence does not suffice.
  disproven,  ///< The evidence shows that it is not so.
};

[[nodiscard]] std::string_view to_string(CutProof proof);

/// A verdict, and why it is that.
struct Judgement {
  CutProof proof = CutProof::proven;
  std::string why = {};  ///< Unless it is proven.

  /// The worst finding counts, of those the first.
  void find(CutProof found, std::string because);
};

/// A snapshot as EC2's DescribeSnapshots and CreateSnapshots tell of it.
struct Snapshot {
  std::string id;
  std::string volume_id;
  std::string state;
  WallTime started_at;
};

/// Errors: the document is none of theirs, or only a part of one.
[[nodiscard]] Result<std::vector<Snapshot>> parse_snapshots(const Json& json);

/// The lines of a history file, or of what `history --json` prints.
struct History {
  std::vector<SessionRecord> sessions;  ///< Oldest first. With the boot clock of that host, whatever it is here.
  /// How many of them are older than a line that cannot be read: what came after them is not wholly known.
  std::size_t before_damage = 0;

  /// Whether another line says something else of the same session.
  [[nodiscard]] bool contradicts(const SessionRecord& session) const;
};

[[nodiscard]] History parse_history(std::string_view text);

/// A moment that is known up to the error of its clock.
struct Bounds {
  WallTime earliest;
  WallTime latest;
};

/// Whether a snapshot with that State has all of its data, or will never have it.
[[nodiscard]] Judgement judge_state(const Snapshot& snapshot);

/// When a session held everything, and whether its record proves that it did.
struct Hold : Judgement {
  std::optional<Bounds> begin;  ///< Both or none.
  std::optional<Bounds> end;
};

[[nodiscard]] Hold judge_hold(const SessionRecord& record);

/// The volumes that a session held, each once.
[[nodiscard]] std::vector<std::string> volumes_of(const SessionRecord& record);

/// Where a snapshot lies beside a hold.
enum class Place { inside, before, after, too_near };

struct Placed {
  Place place = Place::inside;
  std::chrono::microseconds margin{};  ///< By how much inside, at least; negative: by how much outside, at most.
};

/// The errors of all clocks, also of that of StartTime, are counted against the snapshot.
[[nodiscard]] Placed place_in(const Bounds& begin, const Bounds& end, const Snapshot& snapshot);

}  // namespace dlm_freeze
