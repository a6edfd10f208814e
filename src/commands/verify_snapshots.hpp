// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "commands/hold_evidence.hpp"
#include "record/session_record.hpp"

namespace dlm_freeze {

/// A snapshot and the session in whose hold it lies; or a volume of that session of which there is no snapshot.
struct JudgedSnapshot : Judgement {
  Snapshot snapshot;                       ///< Without an id where there is none.
  const SessionRecord* session = nullptr;  ///< The nearest that held its volume; none: null.
  /// By how much it lies inside the hold; negative: outside. Nothing: not known.
  std::optional<std::chrono::microseconds> margin;
};

/// What `judge_snapshots` says. It points into the history that it was made of.
struct SnapshotReport : Judgement {
  std::vector<JudgedSnapshot>
      snapshots;  ///< By the time that they were taken; each session's missing ones after its own.
  /// The least of those inside; nothing: there is none, or not known.
  std::optional<std::chrono::microseconds> margin;
};

/// Whether each snapshot was taken during a hold of one host, by its history, and whether each session that has some
/// has one of each of its volumes. Pure.
[[nodiscard]] SnapshotReport judge_snapshots(const History& history, const std::vector<Snapshot>& snapshots);

}  // namespace dlm_freeze
