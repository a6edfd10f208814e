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
  /// Not everything that it lies on can be told: the file of a loop device is on a filesystem that no mount here shows,
  /// its journal is on another device, its device is served by a program (nbd, iSCSI to this host...) or not found.
  bool ground_unknown = false;
  bool device_gone = false;      ///< sysfs knows other devices, but no longer this one's number.
  bool has_had_errors = false;   ///< An ext4 with errors on record.
  std::uint64_t size_bytes = 0;  ///< Of the devices together; 0 when unknown.
};

/// By the device number of the superblock (Mount::device). Filesystems without a volume are not in it.
using BlockStacks = std::map<dev_t, BlockStack>;

/// Where the kernel shows its devices; other directories only for tests.
struct DeviceRoots {
  std::string sys = "/sys";
  std::string dev = "/dev";
  std::string proc = "/proc";
};

/// Looks up the stacks of all superblocks of `table` that have a volume in sysfs: `slaves` of device-mapper and md, the
/// whole disk of a partition, `loop/backing_file`, the devices of a btrfs, the serial number of an NVMe disk (which for
/// EBS is the volume's id without its dash, see "Identify NVMe EBS devices" in the EC2 user guide). Nothing mounted is
/// touched but a btrfs whose source is not the name of a device, to be asked for its id. Loop devices are opened for
/// reading, to be asked what they lie on, since the path they show is no longer true once a mount on it has moved or
/// gone.
[[nodiscard]] BlockStacks read_block_stacks(const MountTable& table, const DeviceRoots& roots = {});

}  // namespace dlm_freeze
