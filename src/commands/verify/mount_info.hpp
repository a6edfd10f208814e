// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace dlm_freeze {

/// What /proc/self/mountinfo says of one mount.
struct MountInfo {
  std::string type;
  std::string source;
  bool is_read_only = false;  ///< The filesystem itself, not only this mount of it.
};

/// The line with the number `id` in the text of a mountinfo (proc(5)).
[[nodiscard]] std::optional<MountInfo> mount_info(std::string_view text, std::string_view id);

/// Of the mount that `fd` was opened through.
[[nodiscard]] std::optional<MountInfo> mount_info_of(int fd);

}  // namespace dlm_freeze
