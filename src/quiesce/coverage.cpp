// SPDX-License-Identifier: Apache-2.0
#include "quiesce/coverage.hpp"

#include <map>

#include "base/text.hpp"

namespace dlm_freeze {
namespace {

/// A server may have thousands of tables with a directory of their own.
constexpr std::size_t kMostNames = 6;

struct Uncovered {
  std::vector<std::string> names;
  std::size_t more = 0;
  std::string why;
};

std::string listed(const Uncovered& found) {
  return join(found.names, ", ") + (found.more > 0 ? " and " + std::to_string(found.more) + " more" : "");
}

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
      report.lines.push_back({LogLevel::warn, "its " + location.what + " (" + location.path +
                                                  ") lies on a filesystem that is frozen: whoever logs then waits for "
                                                  "the thaw"});
      continue;
    }
    if (covered.frozen) continue;
    const auto [found, is_new] = uncovered.try_emplace(covered.mount_point);
    if (is_new) report.unfrozen.push_back(location.path);
    found->second.why = covered.why;
    if (found->second.names.size() < kMostNames) {
      found->second.names.push_back(location.what + " " + location.path);
    } else {
      ++found->second.more;
    }
  }
  for (const auto& [mount_point, found] : uncovered) {
    report.lines.push_back({LogLevel::warn, "not frozen: " + listed(found) + " on " +
                                                (mount_point.empty() ? "no mount" : mount_point) + " (" + found.why +
                                                ")" + (protection.empty() ? "" : "; " + protection)});
  }
  return report;
}

}  // namespace dlm_freeze
