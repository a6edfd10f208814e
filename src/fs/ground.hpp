// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <set>
#include <vector>

#include "fs/block_stack.hpp"
#include "fs/mount_table.hpp"
#include "fs/writes.hpp"

namespace dlm_freeze {

/// One superblock and its neighbours.
struct Superblock {
  std::vector<const Mount*> mounts;  ///< In the order of the table, or of the search.
  std::set<dev_t> lies_on;           ///< Superblocks that hold a file this one's device is made of, or its layers.
  std::set<dev_t> carries;           ///< Those that lie on it.
  bool ground_unknown = false;       ///< It may lie on others as well. Then so may all that it carries.
  std::optional<int> height;         ///< How many are stacked on it, at most; it is frozen after all of them.
  int place = 0;                     ///< Among those of unknown ground.

  [[nodiscard]] const Mount& first() const { return *mounts.front(); }
};

/// What lies on what: the superblocks of a mount table and of other namespaces, from the images and layers of each down
/// to the disks.
class Ground {
 public:
  /// `layers` as in HostFacts; `elsewhere` are mounts of filesystems that `table` does not have. All are referred to.
  Ground(const MountTable& table, const BlockStacks& stacks, const std::map<dev_t, Layers>& layers,
         const std::vector<const Mount*>& elsewhere);

  [[nodiscard]] const std::map<dev_t, Superblock>& superblocks() const { return superblocks_; }
  [[nodiscard]] const Superblock& at(dev_t device) const { return superblocks_.at(device); }

  /// As they were found, or else as the table prints them.
  [[nodiscard]] std::optional<Layers> layers(const Mount& mount) const;

  /// Every superblock that `device` lies on, however far below; without itself.
  [[nodiscard]] std::set<dev_t> all_below(dev_t device) const;

  /// Why what is written to `device` may go anywhere, through whatever it lies on.
  [[nodiscard]] std::optional<UntoldWrites> untold(dev_t device) const;

  /// Finds out in which order they are to be frozen, for `rank`.
  void order();

  /// Where among all a superblock is frozen: one whose ground is unknown, and so what it carries, before every one
  /// whose ground is known.
  [[nodiscard]] int rank(const Superblock& superblock) const;

 private:
  void connect();
  void lay(dev_t device, const Mount* below);
  [[nodiscard]] bool has_unknown_ground(dev_t device, const Superblock& superblock) const;
  void spread_unknown_ground(dev_t device);
  int measure(dev_t device);
  void place_unknown_ground();

  const MountTable& table_;
  const BlockStacks& stacks_;
  const std::map<dev_t, Layers>& layers_;
  std::map<dev_t, Superblock> superblocks_;
};

}  // namespace dlm_freeze
