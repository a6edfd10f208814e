// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <set>
#include <vector>

#include "dlm_freeze/base/deadline.hpp"
#include "fs/block_stack.hpp"
#include "fs/freeze_plan.hpp"
#include "fs/mount_table.hpp"

namespace dlm_freeze {

/// The ids of the mounts of `table` that are single files: bind mounts such as a container's /etc/hosts. Looks only at
/// visible mounts of filesystems that have a volume and are not reached through a network.
[[nodiscard]] std::set<int> find_file_mounts(const MountTable& table);

/// Where the layers of each overlay (and the like) of `table`, that of this process, really are: symbolic links are
/// followed, and a path that does not lead to a layer, or only through what may hang, makes it `told == false`. So does
/// the path of an upper layer that cannot be shown to lead to it (upper_layers.hpp).
[[nodiscard]] std::map<dev_t, Layers> find_layers(const MountTable& table);

/// What is mounted, and not in `table`.
struct Unseen {
  std::vector<UnseenFilesystem> filesystems;  ///< With a volume, and not read-only as far as can be told. Each once.
  bool complete = true;                       ///< False: the time was up before all processes were looked at.
};

/// Looks through the mount namespaces of all processes, each namespace once, and through the filesystems that sysfs
/// lists (ext4, xfs, btrfs, f2fs), for at most `patience`. `known` are superblocks that need not be reported.
[[nodiscard]] Unseen find_unseen(const MountTable& table, const BlockStacks& stacks, const std::set<dev_t>& known,
                                 BootClock::duration patience, const DeviceRoots& roots = {});

}  // namespace dlm_freeze
