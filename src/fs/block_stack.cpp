// SPDX-License-Identifier: Apache-2.0
#include "fs/block_stack.hpp"

#include <fcntl.h>
#include <linux/btrfs.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <filesystem>
#include <optional>
#include <set>
#include <string_view>
#include <system_error>

#include "base/directory.hpp"
#include "base/text.hpp"
#include "dlm_freeze/base/unique_fd.hpp"
#include "fs/attached_disks.hpp"
#include "fs/filesystem_type.hpp"
#include "fs/path_trail.hpp"
#include "fs/sysfs.hpp"

namespace dlm_freeze {
namespace {

namespace stdfs = std::filesystem;

/// Whether a device without devices below it, whose directory in sysfs is `directory`, is served by a program that may
/// itself write to a filesystem of this host: nbd, ublk, zvol..., iSCSI, a loop-back SCSI target. Hardware is not, nor
/// is memory, nor a disk with several NVMe controllers.
bool is_served_by_a_program(const stdfs::path& directory) {
  const std::string path = directory.string() + "/";
  const std::string name = directory.filename();
  const bool in_memory = name.starts_with("ram") || name.starts_with("zram") || name.starts_with("pmem");
  if (path.find("/devices/virtual/") != std::string::npos) {
    return !in_memory && path.find("/nvme-subsystem/") == std::string::npos;
  }
  return path.find("/session") != std::string::npos || path.find("/tcm_loop") != std::string::npos;
}

/// Whether that program most likely is one of this host; that of iSCSI most often is not, and a zvol is on disks.
bool is_served_here(std::string_view name) { return name.starts_with("nbd") || name.starts_with("ublkb"); }

class StackReader {
 public:
  StackReader(const MountTable& table, const DeviceRoots& roots, const MountTable* here)
      : table_(table),
        here_(here != nullptr ? *here : table),
        roots_(roots),
        classes_(stdfs::path(roots.sys) / "class" / "block"),
        sysfs_has_devices_(!names_in(stdfs::path(roots.sys) / "dev" / "block").empty()),
        journals_(names_in(stdfs::path(roots.proc) / "fs" / "jbd2")) {
    for (const MountTable* known : {&table_, &here_}) {
      for (const Mount& mount : known->mounts()) superblocks_.insert(mount.device);
    }
  }

  BlockStack stack_of(const std::string& device) {
    BlockStack stack;
    seen_.clear();
    stack.devices = {device};
    describe(device, stack);
    return stack;
  }

  BlockStack stack_of(const Mount& mount) {
    BlockStack stack;
    seen_.clear();
    stack.devices = devices_of(mount);
    stack.device_gone = stack.devices.empty() && major(mount.device) != 0 && sysfs_has_devices_;
    stack.ground_unknown = stack.devices.empty() || !sysfs_has_devices_;
    for (const std::string& device : stack.devices) {
      describe(device, stack);
      stack.size_bytes += size_of_device(classes_ / device);
      const auto errors = sysfs_attribute(stdfs::path(roots_.sys) / "fs" / "ext4" / device / "errors_count");
      stack.has_had_errors = stack.has_had_errors || (errors && *errors != "0");
    }
    stack.has_quotas = mount.type.starts_with("ext") && keeps_quotas(mount, stack.devices);
    describe_other_devices(mount, stack);
    stack.all_devices.assign(seen_.begin(), seen_.end());
    std::sort(stack.volume_ids.begin(), stack.volume_ids.end());
    stack.volume_ids.erase(std::unique(stack.volume_ids.begin(), stack.volume_ids.end()), stack.volume_ids.end());
    return stack;
  }

 private:
  /// The kernel names of the devices that the filesystem of `mount` is on.
  std::vector<std::string> devices_of(const Mount& mount) const {
    if (major(mount.device) != 0) {
      const std::string name = name_of(mount.device);
      return name.empty() ? std::vector<std::string>() : std::vector<std::string>{name};
    }
    if (mount.type == "btrfs") {
      auto devices = btrfs_devices_by_id(mount);
      if (!devices.empty()) return devices;
    }
    // A superblock of several devices has an anonymous number; its source is one of the devices (btrfs) or all of them
    // with colons in between (bcachefs).
    std::vector<std::string> devices;
    for (const std::string_view node : split(mount.source, ':')) {
      const std::string name = name_of_node(std::string(node));
      if (!name.empty()) devices.push_back(name);
    }
    return mount.type != "btrfs" || devices.empty() ? devices : with_btrfs_siblings(devices.front());
  }

  /// The kernel's name of the block device with a number. Without sysfs only of loop devices, which can be asked.
  std::string name_of(dev_t number) const {
    std::error_code absent;
    const auto link = stdfs::read_symlink(stdfs::path(roots_.sys) / "dev" / "block" / device_number(number), absent);
    if (!absent) return link.filename();
    constexpr unsigned kLoopMajor = 7;
    return major(number) == kLoopMajor && !sysfs_has_devices_ ? "loop" + std::to_string(minor(number)) : "";
  }

  /// Whether the table is of another mount namespace, whose paths lead elsewhere here.
  [[nodiscard]] bool is_foreign() const { return &here_ != &table_; }

  /// The kernel's name of the device that a path leads to, whatever the path is called.
  std::string name_of_node(const std::string& node) const {
    constexpr std::string_view kDev = "/dev/";
    const bool is_in_dev = node.starts_with(kDev);
    if (!node.starts_with('/') || (is_foreign() && !is_in_dev)) return {};
    const Trail trail = follow(here_, is_in_dev ? roots_.dev + "/" + node.substr(kDev.size()) : node);
    struct stat info {};
    const bool is_found = trail.end == Trail::End::found && ::stat(trail.path.c_str(), &info) == 0;
    if (is_found && S_ISBLK(info.st_mode)) return name_of(info.st_rdev);
    std::error_code error;
    const std::string name = stdfs::path(trail.path).filename();
    const bool is_known = is_in_dev && !name.empty() && stdfs::exists(classes_ / name, error);
    return is_known ? name : "";
  }

  /// Of an ext2, ext3 or ext4.
  [[nodiscard]] bool keeps_quotas(const Mount& mount, const std::vector<std::string>& devices) const {
    constexpr std::array kOptions = {"quota", "usrquota", "grpquota", "prjquota", "usrjquota", "grpjquota"};
    return std::any_of(kOptions.begin(), kOptions.end(), [&](auto option) { return mount.has_super_option(option); }) ||
           std::any_of(devices.begin(), devices.end(), [&](const auto& device) { return has_quota_feature(device); });
  }

  /// By the superblock on the device, which the kernel has in memory: the mount options do not tell of this feature,
  /// and quotactl(2) waits with a FIFREEZE that hangs.
  [[nodiscard]] bool has_quota_feature(const std::string& device) const {
    constexpr off_t kPlace = 1024;
    constexpr std::size_t kMagic = 0x38;
    constexpr std::size_t kFeatures = 0x64;  // s_feature_ro_compat; quota is 0x100 of it.
    const UniqueFd fd(::open((stdfs::path(roots_.dev) / device).c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    std::array<unsigned char, 1024> superblock{};
    if (::pread(fd.get(), superblock.data(), superblock.size(), kPlace) != static_cast<ssize_t>(superblock.size()))
      return false;
    return superblock[kMagic] == 0x53 && superblock[kMagic + 1] == 0xEF && (superblock[kFeatures + 1] & 1) != 0;
  }

  bool may_hang_at(const std::string& path) const {
    const Mount* mount = table_.resolve(path);
    return mount != nullptr && may_hang(table_, *mount);
  }

  /// Logs, journals and real-time parts on devices of their own.
  void describe_other_devices(const Mount& mount, BlockStack& stack) {
    for (const std::string_view option : {"logdev", "rtdev", "jdev", "journal_path"}) {
      const auto node = mount.super_option(option);
      if (!node) continue;
      const std::string device = name_of_node(*node);
      stack.ground_unknown = stack.ground_unknown || device.empty();
      if (device.empty()) continue;
      stack.other_devices.push_back(device);
      describe(device, stack);
    }
    if (!has_journal_elsewhere(mount, stack)) return;
    // Which of them is its own is not told: it may lie on each.
    stack.ground_unknown = true;
    for (const std::string& journal : journals_) {
      if (is_device(journal)) describe(journal, stack);
    }
  }

  /// ext4 does not show in its options that its journal is on another device. Its own is listed as DEVICE-INODE, and
  /// one that is elsewhere by the name of that device alone.
  bool has_journal_elsewhere(const Mount& mount, const BlockStack& stack) const {
    if ((mount.type != "ext4" && mount.type != "ext3") || stack.devices.empty()) return false;
    const std::string& device = stack.devices.front();
    const auto is_own = [&](const std::string& journal) { return journal.starts_with(device + "-"); };
    if (std::any_of(journals_.begin(), journals_.end(), is_own)) return false;
    const auto thread = sysfs_attribute(stdfs::path(roots_.sys) / "fs" / "ext4" / device / "journal_task");
    if (thread == "<none>") return false;  // It has no journal at all.
    return std::any_of(journals_.begin(), journals_.end(), [&](const auto& journal) { return is_device(journal); });
  }

  bool is_device(const std::string& name) const {
    std::error_code error;
    return stdfs::exists(classes_ / name, error);
  }

  void describe(const std::string& device, BlockStack& stack) {
    if (!seen_.insert(device).second) return;
    const stdfs::path directory = classes_ / device;
    const bool is_loop = note_backing_file(device, stack);
    const std::vector<std::string> slaves = names_in(directory / "slaves");
    for (const std::string& slave : slaves) describe(slave, stack);
    std::error_code error;
    if (stdfs::exists(directory / "partition", error)) {
      describe(disk_of(directory), stack);
    } else if (!is_loop && slaves.empty() && is_served_by_a_program(stdfs::weakly_canonical(directory, error))) {
      stack.ground_unknown = true;
      stack.writes_untold = stack.writes_untold || is_served_here(device);
    }
    if (const auto volume = volume_id_of(directory)) {
      stack.volume_ids.push_back(*volume);
    } else if (is_instance_store(directory)) {
      stack.instance_stores.push_back(device);
    }
  }

  /// Notes what a loop device lies on: a file, or another device. False when `device` is no loop device.
  bool note_backing_file(const std::string& device, BlockStack& stack) {
    const auto shown = sysfs_attribute(classes_ / device / "loop" / "backing_file");
    constexpr std::string_view kDeleted = " (deleted)";
    std::string file = shown.value_or("");
    if (file.ends_with(kDeleted)) file.resize(file.size() - kDeleted.size());
    // The kernel looks at the file to answer.
    const auto status = file.empty() || !may_hang_at(file) ? loop_status(device) : std::nullopt;
    if (!shown && !status) return false;
    // Older kernels repeat the number of a file's filesystem for that of the device.
    const bool is_on_device = status && status->lo_rdevice != 0 && status->lo_rdevice != status->lo_device;
    const std::string below =
        is_on_device ? name_of(static_cast<dev_t>(status->lo_rdevice)) : (status ? "" : name_of_node(file));
    if (!below.empty()) {
      describe(below, stack);
    } else if (status && !is_on_device && superblocks_.contains(static_cast<dev_t>(status->lo_device))) {
      stack.backing_devices.push_back(static_cast<dev_t>(status->lo_device));
    } else if (const auto path = is_on_device ? std::nullopt : true_path(device, file, status)) {
      stack.backing_files.push_back(*path);
      stack.ground_unknown = stack.ground_unknown || table_.resolve(*path) == nullptr;
    } else {
      stack.ground_unknown = true;
      stack.writes_untold = true;
    }
    return true;
  }

  /// The path of a loop device's file, if that still leads to it: it may be that of another mount namespace, or of a
  /// mount that has moved. The files of a btrfs and of an overlay have other device numbers than their mounts, so there
  /// the path alone tells where they lie.
  std::optional<std::string> true_path(const std::string& device, const std::string& file,
                                       const std::optional<loop_info64>& status) const {
    if (file.empty() || is_foreign()) return std::nullopt;
    std::error_code error;
    if (!status && !stdfs::exists(stdfs::path(roots_.dev) / device, error)) return std::nullopt;
    const Trail trail = follow(here_, file);
    if (!status) return trail.path;  // It cannot be asked.
    struct stat info {};
    const bool is_it = trail.end == Trail::End::found && ::stat(trail.path.c_str(), &info) == 0 &&
                       info.st_dev == static_cast<dev_t>(status->lo_device) && info.st_ino == status->lo_inode;
    return is_it ? std::optional(trail.path) : std::nullopt;
  }

  /// What a loop device says of itself; nothing if it cannot be asked.
  std::optional<loop_info64> loop_status(const std::string& loop) const {
    if (!loop.starts_with("loop")) return std::nullopt;
    const UniqueFd fd(::open((stdfs::path(roots_.dev) / loop).c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    loop_info64 info{};
    if (!fd || ::ioctl(fd.get(), LOOP_GET_STATUS64, &info) != 0) return std::nullopt;
    return info;
  }

  /// Asks the filesystem itself for its id, by which sysfs lists its devices. Its source may be another device by now.
  std::vector<std::string> btrfs_devices_by_id(const Mount& first) const {
    if (is_foreign()) return {};
    for (const Mount& mount : table_.mounts()) {
      const auto id = mount.device == first.device ? btrfs_id_of(table_, mount) : std::nullopt;
      if (id) return names_in(stdfs::path(roots_.sys) / "fs" / "btrfs" / *id / "devices");
    }
    return {};
  }

  std::vector<std::string> with_btrfs_siblings(const std::string& device) const {
    const stdfs::path filesystems = stdfs::path(roots_.sys) / "fs" / "btrfs";
    std::error_code error;
    for (const std::string& uuid : names_in(filesystems)) {
      const stdfs::path devices = filesystems / uuid / "devices";
      if (stdfs::exists(devices / device, error)) return names_in(devices);
    }
    return {device};
  }

  const MountTable& table_;
  const MountTable& here_;
  const DeviceRoots& roots_;
  stdfs::path classes_;
  bool sysfs_has_devices_;
  std::vector<std::string> journals_;  ///< Names in /proc/fs/jbd2.
  std::set<dev_t> superblocks_;        ///< That some mount has.
  std::set<std::string> seen_;
};

}  // namespace

BlockStacks read_block_stacks(const MountTable& table, const DeviceRoots& roots, const MountTable* here) {
  BlockStacks stacks;
  std::set<dev_t> known;
  StackReader reader(table, roots, here);
  for (const Mount& mount : table.mounts()) {
    if (!has_volume(mount) || !known.insert(mount.device).second) continue;
    stacks.emplace(mount.device, reader.stack_of(mount));
  }
  return stacks;
}

std::vector<BlockStack> read_swap_stacks(const MountTable& table, const DeviceRoots& roots) {
  std::vector<BlockStack> stacks;
  const std::vector<std::string> devices = swap_devices(roots);
  if (devices.empty()) return stacks;
  StackReader reader(table, roots, nullptr);
  for (const std::string& device : devices) stacks.push_back(reader.stack_of(device));
  return stacks;
}

std::optional<std::string> btrfs_id_of(int fd) {
  btrfs_ioctl_fs_info_args info{};
  if (::ioctl(fd, BTRFS_IOC_FS_INFO, &info) != 0) return std::nullopt;
  return uuid_text(info.fsid);
}

std::optional<std::string> btrfs_id_of(const MountTable& table, const Mount& mount) {
  if (!table.is_visible(mount) || may_hang(table, mount)) return std::nullopt;
  const UniqueFd fd(::open(mount.mount_point.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW));
  const auto id = fd ? mount_id_of(fd.get()) : Result<int>(0);
  return id && *id == mount.id ? btrfs_id_of(fd.get()) : std::nullopt;
}

}  // namespace dlm_freeze
