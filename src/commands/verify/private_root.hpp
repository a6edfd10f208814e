// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dlm_freeze/base/error.hpp"

namespace dlm_freeze {

/// Where this program keeps what it mounts. A tmpfs, once `mount_work` has returned.
inline constexpr const char* kWork = "/run";

/// Where a database server that was started on a copy has its socket and its log.
inline constexpr const char* kRunDirectory = "/run/verify";

/// A copy, and where the original was mounted.
struct PlacedCopy {
  std::string root;         ///< A directory below kWork.
  std::string mount_point;  ///< On the host of the session.
};

/// Puts a tmpfs over kWork: `most` bytes, or half of the memory if that is 0. `scratch`, unless empty, is a directory
/// on a filesystem with more space: of that a file without a name is used, which is gone with its last user. Only in
/// namespaces of one's own.
[[nodiscard]] Result<void> mount_work(const std::string& scratch, std::uint64_t most);

/// Makes a root directory of its own the root of this process: the host's root filesystem, whose writes go into
/// memory, with each copy where its original was, whose writes go into the space of `mount_work`; and a /proc, /dev,
/// /run and /tmp of its own. Nothing else of the host's can be written, and of what is mounted below its root only what
/// programs usually lie in can be seen. So a server that follows an absolute path of its original, a tablespace's say,
/// finds the copy of that or nothing, never the original.
/// A mount point is taken for what anybody may have written: it is made and used only when nothing of the host's can be
/// reached any more, through no symbolic link; a copy whose original lay on the root directory, in /etc, among the
/// programs or in what is private here (/proc, /sys, /dev, /run, /tmp) is not there.
[[nodiscard]] Result<void> enter_private_root(std::vector<PlacedCopy> copies);

}  // namespace dlm_freeze
