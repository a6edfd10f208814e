// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace dlm_freeze {

/// `path` with its symbolic links resolved as far as it exists, and no slash at its end; otherwise as it is where that
/// cannot be told.
[[nodiscard]] std::string resolved_path(const std::string& path);

}  // namespace dlm_freeze
