// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/shared_array.hpp"
#include "dlm_freeze/base/unique_fd.hpp"
#include "fs/block_stack.hpp"
#include "fs/freeze_plan.hpp"
#include "fs/kernel_variable.hpp"
#include "fs/mount_table.hpp"

namespace dlm_freeze {

/// The names in /sys/class/bdi of the devices whose dirty memory FIFREEZE of the planned filesystems writes back, each
/// once: the whole disk of a partition, "btrfs-2" for a btrfs. A disk that also carries what is not frozen and can be
/// written is not among them: a limit on it would slow down others for nothing.
[[nodiscard]] std::vector<std::string> backing_devices(const FreezePlan& plan, const MountTable& table,
                                                       const DeviceRoots& roots = {});

/// A limit on how much of some devices' data may be dirty in memory. Above it the kernel makes who dirties most wait
/// most (mm/page-writeback.c, balance_dirty_pages). Since Linux 6.2 each device has `max_bytes` and `strict_limit`
/// in /sys/class/bdi (Documentation/ABI/testing/sysfs-class-bdi); without them, `vm.dirty_bytes` limits the whole host.
/// Only the watchdog sets it. Shared by the processes forked after `open`, so that whoever ends a session can put back
/// what was there before; all that is needed for that is open.
class DirtyLimit {
 public:
  /// Of no device.
  DirtyLimit() = default;

  /// The devices `names` of /sys/class/bdi, those that can be limited. Nothing is changed yet.
  [[nodiscard]] static DirtyLimit open(const std::vector<std::string>& names, const DeviceRoots& roots = {});

  /// The host as a whole, as the one device kHost, by `vm.dirty_bytes`.
  [[nodiscard]] static DirtyLimit open_host(const DeviceRoots& roots = {});

  [[nodiscard]] std::size_t size() const noexcept { return devices_.size(); }
  [[nodiscard]] const std::string& name(std::size_t i) const noexcept { return devices_[i].name; }

  /// What puts back all that was there before; goes on record before the first `set`.
  [[nodiscard]] std::vector<KernelVariable> earlier() const;

  /// Lets device `i` have `bytes` dirty. False where the kernel refuses.
  bool set(std::size_t i, std::uint64_t bytes) noexcept;

  /// Puts back what was there before, if `set` was called in any process and this was not.
  void lift() noexcept;

  /// Whether there is something to lift.
  [[nodiscard]] bool is_set() const noexcept;

  /// Adds what a process has to keep open to `lift`.
  void add_descriptors(std::vector<int>& keep) const;

 private:
  /// A file to which a limit is written, divided by `divisor`; 0: a 1, whatever the limit is.
  struct Setting {
    UniqueFd fd;
    std::uint64_t divisor = 1;
  };
  struct Earlier {
    KernelVariable variable;
    UniqueFd fd;
  };
  struct Device {
    std::string name;
    std::vector<Setting> settings;
    std::vector<Earlier> earlier;
  };

  static DirtyLimit of(std::vector<Device> devices);

  std::vector<Device> devices_;
  std::optional<SharedArray<std::atomic<std::uint32_t>>> set_;  ///< By device.
};

}  // namespace dlm_freeze
