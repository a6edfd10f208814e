// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <set>
#include <string>

#include "fs/block_stack.hpp"
#include "fs/mount_table.hpp"

namespace dlm_freeze {

/// What this program's root directory is to the host.
struct HostRoot {
  /// Empty when it is the one of the host's init; else a clause that says why not, or why that cannot be shown.
  std::string difference;
  /// Superblocks of this root and of the host's, its /boot included, as far as they can be told.
  std::set<dev_t> superblocks;
  /// This root is a directory of an overlay, or of another filesystem without a number of its own, that the table does
  /// not show: what it lies on may be anything.
  bool ground_unknown = false;
  bool is_in_namespace_of_init = false;  ///< The mount namespace is that of the host's init.
};

/// In a container or a chroot, what looks like data is often a part of the host's root filesystem, and nothing in the
/// mount table there tells. So the root of `table` is compared with that of process 1: the same directory of the same
/// superblock. The mount namespace does not matter: a systemd unit often has its own, on the same root. Process 1
/// counts only where process 2 is a thread of the kernel: in a PID namespace of its own there are none, and process 1
/// may be the init of a container.
[[nodiscard]] HostRoot find_host_root(const MountTable& table, const DeviceRoots& roots = {});

}  // namespace dlm_freeze
