// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "dlm_freeze/base/error.hpp"
#include "dlm_freeze/base/unique_fd.hpp"
#include "fs/mount_table.hpp"

namespace dlm_freeze {

/// A mount that this process does not have, in the mount namespace of another one.
struct MountElsewhere {
  Mount mount;                  ///< As that namespace shows it; without a mount point where no process has it.
  int process = 0;              ///< One that sees it; 0 for none.
  std::string command = {};     ///< Its name.
  std::string container = {};   ///< As ContainerName::text; empty where none is known.
  std::string name_space = {};  ///< "mnt:[4026532000]"; empty where that may not be asked for.
  std::string obstacle = {};    ///< Why it must not be opened, as a clause; empty: nothing is known.
  bool is_of_first = false;     ///< It is in the mount namespace of process 1.

  /// "docker container 0123456789ab (process 77, mariadbd)", "process 77 (mariadbd)".
  [[nodiscard]] std::string where() const;
  /// The same, short, behind what is mounted: "/data (docker container 0123456789ab)", "/data (process 77, mariadbd)".
  [[nodiscard]] std::string name() const;
};

/// Why the mount `mount` of `table`, that of another mount namespace, must not be opened there: another mount hides it,
/// or the way to it may wait for another host or program. Empty: nothing speaks against it. Pure.
[[nodiscard]] std::string obstacle_to(const MountTable& table, const Mount& mount);

/// The same of its namespace, that of `process`: a user namespace owns it, whose root can mount what answers when it
/// likes. `proc` is open on /proc.
[[nodiscard]] std::string obstacle_to_namespace_of(int proc, int process);

/// The open root directory of a mount of another mount namespace, by way of /proc/PID/root. Who is in there may rename,
/// mount and unmount meanwhile: no symbolic link is followed, nothing is looked up in a filesystem that may wait for
/// somebody, as far as the kernel lets that be known beforehand, and what was opened is that very mount. Where the
/// process is gone, another one of its namespace will do.
[[nodiscard]] Result<UniqueFd> open_elsewhere(const MountElsewhere& mount);

}  // namespace dlm_freeze
