// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dlm_freeze/base/error.hpp"
#include "dlm_freeze/base/json.hpp"
#include "record/session_record.hpp"

namespace dlm_freeze {

/// Whether several hosts were all held at one moment, with every snapshot inside its host's hold. The worst last.
enum class CutProof {
  proven,
  unknown,    ///< The evidence does not suffice.
  disproven,  ///< The evidence shows that they were not.
};

[[nodiscard]] std::string_view to_string(CutProof proof);

/// A snapshot as EC2's DescribeSnapshots and CreateSnapshots tell of it.
struct Snapshot {
  std::string id;
  std::string volume_id;
  std::string state;
  WallTime started_at;
};

/// Errors: the document is none of theirs.
[[nodiscard]] Result<std::vector<Snapshot>> parse_snapshots(const Json& json);

/// A history of one host, and where it was read.
struct HostHistory {
  std::string path;
  std::vector<SessionRecord> sessions;  ///< Oldest first. With the boot clock of that host, whatever it is here.
};

/// The lines of a history file, or of what `history --json` prints. Lines that are damaged are left out.
[[nodiscard]] std::vector<SessionRecord> parse_history(std::string_view text);

/// A moment that is known up to the error of its clock.
struct Bounds {
  WallTime earliest;
  WallTime latest;
};

struct CutHost {
  std::string host;  ///< Its name; or where its history was read.
  std::string path;
  std::optional<Bounds> begin;  ///< Of the hold, where they are known.
  std::optional<Bounds> end;
  CutProof proof = CutProof::proven;
  std::string why;  ///< Unless it is proven.
  /// By how much its snapshots lie inside the hold, at least.
  std::optional<std::chrono::microseconds> margin;
};

struct Cut {
  std::string group_id;
  std::vector<CutHost> hosts;
  CutProof proof = CutProof::unknown;
  std::string why;         ///< Unless it is proven.
  std::string decided_by;  ///< The host on which the verdict or, where it is proven, the margin depends.
  /// For how long all were held at once, at least, or by how much a snapshot lies inside its hold, if that is less.
  /// Negative: by how much they were not. Nothing: not known.
  std::optional<std::chrono::microseconds> margin;
};

/// Judges the sessions of `group_id`; where that is empty, of the group of the latest session that has one. Errors of
/// kind `not_ready`: there is none. Pure.
[[nodiscard]] Result<Cut> judge_cut(const std::vector<HostHistory>& histories, const std::vector<Snapshot>& snapshots,
                                    const std::string& group_id);

}  // namespace dlm_freeze
