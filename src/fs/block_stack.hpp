// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "fs/mount_table.hpp"

namespace dlm_freeze {

/// What lies below the device of one filesystem.
struct BlockStack {
  /// Kernel names of what the filesystem is on: "nvme1n1p1". Several for a btrfs of several devices.
  std::vector<std::string> devices;
  std::vector<std::string> volume_ids;  ///< EBS volumes at the bottom: "vol-0123456789abcdef0". Sorted, each once.
  /// Of the files below loop devices, directly or through dm, md or partitions: the device of the file's superblock
  /// where the kernel tells it and a mount has it, else the path by which the file was opened.
  std::vector<dev_t> backing_devices;
  std::vector<std::string> backing_files;
  std::uint64_t size_bytes = 0;  ///< Of the devices together; 0 when unknown.
};

/// By the device number of the superblock (Mount::device). Filesystems without a block device are not in it.
using BlockStacks = std::map<dev_t, BlockStack>;

/// Where the kernel shows its devices; other directories only for tests.
struct DeviceRoots {
  std::string sys = "/sys";
  std::string dev = "/dev";
};

/// Looks up the stacks of all superblocks of `table` in sysfs: `slaves` of device-mapper and md, the whole disk of a
/// partition, `loop/backing_file`, the devices of a btrfs, the serial number of an NVMe disk (which for EBS is the
/// volume's id without its dash, see "Identify NVMe EBS devices" in the EC2 user guide). Nothing mounted is touched;
/// loop devices are opened for reading, to be asked what they lie on, since the path they show is no longer true once a
/// mount on it has moved or gone.
[[nodiscard]] BlockStacks read_block_stacks(const MountTable& table, const DeviceRoots& roots = {});

}  // namespace dlm_freeze
