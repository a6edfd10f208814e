// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "dlm_freeze/base/unique_fd.hpp"
#include "fs/block_stack.hpp"
#include "fs/descent.hpp"

namespace dlm_freeze {

/// The name of the device that stands for all.
inline constexpr std::string_view kHost = "host";

/// Bytes that are dirty or being written on the whole host, by /proc/vmstat.
[[nodiscard]] std::uint64_t dirty_on_host(const DeviceRoots& roots = {});

/// Watches how much of some devices' data is dirty: by what the kernel itself says of each in debugfs
/// (mm/backing-dev.c), where that can be read. Where it cannot, a device to which nearly all goes that the host writes
/// back
/// (/proc/diskstats, /proc/vmstat) has all that is dirty on the host, and the others nothing.
class DirtyMemory {
 public:
  /// Of no device.
  DirtyMemory() = default;

  /// The devices `names` of /sys/class/bdi; kHost is the host as a whole. What is needed to look is open afterwards.
  [[nodiscard]] static DirtyMemory open(std::vector<std::string> names, const DeviceRoots& roots = {});

  /// One sample a device.
  [[nodiscard]] std::vector<DirtySample> look();

  /// Whether the kernel tells what is dirty of each device. Else a first look takes all that is dirty on the host for
  /// that of each.
  [[nodiscard]] bool tells_each() const noexcept { return !stats_.empty(); }

  /// Adds what a process has to keep open to `look`.
  void add_descriptors(std::vector<int>& keep) const;

 private:
  void look_at_each(std::vector<DirtySample>& samples) const;
  void look_at_host(std::vector<DirtySample>& samples);

  std::vector<std::string> names_;
  std::vector<UniqueFd> stats_;  ///< By device; none where debugfs cannot be read.
  UniqueFd vmstat_;
  UniqueFd diskstats_;
  std::vector<std::uint64_t> first_;  ///< What had been written at the first look, by device.
  std::uint64_t first_of_host_ = 0;
};

}  // namespace dlm_freeze
