// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <map>
#include <string>

#include "fs/mount_table.hpp"

namespace dlm_freeze {

/// Tells whether a path is that of the upper layer of an overlay, or only was when the overlay was mounted: since then
/// another filesystem may have been mounted there, or the path is one of another root directory.
///
/// No call tells which filesystem an overlay lies on. But it answers stat(2) for its root directory with the times of
/// the upper layer's, and statfs(2) with what is free there (ovl_getattr, ovl_statfs; ecryptfs does the same).
class UpperLayers {
 public:
  /// `table` is that of this process, and is referred to.
  explicit UpperLayers(const MountTable& table);

  /// False also where it cannot be shown: no mount shows the whole overlay, or looking at it may hang, or another
  /// filesystem has as much free, as a copy of the disk has.
  [[nodiscard]] bool is_of(dev_t overlay, const std::string& path) const;

 private:
  [[nodiscard]] bool has_a_twin(const Mount& below, const std::string& path) const;

  const MountTable& table_;
  /// Of each superblock a mount that can be looked at; of overlays, a whole one.
  std::map<dev_t, const Mount*> roots_;
};

}  // namespace dlm_freeze
