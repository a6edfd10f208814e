// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "dlm_freeze/base/log.hpp"
#include "dlm_freeze/quiesce/quiescer.hpp"

namespace dlm_freeze {

/// What of a database is going to be frozen.
struct CoverageReport {
  std::vector<LogLine> lines;         ///< What its user has to know, the same in dry-run and in pre-script.
  std::vector<std::string> unfrozen;  ///< A directory with data for each filesystem that is not going to be frozen.

  [[nodiscard]] bool all_frozen() const { return unfrozen.empty(); }
};

/// Says, a line for each filesystem, which data lies where nothing is frozen, and which logs lie where it is.
/// `protection` is what protects such data instead, for a person; may be empty. Locations that must not be frozen are
/// left out.
[[nodiscard]] CoverageReport report_coverage(const std::vector<DataLocation>& locations,
                                             const std::function<Coverage(const std::string& path)>& coverage,
                                             const std::string& protection);

}  // namespace dlm_freeze
