// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <set>
#include <string>

#include "fs/freeze_plan.hpp"
#include "fs/mount_table.hpp"

namespace dlm_freeze {

/// The ids of the mounts of `table` that are single files: bind mounts such as a container's /etc/hosts. Looks only at
/// visible mounts of filesystems that have a volume and are not reached through a network.
[[nodiscard]] std::set<int> find_file_mounts(const MountTable& table);

/// Where /boot, what is most often mounted below it, /sysroot, /usr, /etc and /var lead, as far as those are symbolic
/// links, or on the way to one.
[[nodiscard]] std::map<std::string, std::string> find_system_links(const MountTable& table);

/// Where the layers of each overlay (and the like) of `table`, that of this process, really are: symbolic links are
/// followed, and a path that does not lead to a layer, or only through what may hang, makes it `told == false`. So does
/// the path of an upper layer that cannot be shown to lead to it (upper_layers.hpp).
[[nodiscard]] std::map<dev_t, Layers> find_layers(const MountTable& table);

}  // namespace dlm_freeze
