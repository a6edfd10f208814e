// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "fs/block_stack.hpp"
#include "fs/elsewhere.hpp"
#include "fs/mount_table.hpp"

namespace dlm_freeze {

/// What becomes of filesystems that only other mount namespaces have.
enum class OtherNamespaces {
  freeze,
  warn,    ///< They are passed over with a warning.
  ignore,  ///< They are passed over.
};

/// What the operator wants frozen.
struct Selection {
  bool freeze = true;                ///< False: no filesystem at all, databases only.
  std::vector<std::string> include;  ///< Mount points or globs (fnmatch(3)); if any, nothing else is frozen.
  std::vector<std::string> exclude;  ///< The same; wins over `include`.
  std::vector<std::string> protect;  ///< Absolute paths, symbolic links resolved, whose filesystems are never frozen.
  std::optional<OtherNamespaces> other_namespaces{};  ///< Nothing: `freeze`, if this
                                                      ///< is the mount namespace of the host's init; else `warn`.
};

/// A filesystem that is not mounted where this program sees it.
struct UnseenFilesystem {
  std::vector<MountElsewhere> mounts;  ///< Never empty. If there are very many, not all at the same mount point.
  bool is_only_taken = false;          ///< All that is known is that somebody has its device to himself.

  [[nodiscard]] const Mount& mount() const { return mounts.front().mount; }
};

/// What is known of the host besides its mount table and its devices.
struct HostFacts {
  std::set<int> file_mounts;        ///< Ids of mounts of a single file.
  std::set<dev_t> roots_of_others;  ///< Superblocks that the root or /boot of the host's init, or this root, lie on.
  std::vector<UnseenFilesystem> unseen;
  std::map<dev_t, Layers> layers{};  ///< By superblock. Of one that is not in it, the table's text is all there is.
  std::string out_of_reach{};        ///< Why nothing of `unseen` may be frozen, as a clause; empty: it may.
  std::map<std::string, std::string> links{};  ///< Where directories of the system lead that are symbolic links.
  std::vector<BlockStack> swap{};              ///< What lies below each device that is used for swap.
};

enum class Verdict {
  freeze,           ///< This mount's filesystem is frozen, through this mount.
  same_filesystem,  ///< Its filesystem is frozen through another mount.
  pass_over,
};

/// Why a mount got its verdict. The order is the order in which the rules are applied.
enum class Reason {
  data,          ///< Nothing speaks against freezing it.
  root_or_boot,  ///< The filesystem of /, /boot or below /boot.
  holds_root,    ///< The root filesystem lies on it: an overlay's layer, an image file, a part of an image's system.
  only_files,    ///< All that is mounted of it are single files.
  not_block_backed,  ///< tmpfs, overlay, nfs, fuse...
  unknown_type,      ///< Without a device number, and of a type of which nothing is known.
  broken,            ///< Its device is gone, or it went read-only or was shut down after an error.
  read_only,
  cannot_freeze,   ///< A type whose driver has no freeze.
  protected_path,  ///< Holds a path of `Selection::protect` or is mounted below it, or has the image of such a
                   ///< filesystem.
  unseen,          ///< Mounted in other mount namespaces only, and not to be frozen there.
  ignored,         ///< The same, and the configuration does not want them named.
  excluded,
  not_included,
  freezing_disabled,  ///< `Selection::freeze` is false.
  hidden,             ///< Each of its mounts is hidden by another mount.
  behind_network,     ///< Reached only through a network or FUSE filesystem, which may hang.
};

struct PlannedMount {
  Mount mount;
  Verdict verdict = Verdict::pass_over;
  Reason reason = Reason::data;
  std::string why;                            ///< For a person: "holds /var/lib/amazon/ssm".
  std::string holds;                          ///< The path of `Selection::protect` that keeps it from being frozen.
  int level = -1;                             ///< Of its filesystem, when that is frozen.
  std::optional<MountElsewhere> elsewhere{};  ///< Of one that this process does not have.

  /// For a person: "/data", "/data (process 77, mariadbd)", "/dev/sdb".
  [[nodiscard]] std::string name() const;
  /// Whether this process does not have it mounted.
  [[nodiscard]] bool is_elsewhere() const { return elsewhere || mount.mount_point.empty(); }
};

/// A filesystem that is to be frozen.
struct PlannedFilesystem {
  dev_t device = 0;
  int level = 0;              ///< 0 is frozen first. Those of a level do not depend on each other.
  std::vector<Mount> mounts;  ///< The mounts to open it through, best first; never empty.
  BlockStack stack;
  /// Nodes of the devices that have to be flushed after it was written back, in this order: its own if it does not do
  /// that itself, and those of what it lies on that does not either and is not frozen.
  std::vector<std::string> to_flush{};
  /// Of one that this process does not have mounted: where to open it instead.
  std::vector<MountElsewhere> elsewhere{};

  [[nodiscard]] const std::string& mount_point() const { return mounts.front().mount_point; }
  /// As PlannedMount::name.
  [[nodiscard]] std::string name() const { return elsewhere.empty() ? mount_point() : elsewhere.front().name(); }
};

/// A filesystem that has a volume and can be written, and is not frozen: what happens on it is not in the snapshot's
/// consistency.
struct Gap {
  std::size_t mount = 0;   ///< The first of its mounts in `FreezePlan::mounts`.
  std::size_t others = 0;  ///< How many more it has there.
  bool expected =
      false;  ///< The root filesystem or /boot, or the configuration leaves it out. Otherwise deserves a warning.
};

struct FreezePlan {
  std::vector<PlannedMount> mounts;  ///< Every mount: frozen ones in freeze order, then the others in the order of the
                                     ///< table, then what other mount namespaces have.
  std::vector<PlannedFilesystem> filesystems;  ///< In freeze order.
  std::vector<Gap> gaps;                       ///< In the order of `mounts`.
  std::vector<std::string> unmatched;          ///< Entries of `Selection::include` and `exclude` that match no mount.
  /// What makes freezing unsafe: the root or a protected path lies on what cannot be shown to write elsewhere (an
  /// overlay, an image...; writes.hpp). Empty when nothing is frozen, or nothing does.
  std::string problem;
  std::set<dev_t> writable;  ///< Superblocks of the table whose writers never wait for anything that is frozen.
};

/// Decides what to freeze, in which order and why. Pure: it looks at nothing but its arguments.
[[nodiscard]] FreezePlan plan_freeze(const MountTable& table, const BlockStacks& stacks, const Selection& selection,
                                     const HostFacts& facts = {});

/// The superblocks that `/` and `/boot` lie on, directly or through overlays and images, as far as `table` tells.
[[nodiscard]] std::set<dev_t> superblocks_of_root(const MountTable& table, const BlockStacks& stacks);

/// "freeze", "same", "pass over".
[[nodiscard]] std::string_view to_string(Verdict verdict);

/// The enumerator's name.
[[nodiscard]] std::string_view to_string(Reason reason);

}  // namespace dlm_freeze
