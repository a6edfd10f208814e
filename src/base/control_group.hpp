// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace dlm_freeze {

/// One line of a /proc/PID/cgroup.
struct ControlGroup {
  std::string controllers;  ///< "memory", "cpu,cpuacct", "name=systemd"; empty: version 2.
  std::string path;
};
[[nodiscard]] std::vector<ControlGroup> parse_control_groups(std::string_view text);

/// Where that hierarchy is mounted as a whole, by the text of a /proc/PID/mountinfo; empty: nowhere.
[[nodiscard]] std::string hierarchy_of(std::string_view mountinfo, std::string_view controllers);

}  // namespace dlm_freeze
