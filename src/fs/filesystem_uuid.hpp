// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "fs/block_stack.hpp"

namespace dlm_freeze {

/// The UUID of the filesystem that `fd` lies on, as blkid(8) prints it: asked of the filesystem itself, or of
/// /dev/disk/by-uuid for one of its `devices` (kernel names) where it does not tell. Empty where neither knows it.
[[nodiscard]] std::string filesystem_uuid(int fd, const std::vector<std::string>& devices,
                                          const DeviceRoots& roots = {});

}  // namespace dlm_freeze
