// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string_view>

// The text of a /proc/PID/uid_map or gid_map, in lines "inside outside count" (user_namespaces(7)), read by a process
// of this host: "outside" is what the host calls it.

namespace dlm_freeze {

/// What the host calls the id `inside` of the user namespace; nothing where that has no such id.
[[nodiscard]] std::optional<unsigned> id_outside(std::string_view map, unsigned inside);

/// What the user namespace calls the id `outside` of the host; nothing where it has no name for that.
[[nodiscard]] std::optional<unsigned> id_inside(std::string_view map, unsigned outside);

}  // namespace dlm_freeze
