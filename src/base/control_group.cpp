// SPDX-License-Identifier: Apache-2.0
#include "base/control_group.hpp"

#include <algorithm>

#include "base/text.hpp"

namespace dlm_freeze {

std::vector<ControlGroup> parse_control_groups(std::string_view text) {
  std::vector<ControlGroup> groups;
  for (const std::string_view line : split(text, '\n')) {
    // "12:memory:/path": the path may have colons of its own.
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string_view::npos ? first : line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    groups.push_back({std::string(line.substr(first + 1, second - first - 1)), std::string(line.substr(second + 1))});
  }
  return groups;
}

std::string hierarchy_of(std::string_view mountinfo, std::string_view controllers) {
  const std::string_view type = controllers.empty() ? "cgroup2" : "cgroup";
  const std::string_view wanted = controllers.substr(0, controllers.find(','));
  for (std::string_view line : split(mountinfo, '\n')) {
    const std::size_t dash = line.find(" - ");
    if (dash == std::string_view::npos) continue;
    std::string_view rest = line.substr(dash + 3);
    const bool is_type = next_word(rest) == type;
    static_cast<void>(next_word(rest));
    const auto options = split(next_word(rest), ',');
    if (!is_type || (!controllers.empty() && std::find(options.begin(), options.end(), wanted) == options.end()))
      continue;
    for (int i = 0; i < 3; ++i) static_cast<void>(next_word(line));
    const std::string_view root = next_word(line);
    const std::string_view where = next_word(line);
    if (root == "/" && where.find('\\') == std::string_view::npos) return std::string(where);
  }
  return "";
}

}  // namespace dlm_freeze
