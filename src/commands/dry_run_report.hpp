// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "commands/consistency.hpp"
#include "commands/freeze_estimate.hpp"
#include "commands/hazards.hpp"
#include "commands/readiness.hpp"
#include "commands/volume_report.hpp"
#include "dlm_freeze/base/json.hpp"

namespace dlm_freeze {

/// All that dry-run found.
struct DryRunReport {
  const HostPlan& plan;
  const Settings& settings;
  std::chrono::seconds auto_thaw;
  Readiness readiness;
  VolumeReport volumes;
  FreezeEstimate estimate;
  Consistency consistency;
  std::vector<Hazard> hazards;
  std::vector<LogLine> notes;  ///< What was said while it was looked at.
};

/// The report for a person: the answer, volumes, databases, what to do; then lines of the log; then one last line.
struct DryRunText {
  std::string head;
  std::vector<LogLine> lines;
  std::string tail;
};

/// No more than the agent shows, of which the rest is counted: 2,500 characters. With `Settings::all` everything, and
/// every mount.
[[nodiscard]] DryRunText to_text(const DryRunReport& report);

/// As packaging/dry-run.schema.json says.
[[nodiscard]] Json to_json(const DryRunReport& report);

}  // namespace dlm_freeze
