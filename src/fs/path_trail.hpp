// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "fs/mount_table.hpp"

namespace dlm_freeze {

/// Whether a look-up on `mount` may wait for another host or process for ever: it, a mount above it or a layer of it is
/// FUSE or of the network. Not where that is the root, on which this program lives anyway.
[[nodiscard]] bool may_hang(const MountTable& table, const Mount& mount);

/// Where a path leads.
struct Trail {
  enum class End {
    found,
    absent,
    untold,  ///< Relative, through /proc (whose links need not lead to what they say), or through what may hang.
  };
  End end = End::found;
  std::string path;  ///< Without symbolic links as far as it was followed; the rest as it was given.
};

/// Follows the symbolic links of a path in the mount namespace of this process, whose table is `table`. Looks at
/// nothing that may hang.
[[nodiscard]] Trail follow(const MountTable& table, std::string_view path);

}  // namespace dlm_freeze
