// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/sysmacros.h>
#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "fakes/scratch.hpp"
#include "fs/block_stack.hpp"

namespace dlm_freeze::fakes {

/// Trees like /sys and /dev, of block devices that there are only here, with the files and links that Linux makes.
class FakeDevices {
 public:
  FakeDevices();

  struct Disk {
    std::string name;                   ///< "nvme1n1", "loop3", "dm-0".
    std::string number;                 ///< "259:1"
    std::uint64_t sectors = 2048;       ///< Of 512 bytes.
    std::string serial{};               ///< Of the NVMe controller; with its padding.
    std::string backing_file{};         ///< Of a loop device.
    std::vector<std::string> slaves{};  ///< Of device-mapper and md: the devices below.
    std::string dm_name{};              ///< What the link in /dev/mapper is called.
    std::string dm_uuid{};              ///< "LVM-..."
    std::string model{};                ///< Of the NVMe controller.
  };
  void add(const Disk& disk);

  /// A partition of a disk that was added.
  void add_partition(const std::string& disk, const std::string& name, const std::string& number,
                     std::uint64_t sectors = 1024);

  /// A btrfs over several devices.
  void add_btrfs(const std::string& uuid, const std::vector<std::string>& devices);

  /// What sysfs shows of a mounted ext4, or any other directory beside those.
  void add_ext4(const std::string& device) const;

  /// Removes /dev/NAME.
  void remove_node(const std::string& name) const;

  /// A journal of jbd2: "DEVICE-INODE", or "DEVICE" for one that is a device of its own.
  void add_journal(const std::string& name) const;

  /// Uses devices for swap.
  void add_swap(const std::vector<std::string>& names) const;

  /// A file below the directory that stands for "/": "proc/diskstats", "sys/kernel/debug/bdi/259:1/stats".
  void write(const std::string& name, const std::string& content) const { scratch_.write(name, content); }

  /// Devices as text, one a line; what is not given is left out:
  ///
  ///   nvme0n1 259:0 sectors=N serial=vol0abc slaves=a,b dm=name backing=/path (deleted)
  ///   nvme0n1p1 259:1 on=nvme0n1
  ///   btrfs UUID nvme1n1,nvme2n1
  void add_all(std::string_view lines);

  [[nodiscard]] DeviceRoots roots() const { return {scratch_ / "sys", scratch_ / "dev", scratch_ / "proc"}; }

 private:
  /// Makes sys/dev/block/<number>, sys/class/block/<name> and dev/<name> for a directory of sysfs.
  void announce(const std::string& directory, const std::string& name, const std::string& number);

  Scratch scratch_;
};

}  // namespace dlm_freeze::fakes
