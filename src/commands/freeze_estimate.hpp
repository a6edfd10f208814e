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
  std::chrono::seconds budget{0};          ///< `timeout_seconds`.

  std::optional<double> max_stall{};  ///< `max_stall_seconds`.

  [[nodiscard]] bool is_late() const { return seconds && *seconds > static_cast<double>(budget.count()); }

  /// What has to hold: "the write-back ends in time: it needs about 9 s, and has 8"; empty where it does, or is not
  /// known.
  [[nodiscard]] std::string late() const;

  /// One sentence.
  [[nodiscard]] std::string text() const;
};

/// How much is dirty now and how long pre-script would write it. Of each device by what the kernel itself says of it in
/// debugfs (mm/backing-dev.c); where that cannot be read, all that is dirty on the host at the speed of the slowest of
/// the disks, as /proc/diskstats has it since the host was started, or at `given` bytes a second.
[[nodiscard]] FreezeEstimate estimate_freeze(const FreezePlan& plan, const AttachedDisks& disks,
                                             std::optional<double> given, std::chrono::seconds budget,
                                             const DeviceRoots& roots = {});

}  // namespace dlm_freeze
