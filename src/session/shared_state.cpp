// SPDX-License-Identifier: Apache-2.0
#include "session/shared_state.hpp"

#include <chrono>

#include "base/clock_error.hpp"
#include "base/text.hpp"

namespace dlm_freeze {

Result<SessionState> SessionState::create(const SessionPlan& plan) {
  auto quiesced = SharedArray<std::atomic<std::uint32_t>>::create(plan.quiescers.size());
  if (!quiesced) return tl::unexpected(quiesced.error());
  auto hold_end = SharedArray<HoldEnd>::create(1);
  if (!hold_end) return tl::unexpected(hold_end.error());
  SessionState state(std::move(*quiesced), std::move(*hold_end));
  state.record.session_id = plan.session_id;
  state.record.execution_id = plan.execution_id;
  state.record.group_id = plan.group_id;
  state.record.host = plan.host;
  state.record.hold_wanted_at = plan.hold_wanted_at;
  state.record.boot_id = current_boot_id();
  state.record.time_namespace = current_time_namespace();
  state.record.started_at = plan.started_at;
  state.record.started_boot = BootClock::now();
  state.record.earlier = plan.earlier;
  state.record.history_file = plan.history_file;
  state.record.metrics_file = plan.metrics_file;
  state.record.inventory = plan.inventory;
  const auto until_deadline = plan.until_hold + plan.auto_thaw;
  state.record.deadline_at = std::chrono::system_clock::now() + until_deadline;
  state.record.deadline_boot = BootClock::now() + until_deadline;
  for (std::size_t i = 0; i < plan.filesystems.size(); ++i) {
    const auto& filesystem = plan.filesystems[i];
    FilesystemRecord& record = state.record.filesystems.emplace_back();
    record.mount_point = filesystem.mount_point;
    record.device = device_number(filesystem.device);
    record.where = filesystem.where;
    if (i < plan.volumes.size()) record.volumes = plan.volumes[i];
  }
  for (const PlannedQuiescer& quiescer : plan.quiescers) state.record.quiescers.push_back({quiescer.config, false, {}});
  return state;
}

void SessionState::note_hold_end() noexcept {
  HoldEnd& end = hold_end_[0];
  if (end.boot.load() != 0) return;
  const auto error = clock_error();
  end.clock_error_us.store(error ? error->count() : -1);
  std::int64_t none = 0;
  end.wall.compare_exchange_strong(none, std::chrono::system_clock::now().time_since_epoch().count());
  none = 0;
  end.boot.compare_exchange_strong(none, BootClock::now().time_since_epoch().count());
}

void SessionState::refresh_hold_end(const SessionPlan& plan) {
  const HoldEnd& end = hold_end_[0];
  // What another program thawed was not held until then, and nobody knows until when.
  const bool has_lasted = !plan.filesystems.any([](FreezeState state) { return state == FreezeState::lost; });
  const bool was_held = record.held_at != WallTime();
  record.hold_ended_at = {};
  record.hold_ended_boot = {};
  record.hold_ended_clock_error.reset();
  if (!was_held || !has_lasted || end.boot.load() == 0) return;
  record.hold_ended_at = WallTime(WallTime::duration(end.wall.load()));
  record.hold_ended_boot = BootClock::time_point(BootClock::duration(end.boot.load()));
  const std::int64_t error = end.clock_error_us.load();
  if (error >= 0) record.hold_ended_clock_error = std::chrono::microseconds(error);
}

void SessionState::refresh(const SessionPlan& plan) {
  refresh_hold_end(plan);
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
