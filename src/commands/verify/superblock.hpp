// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

namespace dlm_freeze {

/// What the first blocks of a device say of the filesystem on it.
struct Superblock {
  std::string type;  ///< "ext4" (also of ext2 and ext3), "xfs", "btrfs"
  std::string uuid = {};
  bool needs_recovery = false;  ///< Its journal or log tree has to be replayed. Of XFS only its log tells.
  bool has_errors = false;      ///< The kernel has noted an error in it.
};

/// Reads it from a device or an image. Nothing: it is of none of these types.
[[nodiscard]] std::optional<Superblock> read_superblock(int fd);

}  // namespace dlm_freeze
