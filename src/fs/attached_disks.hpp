// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "fs/block_stack.hpp"

namespace dlm_freeze {

/// A device on which no other device lies: a whole disk, a partition, a logical volume, a RAID.
struct DiskPart {
  std::string device;    ///< The kernel's name: "nvme1n1p2", "dm-3".
  std::string name;      ///< For a person: "nvme1n1p2", "LVM vg0-data", "RAID md127".
  bool is_swap = false;  ///< In use as swap.
};

/// A disk of this host: what a snapshot is taken of.
struct Disk {
  std::string name;       ///< The kernel's: "nvme1n1".
  std::string volume_id;  ///< "vol-0123456789abcdef0"; empty where it is no EBS volume that says so.
  std::uint64_t size_bytes = 0;
  bool is_instance_store = false;  ///< Of the EC2 host: in no snapshot.
  bool is_image = false;           ///< A loop device that is set up; lies on a file, or on another device.
  std::vector<DiskPart> parts;     ///< Everything on it that can hold data, by the kernel's names.

  [[nodiscard]] const std::string& label() const { return volume_id.empty() ? name : volume_id; }
};

/// The disks that are attached, whatever is on them, and the loop devices that are set up, as sysfs shows them; not
/// what is in memory, nor optical drives.
class AttachedDisks {
 public:
  /// Where there is no sysfs, there are none.
  [[nodiscard]] static AttachedDisks read(const DeviceRoots& roots = {});

  [[nodiscard]] const std::vector<Disk>& disks() const noexcept { return disks_; }

  /// The block device `name` and all that it lies on: through partitions, device-mapper and md, and down to a loop
  /// device.
  [[nodiscard]] std::vector<std::string> stack_of(const std::string& name) const;

  /// Positions in `disks` of those that are among them.
  [[nodiscard]] std::vector<std::size_t> below(const std::string& name) const;

  /// What `name` lies on directly, and what lies on it: its disk, partitions, members of device-mapper or md. Loop
  /// devices on files, or on it, are in neither.
  [[nodiscard]] std::vector<std::string> directly_below(const std::string& name) const;
  [[nodiscard]] std::vector<std::string> directly_above(const std::string& name) const;

  /// The disk that `name` is a partition of; empty where it is none.
  [[nodiscard]] std::string disk_of_partition(const std::string& name) const;

  /// The number of a block device, "259:1"; empty where there is none.
  [[nodiscard]] std::string number_of(const std::string& name) const;

  /// The kernel's name of the block device with that number; empty where there is none.
  [[nodiscard]] std::string name_of(dev_t number) const;

 private:
  struct Device {
    std::vector<std::string> on;       ///< What it lies on directly.
    std::vector<std::string> holders;  ///< What lies on it directly.
    std::string number;
    std::uint64_t size_bytes = 0;
    bool is_partition = false;
  };

  void add_device(const DeviceRoots& roots, const std::string& name);
  void add_parts(const DeviceRoots& roots);
  [[nodiscard]] static bool is_extended(const Device& device);

  std::vector<Disk> disks_;
  std::map<std::string, Device> devices_;
};

}  // namespace dlm_freeze
