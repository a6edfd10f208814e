// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>

#include "commands/hold_evidence.hpp"
#include "record/session_record.hpp"

namespace dlm_freeze {

inline const WallTime kMoment = std::chrono::system_clock::from_time_t(1'796'004'900);  // 2026-11-30T02:15:00Z
inline const BootClock::time_point kBoot = BootClock::time_point(std::chrono::hours(9));
inline constexpr const char* kGroup = "shards-1";

/// A good session of the host `name`, held from kMoment + `from` to kMoment + `until`, with one volume of that name.
inline SessionRecord held(const std::string& name, std::chrono::milliseconds from, std::chrono::milliseconds until) {
  SessionRecord record;
  record.phase = Phase::ended;
  record.end = SessionEnd::completed;
  record.session_id = "session of " + name;
  record.execution_id = "None";
  record.group_id = kGroup;
  record.host = name;
  record.started_at = kMoment - std::chrono::seconds(2);
  record.held_at = kMoment + from;
  record.held_boot = kBoot + from;
  record.held_clock_error = std::chrono::microseconds(500);
  record.hold_ended_at = kMoment + until;
  record.hold_ended_boot = kBoot + until;
  record.hold_ended_clock_error = std::chrono::microseconds(500);
  record.filesystems = {{"/data", "259:1", "thawed", 1, false, 0.001, {"vol-" + name}}};
  record.witness = {{"vol-" + name, "quiet", "", 0}};
  return record;
}

/// A snapshot of the volume of `name`, taken at kMoment + `at`.
inline Snapshot snapshot(const std::string& name, std::chrono::milliseconds at) {
  return {"snap-" + name, "vol-" + name, "completed", kMoment + at};
}

}  // namespace dlm_freeze
