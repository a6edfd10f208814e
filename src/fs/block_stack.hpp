// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "fs/mount_table.hpp"

namespace dlm_freeze {

/// What lies below the device of one filesystem.
struct BlockStack {
  /// Kernel names of what the filesystem is on: "nvme1n1p1". Several for a btrfs of several devices.
  std::vector<std::string> devices;
  /// The same, and all that is below them, a log or journal on another device too. A loop device on a file is an end.
  std::vector<std::string> all_devices;
  std::vector<std::string> volume_ids;  ///< EBS volumes at the bottom: "vol-0123456789abcdef0". Sorted, each once.
  /// Of the files below loop devices, directly or through dm, md or partitions: the device of the file's superblock
  /// where the kernel tells it and a mount has it, else the path by which the file was opened.
  std::vector<dev_t> backing_devices;
  std::vector<std::string> backing_files;
  /// Not everything that it lies on can be told: the file of a loop device is on a filesystem that no mount here shows,
  /// its journal is on another device, its device is served by a program (nbd, iSCSI to this host...) or not found.
  bool ground_unknown = false;
  /// A part of that: what is written to it goes to a file or a program of this host, and where those write cannot be
  /// told.
  bool writes_untold = false;
  bool device_gone = false;                    ///< sysfs knows other devices, but no longer this one's number.
  bool has_had_errors = false;                 ///< An ext4 with errors on record.
  bool has_quotas = false;                     ///< An ext2, ext3 or ext4 that keeps quotas.
  std::uint64_t size_bytes = 0;                ///< Of the devices together; 0 when unknown.
  std::vector<std::string> other_devices{};    ///< Kernel names of those that its log or journal may be on.
  std::vector<std::string> instance_stores{};  ///< Kernel names of disks of the EC2 host at the bottom: in no snapshot.
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
/// whole disk of a partition, what is below a loop device, the devices of a btrfs, logs and journals on devices of
/// their own, the serial number of an NVMe disk (which for EBS is the volume's id without its dash, see "Identify NVMe
/// EBS devices" in the EC2 user guide). A btrfs is asked which it is, and a loop device what it lies on, since the
/// paths they show are not true for ever; nothing is touched that may hang. Where `table` is of other mount namespaces,
/// `here` is that of this process: of its paths only those of devices in /dev mean anything.
[[nodiscard]] BlockStacks read_block_stacks(const MountTable& table, const DeviceRoots& roots = {},
                                            const MountTable* here = nullptr);

/// What lies below each block device that is used for swap; `table` is that of this process.
[[nodiscard]] std::vector<BlockStack> read_swap_stacks(const MountTable& table, const DeviceRoots& roots = {});

/// The id of the btrfs that `fd` lies on; nothing where that is no btrfs.
[[nodiscard]] std::optional<std::string> btrfs_id_of(int fd);

/// The same for a mount of the table of this process; nothing also where it cannot be opened without risk.
[[nodiscard]] std::optional<std::string> btrfs_id_of(const MountTable& table, const Mount& mount);

}  // namespace dlm_freeze
