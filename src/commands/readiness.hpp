// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <vector>

#include "commands/host_plan.hpp"

namespace dlm_freeze {

/// What a check of something that pre-script needs found.
struct Finding {
  std::string name;  ///< Of the database, or "privilege", "host", "state", "session"...
  Result<void> result;
  bool is_probe = false;         ///< Of a database, which was asked.
  std::vector<LogLine> notes{};  ///< What it had to say; also in the log.
};

/// What would make pre-script fail or leave something out.
struct Readiness {
  std::vector<Finding> findings;  ///< In pre-script's order: the first failure is its.
  bool sees_all = true;           ///< False: not run as root, so it may have seen less.
  std::string leftovers;          ///< What an earlier session left behind has to be undone first; or empty.

  /// What pre-script would fail with; null where nothing is in its way.
  [[nodiscard]] const Finding* first_failure() const;

  /// What the probe of the database of that name found; null where it was not asked.
  [[nodiscard]] const Finding* probe_of(const std::string& database) const;
};

/// Looks at the host, and with `Settings::probe` asks the databases; changes nothing. Without `probe`, a
/// lack of privilege is no finding: the user only looks.
[[nodiscard]] Readiness check_readiness(HostPlan& plan, const Settings& settings, CommandContext& context);

}  // namespace dlm_freeze
