// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "fs/block_stack.hpp"
#include "fs/mount_table.hpp"

namespace dlm_freeze {

/// What the operator wants frozen.
struct Selection {
  bool freeze = true;                ///< False: no filesystem at all, databases only.
  std::vector<std::string> include;  ///< Mount points or globs (fnmatch(3)); if any, nothing else is frozen.
  std::vector<std::string> exclude;  ///< The same; wins over `include`.
  std::vector<std::string> protect;  ///< Absolute paths, symbolic links resolved, whose filesystems are never frozen.
};

enum class Verdict {
  freeze,           ///< This mount's filesystem is frozen, through this mount.
  same_filesystem,  ///< Its filesystem is frozen through another mount.
  pass_over,
};

/// Why a mount got its verdict. The order is the order in which the rules are applied.
enum class Reason {
  data,              ///< Nothing speaks against freezing it.
  root_or_boot,      ///< The filesystem of /, /boot or below /boot.
  holds_root,        ///< The root filesystem lies on it: an overlay's layer, or an image file.
  not_block_backed,  ///< tmpfs, overlay, nfs, fuse...
  read_only,
  cannot_freeze,   ///< A type whose driver has no freeze.
  protected_path,  ///< Holds a path of `Selection::protect`, or the image of a filesystem that does.
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
  std::string why;  ///< For a person: "holds /var/lib/amazon/ssm".
  int level = -1;   ///< Of its filesystem, when that is frozen.
};

/// A filesystem that is to be frozen.
struct PlannedFilesystem {
  dev_t device = 0;
  int level = 0;              ///< 0 is frozen first. Those of a level do not depend on each other.
  std::vector<Mount> mounts;  ///< The mounts to open it through, best first; never empty.
  BlockStack stack;

  [[nodiscard]] const std::string& mount_point() const { return mounts.front().mount_point; }
};

struct FreezePlan {
  std::vector<PlannedMount>
      mounts;  ///< Every mount: frozen ones in freeze order, then the others in the order of the table.
  std::vector<PlannedFilesystem> filesystems;  ///< In freeze order.
  std::vector<std::string> unmatched;          ///< Entries of `Selection::include` and `exclude` that match no mount.
};

/// Decides what to freeze, in which order and why. Pure: it looks at nothing but its arguments.
[[nodiscard]] FreezePlan plan_freeze(const MountTable& table, const BlockStacks& stacks, const Selection& selection);

/// "freeze", "same", "pass over".
[[nodiscard]] std::string_view to_string(Verdict verdict);

/// The enumerator's name.
[[nodiscard]] std::string_view to_string(Reason reason);

/// Whether an operator should hear of this verdict without asking.
[[nodiscard]] bool deserves_warning(Reason reason);

}  // namespace dlm_freeze
