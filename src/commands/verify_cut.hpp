// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "commands/hold_evidence.hpp"
#include "dlm_freeze/base/error.hpp"
#include "record/session_record.hpp"

namespace dlm_freeze {

/// A history of one host, and where it was read.
struct HostHistory : History {
  std::string path;
};

struct CutHost : Hold {
  std::string host;  ///< Its name; or where its history was read.
  std::string path;
  /// By how much its snapshots lie inside the hold, at least.
  std::optional<std::chrono::microseconds> margin;
};

/// Whether several hosts were all held at one moment, with every snapshot inside its host's hold.
struct Cut : Judgement {
  std::string group_id;
  std::vector<CutHost> hosts;
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
