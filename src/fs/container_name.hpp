// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace dlm_freeze {

/// The container that a process is in, as its runtime names it in the path of the cgroup: "docker container
/// 0123456789ab", "pod container ...", "LXC container web", "machine web". `cgroups` is the text of /proc/PID/cgroup
/// (cgroups(7)). Empty where the path tells of none. Of nested ones the outermost counts: what is inside a container
/// can make cgroups of any name.
[[nodiscard]] std::string container_of(std::string_view cgroups);

}  // namespace dlm_freeze
