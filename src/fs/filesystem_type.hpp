// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "fs/mount_table.hpp"

namespace dlm_freeze {

/// Whether a filesystem keeps its data on a volume, as far as its line of the mount table tells: a major number other
/// than 0, or a type that is known to have devices although its number is anonymous (btrfs, bcachefs, zfs, FUSE over a
/// device).
[[nodiscard]] bool has_volume(const Mount& mount);

/// Whether a type has no volume: its data are in memory, in another filesystem or on another host, or there are none.
/// False also for a type of which nothing is known.
[[nodiscard]] bool is_known_without_volume(std::string_view type);

/// Whether nothing that is frozen on this host can hold up who writes to a filesystem of this type: in memory.
[[nodiscard]] bool is_in_memory(std::string_view type);

/// FUSE, whatever is below it.
[[nodiscard]] bool is_fuse(std::string_view type);

/// Types in which a look-up may wait for another host or process for ever.
[[nodiscard]] bool may_hang(std::string_view type);

/// Types whose drivers have no freeze: FIFREEZE answers EOPNOTSUPP. Also reiserfs, whose thaw may never return.
[[nodiscard]] bool cannot_freeze(std::string_view type);

/// Whether freezing or writing back a filesystem ends with a flush of its devices: otherwise what it wrote may still be
/// in a cache below, such as that of the filesystem an image lies on. Known of the types that do, unless an option
/// forbids it; ext2 and jfs, for instance, never do.
[[nodiscard]] bool flushes_its_devices(const Mount& mount);

/// Whether a superblock that could be frozen is read-only below a mount that is meant for writing: most often the
/// kernel has made it so after an error.
[[nodiscard]] bool was_made_read_only(const Mount& mount);

}  // namespace dlm_freeze
