// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>

#include "base/shared_array.hpp"
#include "record/session_record.hpp"
#include "session/plan.hpp"

namespace dlm_freeze {

/// What watchdog and sentinel both know of a session: the draft of its record, which each has for itself, and which
/// databases are quiesced and when the hold ended, which they share.
class SessionState {
 public:
  [[nodiscard]] static Result<SessionState> create(const SessionPlan& plan);

  SessionRecord record;

  [[nodiscard]] bool is_quiesced(std::size_t i) const noexcept { return quiesced_[i].load() != 0; }
  void set_quiesced(std::size_t i, bool quiesced) noexcept { quiesced_[i].store(quiesced ? 1 : 0); }

  /// The hold ends now, unless it has ended before: called by whoever is about to thaw or release first.
  void note_hold_end() noexcept;

  /// Brings the draft up to date with what is shared.
  void refresh(const SessionPlan& plan);

  /// The same, and gives it as text.
  [[nodiscard]] std::string text(const SessionPlan& plan) {
    refresh(plan);
    return record.to_json().dump();
  }

  /// Marks the draft as ended now.
  void end(SessionEnd how);

 private:
  /// The end of the hold; 0: it has not come. Of two who note it at the same time each has thawed nothing yet, so what
  /// is mixed of both is right.
  struct HoldEnd {
    std::atomic<std::int64_t> wall;            ///< As in `WallTime`.
    std::atomic<std::int64_t> clock_error_us;  ///< -1: not known.
    std::atomic<std::int64_t> boot;            ///< As in `BootClock`; written last.
  };

  void refresh_hold_end(const SessionPlan& plan);

  SessionState(SharedArray<std::atomic<std::uint32_t>> quiesced, SharedArray<HoldEnd> hold_end)
      : quiesced_(std::move(quiesced)), hold_end_(std::move(hold_end)) {}

  SharedArray<std::atomic<std::uint32_t>> quiesced_;
  SharedArray<HoldEnd> hold_end_;  ///< One.
};

}  // namespace dlm_freeze
