// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "commands/host_plan.hpp"
#include "fs/attached_disks.hpp"

namespace dlm_freeze {

/// What the write-back before a freeze has to write, and how fast that goes.
struct FreezeEstimate {
  std::uint64_t dirty_bytes = 0;
  std::optional<double> bytes_per_second;  ///< Of the slowest; nothing where it is not known.
  std::string basis;                       ///< Where that comes from, for a person.
  std::optional<double> seconds;           ///< Nothing where the speed is not known and something is dirty.
  BootClock::duration budget{0};           ///< What pre-script has for it: `Settings::stage_budget`.

  std::optional<double> max_stall{};  ///< `max_stall_seconds`.

  [[nodiscard]] bool is_late() const { return seconds && *seconds > std::chrono::duration<double>(budget).count(); }

  /// What has to hold: "the write-back ends in time: it needs about 9.0 s, and has 7.7 s"; empty where it does, or is
  /// not known.
  [[nodiscard]] std::string late() const;

  /// One sentence.
  [[nodiscard]] std::string text() const;
};

/// How much is dirty now, and how long pre-script would take to write it. For each device by the kernel's own figures
/// in debugfs (mm/backing-dev.c); where they cannot be read, all that is dirty on the host at the speed of the slowest
/// disk, which /proc/diskstats has since boot. `given`, in bytes a second, replaces either speed.
[[nodiscard]] FreezeEstimate estimate_freeze(const FreezePlan& plan, const AttachedDisks& disks,
                                             std::optional<double> given, BootClock::duration budget,
                                             const DeviceRoots& roots = {});

}  // namespace dlm_freeze
