// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "commands/host_plan.hpp"
#include "dlm_freeze/base/log.hpp"
#include "dlm_freeze/base/unique_fd.hpp"
#include "fs/unseen.hpp"

namespace dlm_freeze {

/// Tells of filesystems that have come since the plan was made: the plan is made again, and each filesystem that can be
/// written to, is not frozen by the session, and was not named under the same mount point before is a WARN.
///
/// The tables are compared as text, since the kernel's own mark of a change (POLLPRI, proc(5)) is not set where a
/// superblock is made writable from another mount namespace.
class MountWatch {
 public:
  /// Both are referred to. What the plan does not freeze has been said.
  MountWatch(const HostPlan& plan, const FrozenFilesystems& session);

  /// Looks at the whole host, as the plan did. Before anything is locked: it opens whatever it needs, and may take as
  /// long as a plan.
  void look(Log& log);

  /// After `look`, with databases locked: reads the tables again, and those of processes that have come since; opens
  /// files in /proc only. Some 20 us for each mount namespace, and 1 us for each process.
  void look_before_freeze(Log& log);

  /// The same with filesystems frozen: looks into no process that has come since, and so does not see namespaces that
  /// were made since.
  void look_while_frozen(Log& log);

 private:
  /// What somebody who reads a WARN knows a filesystem by.
  using Name = std::tuple<dev_t, std::string, std::string>;

  static Name name_of(const Mount& mount) { return {mount.device, mount.mount_point, mount.type}; }
  /// Brings `table_` up to date. False when it does not matter or, with a WARN, cannot be read.
  bool read_table(Log& log);
  void compare(Unseen unseen, Log& log);
  void note_named(const FreezePlan& plan);

  const HostPlan& plan_;
  std::set<dev_t> session_;  ///< Their descriptors are open, so that their numbers mean nothing else.
  std::set<Name> named_;
  bool all_seen_;  ///< False: a WARN has said that not all mount namespaces were looked at.
  UniqueFd file_;
  std::optional<int> root_;
  std::string text_;     ///< Of `table_`.
  bool is_new_ = false;  ///< `table_` was not compared yet.
  MountTable table_{{}};
  BlockStacks stacks_;
  HostFacts facts_;
  UnseenSearch search_;
};

}  // namespace dlm_freeze
