// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <map>
#include <vector>

#include "commands/command_context.hpp"
#include "fs/frozen_filesystems.hpp"
#include "fs/mount_table.hpp"

namespace dlm_freeze {

/// A database that is configured or was found, and what can be said of it without logging in.
struct FoundQuiescer {
  PlannedQuiescer planned;
  Presence presence;
  std::vector<LogLine> notes{};  ///< What it had to say when it was looked for; also in the log.

  [[nodiscard]] bool is_left_out() const { return planned.quiescer && planned.quiescer->is_left_out(); }
};

/// Everything pre-script is going to do, before it does any of it.
struct HostPlan {
  MountTable table;
  FreezePlan freeze;
  std::vector<FoundQuiescer> quiescers;
  Result<void> databases_known;    ///< An error: `quiescers` lacks what could not be looked for, and pre-script fails.
  Result<void> on_host;            ///< An error: this may be a container or a chroot, and pre-script fails.
  bool all_processes_seen = true;  ///< False: there may be filesystems in other mount namespaces that the plan lacks.
  HostFacts facts{};
  BlockStacks stacks{};                     ///< Of the mounts of `table`.
  Selection selection{};                    ///< With all that must not be frozen, links resolved.
  std::map<dev_t, std::string> unopened{};  ///< Filesystems that were to be frozen and cannot be opened, and why.

  /// Whether the filesystem that holds `path` is going to be frozen; of an overlay, the one that takes what is written.
  /// Symbolic links in `path` are followed.
  [[nodiscard]] Coverage coverage(const std::string& path) const;

  /// The mount that `path` lies on; of a path through the root directory of a process in another mount namespace
  /// ("/proc/1234/root/data"), one of the same filesystem. Null where it is not known.
  [[nodiscard]] const Mount* mount_of(const std::string& path) const;

  /// The mount that takes what is written to `path`: of an overlay, that of its upper layer. Null where it is not
  /// known.
  [[nodiscard]] const Mount* taker_of(const std::string& path) const;

  /// The filesystem with that superblock, if it is going to be frozen; else null.
  [[nodiscard]] const PlannedFilesystem* filesystem(dev_t device) const;

  /// Whether a write to `fd` may block until the thaw: it is neither a pipe nor a socket nor a device, and does
  /// not lie, through overlays and images too, on filesystems of which none is going to be frozen.
  [[nodiscard]] bool may_wait_for_thaw(int fd) const;

  /// How long a session can last: `wanted`, or less where a database must not be frozen for so long.
  [[nodiscard]] std::chrono::seconds longest_session(std::chrono::seconds wanted) const;

  /// The same, with a WARN where it is less.
  [[nodiscard]] std::chrono::seconds auto_thaw(std::chrono::seconds wanted, Log& log) const;
};

/// Of the entries of the configuration that match no mount point: "/a, /b match no mount point".
[[nodiscard]] std::string unmatched_text(const FreezePlan& plan);

/// For the mount namespaces of other processes: some 5 us a process, and 50 a namespace, and more on a busy host.
inline constexpr auto kUnseenPatience = std::chrono::milliseconds(300);

/// "/data", "/data (and 2 more mounts of it)", "/data (/dev/nvme1n1)" in another mount namespace.
[[nodiscard]] std::string places_of(const FreezePlan& plan, const Gap& gap);

/// Something that is not frozen, for a person.
struct NotFrozen {
  std::string name;
  std::string why;
};

/// A WARN for each of the first few; the others are counted and named.
void warn_not_frozen(const std::vector<NotFrozen>& all, Log& log);

/// A WARN that not all mount namespaces were looked into.
void warn_not_all_seen(Log& log);

/// Says of each filesystem that has a volume, can be written and is not frozen why it is not: a WARN; or an INFO line
/// for all that the configuration leaves out, and for root and /boot.
void log_gaps(const HostPlan& plan, Log& log);

/// Lets this process have as many descriptors as a session of the plan needs. Before it has threads.
void reserve_descriptors(const HostPlan& plan) noexcept;

/// Opens what the plan freezes. As FrozenFilesystems::open; what has to be left out is put into `plan.unopened`, and
/// said in a WARN.
[[nodiscard]] Result<FrozenFilesystems> open_filesystems(HostPlan& plan, FreezeControl& control, Log& log);

/// What a session needs to limit dirty memory: nothing where little is dirty.
struct LimitedDevices {
  DirtyLimit limit{};
  DirtyMemory memory{};
};

/// Opens it for the filesystems of the plan.
[[nodiscard]] LimitedDevices open_dirty_limit(const HostPlan& plan, DirtyLimitMode mode);

/// Looks at the host and decides. Errors: the mount table cannot be read.
[[nodiscard]] Result<HostPlan> plan_host(const Settings& settings, CommandContext& context);

/// Fails when this process must not freeze: FIFREEZE needs CAP_SYS_ADMIN.
[[nodiscard]] Result<void> check_privilege();

}  // namespace dlm_freeze
