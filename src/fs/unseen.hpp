// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <set>
#include <string>
#include <vector>

#include "dlm_freeze/base/deadline.hpp"
#include "dlm_freeze/base/unique_fd.hpp"
#include "fs/block_stack.hpp"
#include "fs/freeze_plan.hpp"
#include "fs/mount_table.hpp"

namespace dlm_freeze {

/// What is mounted, and not in the mount table of this process.
struct Unseen {
  std::vector<UnseenFilesystem> filesystems;  ///< With a volume, and not read-only as far as can be told. Each once.
  BlockStacks stacks{};                       ///< Of those that a process has mounted; of a first look.
  bool complete = true;                       ///< False: not all mount namespaces were looked at.
};

/// Looks for what other mount namespaces have mounted, and for what no process has.
class UnseenSearch {
 public:
  explicit UnseenSearch(DeviceRoots roots = {}) : roots_(std::move(roots)) {}

  /// Looks through the mount namespaces of all processes, each namespace once, and keeps their tables open; then
  /// through the filesystems that sysfs lists (ext4, xfs, btrfs, f2fs), and the disks that somebody has to himself.
  /// The processes for at most `patience`. `table` is that of this process; `known` are superblocks that need not be
  /// reported. For the last of these a device is opened exclusively for a moment, in which nobody else can.
  /// Only this and `look_at_processes` find out the obstacles of mounts.
  [[nodiscard]] Unseen look(const MountTable& table, const BlockStacks& stacks, const std::set<dev_t>& known,
                            BootClock::duration patience);

  /// Only the mount namespaces of all processes. Opens nothing but files in /proc.
  [[nodiscard]] std::vector<UnseenFilesystem> look_at_processes(const MountTable& table, Deadline deadline);

  /// Looks at what `look` found once more: the tables that have changed, as a whole. Opens nothing but, where there are
  /// very many, tables in /proc, so it may be called while filesystems are frozen; a namespace that was made since is
  /// not looked into.
  [[nodiscard]] Unseen look_again(const MountTable& table, Deadline deadline);

  /// The same, and the namespaces of processes that have come since. Opens nothing but their tables in /proc.
  [[nodiscard]] Unseen look_again_and_at_newcomers(const MountTable& table, Deadline deadline);

 private:
  /// The mount table of a process in another namespace.
  struct Table {
    UniqueFd file;  ///< None where there are very many.
    std::string text;
    int process = 0;
    std::string command;
  };
  class Look;

  DeviceRoots roots_;
  std::vector<Table> tables_;
  std::set<std::string> namespaces_;
  std::set<std::string> processes_;
};

}  // namespace dlm_freeze
