// SPDX-License-Identifier: Apache-2.0
#include "quiesce/coverage.hpp"

#include <map>

#include "base/text.hpp"

namespace dlm_freeze {
namespace {

struct Uncovered {
  std::vector<std::string> names;
  std::string why;
};

}  // namespace

CoverageReport report_coverage(const std::vector<DataLocation>& locations,
                               const std::function<Coverage(const std::string& path)>& coverage,
                               const std::string& protection) {
  CoverageReport report;
  std::map<std::string, Uncovered> uncovered;  // By mount point.
  for (const DataLocation& location : locations) {
    if (!location.may_be_frozen || location.role == DataRole::temporary) continue;
    const Coverage covered = coverage(location.path);
    if (location.role == DataRole::log) {
      if (!covered.frozen) continue;
      report.lines.push_back(
          {LogLevel::warn,
           "its " + location.what + " (" + location.path +
               ") lies on a filesystem that is frozen: every process that logs blocks until the thaw",
           false});
      continue;
    }
    if (covered.frozen) continue;
    const auto [found, is_new] = uncovered.try_emplace(covered.mount_point);
    if (is_new) report.unfrozen.push_back(location.path);
    found->second.why = covered.why;
    found->second.names.push_back(location.what + " " + location.path);
  }
  for (const auto& [mount_point, found] : uncovered) {
    report.lines.push_back({LogLevel::warn, "not frozen: " + list_of(found.names) + " on " +
                                                (mount_point.empty() ? "no mount" : mount_point) + " (" + found.why +
                                                ")" + (protection.empty() ? "" : "; " + protection)});
  }
  return report;
}

}  // namespace dlm_freeze
