// SPDX-License-Identifier: Apache-2.0
#include "fs/attached_disks.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <set>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/directory.hpp"
#include "base/text.hpp"
#include "dlm_freeze/base/files.hpp"
#include "fs/sysfs.hpp"

namespace dlm_freeze {
namespace {

namespace stdfs = std::filesystem;

stdfs::path directory_of(const DeviceRoots& roots, const std::string& name) {
  return stdfs::path(roots.sys) / "class" / "block" / name;
}

/// Whether it is one of device-mapper's, by the kernel's name.
bool is_mapped(std::string_view device) { return device.starts_with("dm-"); }

/// "LVM vg0-data", "RAID md127", "sdb2".
std::string name_for_person(const DeviceRoots& roots, const std::string& device) {
  const stdfs::path directory = directory_of(roots, device) / "dm";
  const auto name = is_mapped(device) ? sysfs_attribute(directory / "name") : std::nullopt;
  if (!name) return device.starts_with("md") ? "RAID " + device : device;
  const std::string uuid = sysfs_attribute(directory / "uuid").value_or("");
  constexpr std::array<std::pair<std::string_view, std::string_view>, 3> kKinds = {
      {{"LVM-", "LVM "}, {"CRYPT-", "encrypted "}, {"mpath-", "multipath "}}};
  for (const auto& [prefix, kind] : kKinds) {
    if (uuid.starts_with(prefix)) return std::string(kind) + *name;
  }
  return "device-mapper " + *name;
}

/// A device by which LVM only keeps a thin pool at hand; the data is in the volumes of the pool.
bool is_pool(const DeviceRoots& roots, const std::string& device) {
  if (!is_mapped(device)) return false;
  const std::string uuid = sysfs_attribute(directory_of(roots, device) / "dm" / "uuid").value_or("");
  return uuid.starts_with("LVM-") && uuid.ends_with("-pool");
}

}  // namespace

bool is_no_volume(std::string_view name) {
  constexpr std::array<std::string_view, 4> kPrefixes = {"ram", "zram", "sr", "fd"};
  return std::any_of(kPrefixes.begin(), kPrefixes.end(),
                     [&](std::string_view prefix) { return name.starts_with(prefix); });
}

std::vector<std::string> swap_devices(const DeviceRoots& roots) {
  const auto text = read_file(roots.proc + "/swaps");
  std::vector<std::string> names;
  if (!text) return names;
  for (std::string_view line : split(*text, '\n')) {
    const std::string_view path = next_word(line);
    std::error_code error;
    // "/dev/mapper/vg0-swap" is a link to the node that has the kernel's name.
    if (next_word(line) == "partition") names.push_back(stdfs::weakly_canonical(path, error).filename());
  }
  return names;
}

AttachedDisks AttachedDisks::read(const DeviceRoots& roots) {
  AttachedDisks attached;
  for (const std::string& name : names_in(directory_of(roots, ""))) attached.add_device(roots, name);
  attached.add_parts(roots);
  return attached;
}

void AttachedDisks::add_device(const DeviceRoots& roots, const std::string& name) {
  const stdfs::path directory = directory_of(roots, name);
  const std::uint64_t size_bytes = size_of_device(directory);
  if (size_bytes == 0) return;  // A loop or nbd device that is not set up, of which a host may have hundreds.
  std::error_code error;
  Device device{names_in(directory / "slaves"), names_in(directory / "holders"),
                sysfs_attribute(directory / "dev").value_or(""), size_bytes,
                stdfs::exists(directory / "partition", error)};
  if (device.is_partition) device.on.push_back(disk_of(directory));
  const bool is_hidden = device.number.empty();  // A path of an NVMe disk with several.
  const bool is_disk = !is_no_volume(name) && !is_mapped(name);
  if (device.on.empty() && !is_hidden && is_disk) {
    disks_.push_back({.name = name,
                      .volume_id = volume_id_of(directory).value_or(""),
                      .size_bytes = device.size_bytes,
                      .is_instance_store = is_instance_store(directory),
                      .is_image = name.starts_with("loop"),
                      .parts = {}});
  }
  devices_.emplace(name, std::move(device));
}

void AttachedDisks::add_parts(const DeviceRoots& roots) {
  const std::vector<std::string> swap = swap_devices(roots);
  std::set<std::string> divided;
  for (const auto& [name, device] : devices_) {
    if (device.is_partition) divided.insert(device.on.back());
  }
  for (const auto& [name, device] : devices_) {
    const bool holds_others = !device.holders.empty() || divided.contains(name) || is_extended(device);
    if (holds_others || is_pool(roots, name)) continue;
    const DiskPart part{name, name_for_person(roots, name), std::find(swap.begin(), swap.end(), name) != swap.end()};
    for (const std::size_t disk : below(name)) disks_[disk].parts.push_back(part);
  }
}

/// An extended partition, of which the kernel shows the first two sectors.
bool AttachedDisks::is_extended(const Device& device) {
  constexpr std::uint64_t kTwoSectors = 1024;
  return device.is_partition && device.size_bytes <= kTwoSectors;
}

std::vector<std::string> AttachedDisks::stack_of(const std::string& name) const {
  std::vector<std::string> stack = {name};
  for (std::size_t i = 0; i < stack.size(); ++i) {
    const auto device = devices_.find(stack[i]);
    if (device == devices_.end()) continue;
    for (const std::string& below : device->second.on) {
      if (std::find(stack.begin(), stack.end(), below) == stack.end()) stack.push_back(below);
    }
  }
  return stack;
}

std::vector<std::size_t> AttachedDisks::below(const std::string& name) const {
  std::vector<std::size_t> found;
  for (const std::string& device : stack_of(name)) {
    const auto disk = std::find_if(disks_.begin(), disks_.end(), [&](const Disk& one) { return one.name == device; });
    if (disk != disks_.end()) found.push_back(static_cast<std::size_t>(disk - disks_.begin()));
  }
  return found;
}

std::vector<std::string> AttachedDisks::directly_below(const std::string& name) const {
  const auto device = devices_.find(name);
  return device == devices_.end() ? std::vector<std::string>() : device->second.on;
}

std::vector<std::string> AttachedDisks::directly_above(const std::string& name) const {
  std::vector<std::string> above;
  for (const auto& [other, device] : devices_) {
    if (std::find(device.on.begin(), device.on.end(), name) != device.on.end()) above.push_back(other);
  }
  const auto device = devices_.find(name);
  if (device == devices_.end()) return above;
  for (const std::string& holder : device->second.holders) {
    if (std::find(above.begin(), above.end(), holder) == above.end()) above.push_back(holder);
  }
  return above;
}

std::string AttachedDisks::disk_of_partition(const std::string& name) const {
  const auto device = devices_.find(name);
  return device != devices_.end() && device->second.is_partition ? device->second.on.back() : "";
}

std::string AttachedDisks::number_of(const std::string& name) const {
  const auto device = devices_.find(name);
  return device == devices_.end() ? "" : device->second.number;
}

std::string AttachedDisks::name_of(dev_t number) const {
  const std::string text = device_number(number);
  const auto found =
      std::find_if(devices_.begin(), devices_.end(), [&](const auto& entry) { return entry.second.number == text; });
  return found == devices_.end() ? "" : found->first;
}

}  // namespace dlm_freeze
