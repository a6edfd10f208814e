// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "fs/mount_table.hpp"

namespace dlm_freeze {

/// A path through the root directory of a process: "/proc/1234/root/data".
struct ForeignPath {
  std::string table;  ///< "/proc/1234/mountinfo"
  std::string path;   ///< As the process names it: "/data".
};

/// Nothing for any other path. Looks at nothing.
[[nodiscard]] std::optional<ForeignPath> parse_foreign_path(std::string_view path);

/// The mount that such a path lies on, as the mount namespace of that process shows it: only its table is looked at.
/// `path` has no symbolic links.
[[nodiscard]] std::optional<Mount> mount_in_foreign_root(std::string_view path);

}  // namespace dlm_freeze
