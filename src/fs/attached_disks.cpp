// SPDX-License-Identifier: Apache-2.0
#include "fs/attached_disks.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
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

/// What is no disk of which a snapshot is taken, although nothing is below it.
bool is_no_disk(std::string_view name) {
  constexpr std::array<std::string_view, 5> kPrefixes = {"ram", "zram", "sr", "fd", "dm-"};
  return std::any_of(kPrefixes.begin(), kPrefixes.end(),
                     [&](std::string_view prefix) { return name.starts_with(prefix); });
}

/// "LVM vg0-data", "RAID md127".
std::string use_as(const DeviceRoots& roots, const std::string& holder) {
  const stdfs::path directory = directory_of(roots, holder);
  const std::string name = sysfs_attribute(directory / "dm" / "name").value_or(holder);
  const std::string uuid = sysfs_attribute(directory / "dm" / "uuid").value_or("");
  constexpr std::array<std::pair<std::string_view, std::string_view>, 3> kKinds = {
      {{"LVM-", "LVM "}, {"CRYPT-", "encrypted "}, {"mpath-", "multipath "}}};
  for (const auto& [prefix, kind] : kKinds) {
    if (uuid.starts_with(prefix)) return std::string(kind) + name;
  }
  return (holder.starts_with("md") ? "RAID " : "device-mapper ") + name;
}

/// The block devices that are used for swap, as /proc/swaps names them.
std::vector<std::string> swap_devices(const DeviceRoots& roots) {
  const auto text = read_file(roots.proc + "/swaps");
  std::vector<std::string> names;
  if (!text) return names;
  for (std::string_view line : split(*text, '\n')) {
    const std::string_view path = next_word(line);
    if (next_word(line) == "partition") names.emplace_back(path.substr(path.rfind('/') + 1));
  }
  return names;
}

}  // namespace

AttachedDisks AttachedDisks::read(const DeviceRoots& roots) {
  AttachedDisks attached;
  for (const std::string& name : names_in(directory_of(roots, ""))) attached.add_device(roots, name);
  attached.note_uses(roots);
  return attached;
}

void AttachedDisks::add_device(const DeviceRoots& roots, const std::string& name) {
  const stdfs::path directory = directory_of(roots, name);
  std::error_code error;
  Device device{names_in(directory / "slaves"), names_in(directory / "holders"),
                sysfs_attribute(directory / "dev").value_or(""), stdfs::exists(directory / "partition", error)};
  if (device.is_partition) device.on.push_back(stdfs::weakly_canonical(directory, error).parent_path().filename());
  const std::uint64_t size = size_of_device(directory);
  const bool is_hidden = device.number.empty();  // A path of an NVMe disk with several.
  if (device.on.empty() && size > 0 && !is_hidden && !is_no_disk(name)) {
    const std::string model = sysfs_attribute(directory / "device" / "model").value_or("");
    disks_.push_back({.name = name,
                      .volume_id = volume_id_of(directory).value_or(""),
                      .size_bytes = size,
                      .is_instance_store = model.starts_with("Amazon EC2 NVMe Instance"),
                      .is_image = name.starts_with("loop"),
                      .uses = {}});
  }
  devices_.emplace(name, std::move(device));
}

void AttachedDisks::note_uses(const DeviceRoots& roots) {
  const auto note = [&](const std::string& device, const std::string& use) {
    for (const std::size_t at : below(device)) {
      auto& uses = disks_[at].uses;
      if (std::find(uses.begin(), uses.end(), use) == uses.end()) uses.push_back(use);
    }
  };
  for (const std::string& device : swap_devices(roots)) note(device, "swap");
  for (const auto& [name, device] : devices_) {
    for (const std::string& holder : device.holders) note(name, use_as(roots, holder));
  }
}

std::vector<std::size_t> AttachedDisks::below(const std::string& name) const {
  std::vector<std::size_t> found;
  std::vector<std::string> next = {name};
  for (std::size_t i = 0; i < next.size(); ++i) {
    const auto disk = std::find_if(disks_.begin(), disks_.end(), [&](const Disk& one) { return one.name == next[i]; });
    if (disk != disks_.end()) found.push_back(static_cast<std::size_t>(disk - disks_.begin()));
    const auto device = devices_.find(next[i]);
    if (device == devices_.end()) continue;
    for (const std::string& below : device->second.on) {
      if (std::find(next.begin(), next.end(), below) == next.end()) next.push_back(below);
    }
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
