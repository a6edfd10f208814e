// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "dlm_freeze/base/unique_fd.hpp"
#include "fs/attached_disks.hpp"
#include "fs/block_stack.hpp"
#include "fs/freeze_plan.hpp"
#include "fs/frozen_filesystems.hpp"

namespace dlm_freeze {

/// A device below frozen filesystems.
struct WitnessedDevice {
  std::string name;             ///< The kernel's: "nvme1n1".
  std::string label;            ///< For a person: "vol-0123456789abcdef0", "nvme1n1p1 of vol-0123456789abcdef0".
  std::string why_not;          ///< Why its count of writes proves nothing; empty where it does.
  std::set<dev_t> filesystems;  ///< Superblocks on it that have to be frozen for that.
};

/// Chooses the devices whose counts of writes prove that what is frozen was held: of each filesystem in `frozen`, those
/// farthest down that nothing else uses; and says of those below why they prove nothing. A device proves nothing if
/// something on it may be written that is not frozen: another filesystem, swap (a file, too: the kernel writes to its
/// blocks and not through the filesystem), a partition that nobody has mounted and anybody may open; if a driver keeps
/// records of its own there, as LVM, md and most of device-mapper do; or if the filesystem is of a type that was never
/// watched while frozen.
[[nodiscard]] std::vector<WitnessedDevice> choose_witnesses(const MountTable& table, const FreezePlan& plan,
                                                            const BlockStacks& stacks, const std::set<dev_t>& frozen,
                                                            const AttachedDisks& disks, const DeviceRoots& roots = {});

/// What a line of /sys/block/*/stat counts as written, in sectors of 512 bytes (Documentation/block/stat.rst); discards
/// and flushes are counted elsewhere. Nothing where it is no such line.
[[nodiscard]] std::optional<std::uint64_t> sectors_written(std::string_view stat);

/// Sees whether anything is written to those devices during a hold: by another program that thaws and freezes again, or
/// past the filesystem. A write is counted when it is done, and FIFREEZE returns after all of its own are.
class HoldWitness {
 public:
  /// Sees nothing.
  HoldWitness() = default;

  /// Opens the counters. One that cannot be opened proves nothing.
  explicit HoldWitness(std::vector<WitnessedDevice> devices, const DeviceRoots& roots = {});

  enum class Result {
    watched,  ///< The hold has not ended.
    quiet,    ///< Nothing was written.
    written,
    not_provable,
  };
  struct Finding {
    std::string label;
    Result result = Result::not_provable;
    std::string why;            ///< Of not_provable.
    std::uint64_t sectors = 0;  ///< Of written.
  };

  /// The hold begins: all of `filesystems` that can be frozen are. Opens nothing, waits for nothing.
  void begin(const FrozenFilesystems& filesystems) noexcept;

  /// The hold is about to end; before anything is thawed. The same.
  void end() noexcept;

  /// What is known so far; after `begin`.
  [[nodiscard]] std::vector<Finding> findings() const;

  /// What a process has to keep open.
  [[nodiscard]] std::vector<int> descriptors() const;

 private:
  struct Watch {
    WitnessedDevice device;
    UniqueFd stat;
    std::optional<std::uint64_t> first{};
    std::optional<std::uint64_t> last{};
  };

  std::vector<Watch> watches_;
  bool is_over_ = false;
};

[[nodiscard]] std::string_view to_string(HoldWitness::Result result);

}  // namespace dlm_freeze
