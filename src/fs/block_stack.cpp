// SPDX-License-Identifier: Apache-2.0
#include "fs/block_stack.hpp"

#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <optional>
#include <set>
#include <string_view>
#include <system_error>

#include "base/text.hpp"
#include "dlm_freeze/base/files.hpp"

namespace dlm_freeze {
namespace {

namespace stdfs = std::filesystem;

/// The names in a directory; none when it is absent.
std::vector<std::string> names_in(const stdfs::path& directory) {
  std::vector<std::string> names;
  std::error_code error;
  for (stdfs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    names.push_back(it->path().filename());
  }
  std::sort(names.begin(), names.end());
  return names;
}

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

class StackReader {
 public:
  StackReader(const MountTable& table, const DeviceRoots& roots)
      : roots_(roots), classes_(stdfs::path(roots.sys) / "class" / "block") {
    for (const Mount& mount : table.mounts()) superblocks_.insert(mount.device);
  }

  /// The kernel names of the devices that the filesystem of `mount` is on.
  std::vector<std::string> devices_of(const Mount& mount) {
    if (major(mount.device) != 0) {
      const auto number = device_number(mount.device);
      std::error_code absent;
      const auto link = stdfs::read_symlink(stdfs::path(roots_.sys) / "dev" / "block" / number, absent);
      return absent ? std::vector<std::string>() : std::vector<std::string>{link.filename()};
    }
    // A superblock of several devices (btrfs) has an anonymous number; its source is one of the devices.
    if (!mount.source.starts_with("/dev/")) return {};
    const std::string name = target_name(stdfs::path(roots_.dev) / mount.source.substr(5));
    std::error_code error;
    if (name.empty() || !stdfs::exists(classes_ / name, error)) return {};
    return with_btrfs_siblings(name);
  }

  void describe(const std::string& device, BlockStack& stack) {
    if (!seen_.insert(device).second) return;
    const stdfs::path directory = classes_ / device;
    if (const auto file = attribute(directory / "loop" / "backing_file")) {
      const auto holder = device_of_backing_file(device);
      constexpr std::string_view kDeleted = " (deleted)";
      if (holder) {
        stack.backing_devices.push_back(*holder);
      } else {
        stack.backing_files.push_back(file->ends_with(kDeleted) ? file->substr(0, file->size() - kDeleted.size())
                                                                : *file);
      }
    }
    for (const std::string& slave : names_in(directory / "slaves")) describe(slave, stack);
    std::error_code error;
    if (stdfs::exists(directory / "partition", error)) {
      describe(stdfs::weakly_canonical(directory, error).parent_path().filename(), stack);
    }
    // nvme1n1/device is the controller nvme1; its serial is the volume's.
    for (const char* place : {"device/serial", "serial"}) {
      const auto serial = attribute(directory / place);
      const auto volume = serial ? ebs_volume_id(*serial) : std::nullopt;
      if (volume) stack.volume_ids.push_back(*volume);
    }
  }

  std::uint64_t size_of(const std::string& device) const {
    constexpr std::uint64_t kSectorBytes = 512;  // The unit of this attribute whatever the device's own sectors are.
    const auto text = attribute(classes_ / device / "size");
    std::uint64_t sectors = 0;
    if (text) std::from_chars(text->data(), text->data() + text->size(), sectors);
    return sectors * kSectorBytes;
  }

  void forget_seen() { seen_.clear(); }

 private:
  /// The superblock that holds the file of a loop device. Nothing if it cannot be asked, or for a btrfs, whose files
  /// have other device numbers than its mounts.
  std::optional<dev_t> device_of_backing_file(const std::string& loop) const {
    const UniqueFd fd(::open((stdfs::path(roots_.dev) / loop).c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    loop_info64 info{};
    if (!fd || ::ioctl(fd.get(), LOOP_GET_STATUS64, &info) != 0) return std::nullopt;
    const auto device = static_cast<dev_t>(info.lo_device);
    return superblocks_.contains(device) ? std::optional(device) : std::nullopt;
  }

  std::vector<std::string> with_btrfs_siblings(const std::string& device) {
    const stdfs::path filesystems = stdfs::path(roots_.sys) / "fs" / "btrfs";
    std::error_code error;
    for (const std::string& uuid : names_in(filesystems)) {
      const stdfs::path devices = filesystems / uuid / "devices";
      if (stdfs::exists(devices / device, error)) return names_in(devices);
    }
    return {device};
  }

  const DeviceRoots& roots_;
  stdfs::path classes_;
  std::set<dev_t> superblocks_;
  std::set<std::string> seen_;
};

}  // namespace

BlockStacks read_block_stacks(const MountTable& table, const DeviceRoots& roots) {
  BlockStacks stacks;
  std::set<dev_t> known;
  StackReader reader(table, roots);
  for (const Mount& mount : table.mounts()) {
    if (!known.insert(mount.device).second) continue;
    BlockStack stack;
    stack.devices = reader.devices_of(mount);
    if (stack.devices.empty()) continue;
    reader.forget_seen();
    for (const std::string& device : stack.devices) {
      reader.describe(device, stack);
      stack.size_bytes += reader.size_of(device);
    }
    std::sort(stack.volume_ids.begin(), stack.volume_ids.end());
    stack.volume_ids.erase(std::unique(stack.volume_ids.begin(), stack.volume_ids.end()), stack.volume_ids.end());
    stacks.emplace(mount.device, std::move(stack));
  }
  return stacks;
}

}  // namespace dlm_freeze
