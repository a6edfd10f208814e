// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "dlm_freeze/base/error.hpp"
#include "fs/mount_table.hpp"

namespace dlm_freeze {

/// Fails where a write to the state directory `path`, or to what it would be made in, may wait for a filesystem that is
/// frozen: it must be in memory (tmpfs, ramfs) or on the root filesystem, which never is, where that is no overlay.
[[nodiscard]] Result<void> check_state_directory(const std::string& path, const MountTable& table);

/// Fails where that filesystem has no room for what a session writes there. After leftovers were cleared away.
[[nodiscard]] Result<void> check_state_room(const std::string& path);

}  // namespace dlm_freeze
