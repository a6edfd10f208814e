// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "commands/verify/checks.hpp"
#include "commands/verify/copy.hpp"

namespace dlm_freeze {

/// Checks the filesystem of `copy`, as `subject`, with the checkers of this host. `scratch` is an empty directory with
/// space for its metadata.
///
/// A frozen filesystem has nothing to replay: ext4 and btrfs clear their marks for that (ext4_freeze, btrfs_freeze),
/// and XFS leaves records of its superblock alone in its log (xfs_fs_freeze). What has more was not frozen, or was
/// written to since. What a freeze does leave behind is files that were deleted and still open. e2fsck and xfs_repair
/// take these, and counters that XFS keeps in its log, for damage; so the metadata is copied and the kernel tidies up
/// the copy of it first.
void check_filesystem(const std::string& subject, const Copy& copy, const std::string& scratch, CheckList& checks);

/// What `xfs_logprint -t` prints.
struct XfsLog {
  bool is_output = false;           ///< Whether it is that at all.
  bool has_only_superblock = true;  ///< There is no record of anything else.
};
[[nodiscard]] XfsLog read_xfs_log(std::string_view output);

}  // namespace dlm_freeze
