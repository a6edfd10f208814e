// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <set>

#include "dlm_freeze/base/log.hpp"
#include "dlm_freeze/base/unique_fd.hpp"
#include "fs/mount_table.hpp"

namespace dlm_freeze {

/// Tells of mounts that have come since the plan was made. The kernel marks a descriptor of mountinfo when the table
/// changes (proc(5)), so that nothing has to be read where it did not.
class MountWatch {
 public:
  MountWatch();

  /// A WARN for each filesystem with a volume that was mounted, or made writable, since `before`, and was not told of
  /// by an earlier call. Opens nothing: it may be called while filesystems are frozen.
  void warn_of_changes(const MountTable& before, Log& log);

 private:
  UniqueFd table_;
  std::set<dev_t> told_;
};

}  // namespace dlm_freeze
