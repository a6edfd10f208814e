// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>

#include "base/shared_array.hpp"
#include "record/session_record.hpp"
#include "session/plan.hpp"

namespace dlm_freeze {

/// What watchdog and sentinel both know of a session: the draft of its record, which each has for itself, and which
/// databases are quiesced, which they share.
class SessionState {
 public:
  [[nodiscard]] static Result<SessionState> create(const SessionPlan& plan);

  SessionRecord record;

  [[nodiscard]] bool is_quiesced(std::size_t i) const noexcept { return quiesced_[i].load() != 0; }
  void set_quiesced(std::size_t i, bool quiesced) noexcept { quiesced_[i].store(quiesced ? 1 : 0); }

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
  explicit SessionState(SharedArray<std::atomic<std::uint32_t>> quiesced) : quiesced_(std::move(quiesced)) {}

  SharedArray<std::atomic<std::uint32_t>> quiesced_;
};

}  // namespace dlm_freeze
