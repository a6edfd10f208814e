// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "commands/host_plan.hpp"

namespace dlm_freeze {

/// Something on the host that a freeze may harm, or that may harm a session; for a person.
struct Hazard {
  std::string name;   ///< For programs: "fanotify", "watchdog", "hung_task_panic"...
  std::string what;   ///< The thing.
  std::string cause;  ///< What may happen.
  std::string to_do;

  [[nodiscard]] std::string text() const { return what + ": " + cause + "; " + to_do; }
};

/// What a system call says about the host; tests set other values.
struct HostReadings {
  std::string proc = "/proc";
  /// Whether the clock is synchronised (adjtimex(2)); nothing where that cannot be asked.
  std::optional<bool> is_clock_synchronised;
  /// Bytes and files that the filesystem of the state directory has left; nothing where that cannot be asked, or is
  /// without limit.
  std::optional<std::uint64_t> state_bytes_left;
  std::optional<std::uint64_t> state_files_left;

  [[nodiscard]] static HostReadings read(const std::string& state_directory);
};

/// The hazards that `dry-run --probe` reports, besides what would make pre-script fail. `auto_thaw` is the deadline of
/// the session. Reads /proc only, and nothing that may hang; what this process may not read is passed over.
[[nodiscard]] std::vector<Hazard> find_hazards(const HostPlan& plan, const Settings& settings,
                                               std::chrono::seconds auto_thaw, const HostReadings& readings);

}  // namespace dlm_freeze
