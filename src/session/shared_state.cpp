// SPDX-License-Identifier: Apache-2.0
#include "session/shared_state.hpp"

#include <chrono>

#include "base/text.hpp"

namespace dlm_freeze {

Result<SessionState> SessionState::create(const SessionPlan& plan) {
  auto quiesced = SharedArray<std::atomic<std::uint32_t>>::create(plan.quiescers.size());
  if (!quiesced) return tl::unexpected(quiesced.error());
  SessionState state(std::move(*quiesced));
  state.record.execution_id = plan.execution_id;
  state.record.boot_id = current_boot_id();
  state.record.time_namespace = current_time_namespace();
  state.record.started_at = plan.started_at;
  state.record.started_boot = BootClock::now();
  state.record.earlier = plan.earlier;
  state.record.history_file = plan.history_file;
  state.record.metrics_file = plan.metrics_file;
  state.record.deadline_at = std::chrono::system_clock::now() + plan.auto_thaw;
  state.record.deadline_boot = BootClock::now() + plan.auto_thaw;
  for (std::size_t i = 0; i < plan.filesystems.size(); ++i) {
    const auto& filesystem = plan.filesystems[i];
    FilesystemRecord& record = state.record.filesystems.emplace_back();
    record.mount_point = filesystem.mount_point;
    record.device = device_number(filesystem.device);
  }
  for (const PlannedQuiescer& quiescer : plan.quiescers) state.record.quiescers.push_back({quiescer.config, false, {}});
  return state;
}

void SessionState::refresh(const SessionPlan& plan) {
  for (std::size_t i = 0; i < record.filesystems.size(); ++i) {
    const FreezeState state = plan.filesystems.state(i);
    FilesystemRecord& filesystem = record.filesystems[i];
    filesystem.state = to_string(state);
    filesystem.frozen_seconds = std::chrono::duration<double>(plan.filesystems.frozen_for(i)).count();
    filesystem.freeze_seconds = std::chrono::duration<double>(plan.filesystems.freeze_took(i)).count();
    // Before the end, what is written now is read when everybody who could write it again is gone.
    const bool about_to_be_frozen = record.phase == Phase::freezing && state == FreezeState::idle;
    filesystem.may_be_frozen = about_to_be_frozen || may_be_frozen(state);
  }
  for (std::size_t i = 0; i < record.quiescers.size(); ++i) record.quiescers[i].quiesced = is_quiesced(i);
}

void SessionState::end(SessionEnd how) {
  record.phase = Phase::ended;
  record.end = how;
  record.ended_at = std::chrono::system_clock::now();
  record.ended_boot = BootClock::now();
}

}  // namespace dlm_freeze
