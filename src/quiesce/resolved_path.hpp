// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "dlm_freeze/base/error.hpp"

namespace dlm_freeze {

/// `path` with its symbolic links resolved as far as it exists, and no slash at its end; otherwise as it is where that
/// cannot be told.
[[nodiscard]] std::string resolved_path(const std::string& path);

/// `path` with all of its symbolic links resolved. Errors: it does not exist, or cannot be looked at; with the errno.
[[nodiscard]] Result<std::string> existing_path(const std::string& path);

/// The directories in `directory` in which another filesystem (or subvolume) begins. What cannot be looked at is left
/// out.
[[nodiscard]] std::vector<std::string> mounts_below(const std::string& directory);

}  // namespace dlm_freeze
