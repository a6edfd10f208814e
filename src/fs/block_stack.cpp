// SPDX-License-Identifier: Apache-2.0
#include "fs/block_stack.hpp"

#include <fcntl.h>
#include <linux/btrfs.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <optional>
#include <set>
#include <string_view>
#include <system_error>

#include "base/directory.hpp"
#include "base/text.hpp"
#include "dlm_freeze/base/files.hpp"
#include "dlm_freeze/base/unique_fd.hpp"
#include "fs/filesystem_type.hpp"

namespace dlm_freeze {
namespace {

namespace stdfs = std::filesystem;

/// The content of a sysfs attribute without its final newline; nothing when it is absent.
std::optional<std::string> attribute(const stdfs::path& path) {
  auto content = read_file(path);
  if (!content) return std::nullopt;
  if (content->ends_with('\n')) content->pop_back();
  return std::move(*content);
}

/// The last component of the path that a symbolic link leads to; of `path` itself when it is no link.
std::string target_name(const stdfs::path& path) {
  std::error_code error;
  const stdfs::path target = stdfs::weakly_canonical(path, error);
  return error ? std::string() : target.filename().string();
}

/// EBS gives each NVMe device the id of its volume as serial number, without the dash and padded with blanks.
std::optional<std::string> ebs_volume_id(std::string_view serial) {
  constexpr std::string_view kPrefix = "vol";
  const std::size_t end = serial.find_last_not_of(' ');
  serial = serial.substr(0, end == std::string_view::npos ? 0 : end + 1);
  if (!serial.starts_with(kPrefix) || serial.size() == kPrefix.size()) return std::nullopt;
  serial.remove_prefix(kPrefix.size());
  if (serial.starts_with('-')) serial.remove_prefix(1);
  return "vol-" + std::string(serial);
}

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

class StackReader {
 public:
  StackReader(const MountTable& table, const DeviceRoots& roots)
      : table_(table),
        roots_(roots),
        classes_(stdfs::path(roots.sys) / "class" / "block"),
        sysfs_has_devices_(!names_in(stdfs::path(roots.sys) / "dev" / "block").empty()),
        journals_(names_in(stdfs::path(roots.proc) / "fs" / "jbd2")) {
    for (const Mount& mount : table.mounts()) superblocks_.insert(mount.device);
  }

  BlockStack stack_of(const Mount& mount) {
    BlockStack stack;
    seen_.clear();
    stack.devices = devices_of(mount);
    stack.device_gone = stack.devices.empty() && major(mount.device) != 0 && sysfs_has_devices_;
    stack.ground_unknown = stack.devices.empty() || !sysfs_has_devices_ || has_journal_elsewhere(mount, stack);
    for (const std::string& device : stack.devices) {
      describe(device, stack);
      stack.size_bytes += size_of(device);
      const auto errors = attribute(stdfs::path(roots_.sys) / "fs" / "ext4" / device / "errors_count");
      stack.has_had_errors = stack.has_had_errors || (errors && *errors != "0");
    }
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
    // A superblock of several devices has an anonymous number; its source is one of the devices (btrfs) or all of them
    // with colons in between (bcachefs).
    std::vector<std::string> devices;
    for (const std::string_view node : split(mount.source, ':')) {
      const std::string name = name_of_node(std::string(node));
      if (!name.empty()) devices.push_back(name);
    }
    if (mount.type != "btrfs") return devices;
    return devices.empty() ? btrfs_devices_by_id(mount) : with_btrfs_siblings(devices.front());
  }

  /// The kernel's name of the block device with a number. Without sysfs only of loop devices, which can be asked.
  std::string name_of(dev_t number) const {
    std::error_code absent;
    const auto link = stdfs::read_symlink(stdfs::path(roots_.sys) / "dev" / "block" / device_number(number), absent);
    if (!absent) return link.filename();
    constexpr unsigned kLoopMajor = 7;
    return major(number) == kLoopMajor && !sysfs_has_devices_ ? "loop" + std::to_string(minor(number)) : "";
  }

  /// The kernel's name of the device that a path leads to, whatever the path is called.
  std::string name_of_node(const std::string& node) const {
    if (!node.starts_with('/') || may_hang_at(node)) return {};
    constexpr std::string_view kDev = "/dev/";
    const stdfs::path path =
        node.starts_with(kDev) ? stdfs::path(roots_.dev) / node.substr(kDev.size()) : stdfs::path(node);
    struct stat info {};
    if (::stat(path.c_str(), &info) == 0 && S_ISBLK(info.st_mode)) return name_of(info.st_rdev);
    std::error_code error;
    const std::string name = target_name(path);
    const bool is_known = node.starts_with(kDev) && !name.empty() && stdfs::exists(classes_ / name, error);
    return is_known ? name : "";
  }

  bool may_hang_at(const std::string& path) const {
    const Mount* mount = table_.resolve(path);
    if (mount == nullptr) return false;
    const auto above = table_.ancestors(*mount);
    return may_hang(mount->type) ||
           std::any_of(above.begin(), above.end(), [](const Mount* ancestor) { return may_hang(ancestor->type); });
  }

  /// ext4 does not show in its options that its journal is on another device. Its own is listed as DEVICE-INODE, and
  /// one that is elsewhere by the name of that device alone.
  bool has_journal_elsewhere(const Mount& mount, const BlockStack& stack) const {
    if ((mount.type != "ext4" && mount.type != "ext3") || stack.devices.empty()) return false;
    const auto has_own = [&](const std::string& journal) { return journal.starts_with(stack.devices.front() + "-"); };
    std::error_code error;
    const auto is_device = [&](const std::string& journal) { return stdfs::exists(classes_ / journal, error); };
    return std::any_of(journals_.begin(), journals_.end(), is_device) &&
           std::none_of(journals_.begin(), journals_.end(), has_own);
  }

  void describe(const std::string& device, BlockStack& stack) {
    if (!seen_.insert(device).second) return;
    const stdfs::path directory = classes_ / device;
    const bool is_loop = note_backing_file(device, stack);
    const std::vector<std::string> slaves = names_in(directory / "slaves");
    for (const std::string& slave : slaves) describe(slave, stack);
    std::error_code error;
    const stdfs::path real = stdfs::weakly_canonical(directory, error);
    if (stdfs::exists(directory / "partition", error)) {
      describe(real.parent_path().filename(), stack);
    } else if (!is_loop && slaves.empty() && is_served_by_a_program(real)) {
      stack.ground_unknown = true;
    }
    // nvme1n1/device is the controller nvme1; its serial is the volume's.
    for (const char* place : {"device/serial", "serial"}) {
      const auto serial = attribute(directory / place);
      const auto volume = serial ? ebs_volume_id(*serial) : std::nullopt;
      if (volume) stack.volume_ids.push_back(*volume);
    }
  }

  /// Notes what the file of a loop device lies on. False when `device` is no loop device.
  bool note_backing_file(const std::string& device, BlockStack& stack) const {
    const auto shown = attribute(classes_ / device / "loop" / "backing_file");
    const auto number = backing_device_number(device);
    if (!shown && !number) return false;
    if (number && superblocks_.contains(*number)) {
      stack.backing_devices.push_back(*number);
      return true;
    }
    constexpr std::string_view kDeleted = " (deleted)";
    std::string file = shown.value_or("");
    if (file.ends_with(kDeleted)) file.resize(file.size() - kDeleted.size());
    const Mount* below = file.empty() ? nullptr : table_.resolve(file);
    // The files of a btrfs and of an overlay have other device numbers than their mounts. Elsewhere a path whose number
    // is not that of its mount leads astray: it is that of another mount namespace, or of a mount that has moved.
    std::error_code error;
    const bool is_reachable = stdfs::exists(stdfs::path(roots_.dev) / device, error);
    const bool is_trusted =
        is_reachable && (!number || (below != nullptr && (below->type == "btrfs" || layers_of(*below))));
    if (is_trusted && !file.empty()) stack.backing_files.push_back(file);
    stack.ground_unknown = stack.ground_unknown || !is_trusted || below == nullptr;
    return true;
  }

  std::uint64_t size_of(const std::string& device) const {
    constexpr std::uint64_t kSectorBytes = 512;  // The unit of this attribute whatever the device's own sectors are.
    const auto text = attribute(classes_ / device / "size");
    std::uint64_t sectors = 0;
    if (text) std::from_chars(text->data(), text->data() + text->size(), sectors);
    return sectors * kSectorBytes;
  }

  /// The device number of the file of a loop device; nothing if it cannot be asked.
  std::optional<dev_t> backing_device_number(const std::string& loop) const {
    if (!loop.starts_with("loop")) return std::nullopt;
    const UniqueFd fd(::open((stdfs::path(roots_.dev) / loop).c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    loop_info64 info{};
    if (!fd || ::ioctl(fd.get(), LOOP_GET_STATUS64, &info) != 0) return std::nullopt;
    return static_cast<dev_t>(info.lo_device);
  }

  /// Asks the filesystem itself for its id, by which sysfs lists its devices.
  std::vector<std::string> btrfs_devices_by_id(const Mount& mount) const {
    if (!table_.is_visible(mount) || may_hang_at(mount.mount_point)) return {};
    const UniqueFd fd(::open(mount.mount_point.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW));
    btrfs_ioctl_fs_info_args info{};
    if (!fd || ::ioctl(fd.get(), BTRFS_IOC_FS_INFO, &info) != 0) return {};
    std::string id;
    for (std::size_t i = 0; i < BTRFS_FSID_SIZE; ++i) {
      constexpr std::string_view kDigits = "0123456789abcdef";
      if (i == 4 || i == 6 || i == 8 || i == 10) id += '-';
      id += kDigits[info.fsid[i] >> 4U];
      id += kDigits[info.fsid[i] & 0xFU];
    }
    return names_in(stdfs::path(roots_.sys) / "fs" / "btrfs" / id / "devices");
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
  const DeviceRoots& roots_;
  stdfs::path classes_;
  bool sysfs_has_devices_;
  std::vector<std::string> journals_;  ///< Names in /proc/fs/jbd2.
  std::set<dev_t> superblocks_;
  std::set<std::string> seen_;
};

}  // namespace

BlockStacks read_block_stacks(const MountTable& table, const DeviceRoots& roots) {
  BlockStacks stacks;
  std::set<dev_t> known;
  StackReader reader(table, roots);
  for (const Mount& mount : table.mounts()) {
    if (!has_volume(mount) || !known.insert(mount.device).second) continue;
    stacks.emplace(mount.device, reader.stack_of(mount));
  }
  return stacks;
}

}  // namespace dlm_freeze
