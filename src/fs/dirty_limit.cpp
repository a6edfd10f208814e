// SPDX-License-Identifier: Apache-2.0
#include "fs/dirty_limit.hpp"

#include <fcntl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include "base/directory.hpp"
#include "base/text.hpp"
#include "fs/dirty_memory.hpp"
#include "fs/sysfs.hpp"

namespace dlm_freeze {
namespace {

namespace stdfs = std::filesystem;

UniqueFd open_for_writing(const std::string& path) { return UniqueFd(::open(path.c_str(), O_WRONLY | O_CLOEXEC)); }

bool write_value(int fd, std::string_view value) noexcept {
  return ::pwrite(fd, value.data(), value.size(), 0) == static_cast<ssize_t>(value.size());
}

bool write_number(int fd, std::uint64_t number) noexcept {
  std::array<char, 24> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), number).ptr;
  return write_value(fd, {text.data(), static_cast<std::size_t>(end - text.data())});
}

/// The device of a superblock with a number of its own; the disk's where it is a partition's, which has none.
std::string backing_device(dev_t number, const DeviceRoots& roots) {
  const stdfs::path device = stdfs::path(roots.sys) / "dev" / "block" / device_number(number);
  if (!sysfs_attribute(device / "partition")) return device_number(number);
  return sysfs_attribute(device / ".." / "dev").value_or("");
}

/// That of the btrfs that has the block device `member`: the kernel makes one for each.
std::string btrfs_backing_device(const std::string& member, const DeviceRoots& roots) {
  const stdfs::path all = stdfs::path(roots.sys) / "fs" / "btrfs";
  for (const std::string& id : names_in(all)) {
    std::error_code error;
    if (!stdfs::exists(all / id / "devices" / member, error)) continue;
    return stdfs::read_symlink(all / id / "bdi", error).filename();
  }
  return "";
}

}  // namespace

std::vector<std::string> backing_devices(const FreezePlan& plan, const MountTable& table, const DeviceRoots& roots) {
  std::vector<std::string> names;
  std::set<dev_t> planned;
  for (const PlannedFilesystem& filesystem : plan.filesystems) {
    planned.insert(filesystem.device);
    const bool has_number = major(filesystem.device) != 0;
    if (!has_number && filesystem.stack.devices.empty()) continue;
    std::string name = has_number ? backing_device(filesystem.device, roots)
                                  : btrfs_backing_device(filesystem.stack.devices.front(), roots);
    if (!name.empty() && std::find(names.begin(), names.end(), name) == names.end()) names.push_back(std::move(name));
  }
  std::set<dev_t> seen = planned;
  for (const Mount& mount : table.mounts()) {
    if (major(mount.device) == 0 || mount.is_read_only() || !seen.insert(mount.device).second) continue;
    std::erase(names, backing_device(mount.device, roots));
  }
  return names;
}

DirtyLimit DirtyLimit::of(std::vector<Device> devices) {
  DirtyLimit limit;
  auto set = SharedArray<std::atomic<std::uint32_t>>::create(devices.size());
  if (!set || devices.empty()) return limit;
  limit.devices_ = std::move(devices);
  limit.set_.emplace(std::move(*set));
  return limit;
}

DirtyLimit DirtyLimit::open(const std::vector<std::string>& names, const DeviceRoots& roots) {
  std::vector<Device> devices;
  for (const std::string& name : names) {
    const std::string directory = roots.sys + "/class/bdi/" + name + "/";
    Device device{name, {}, {}};
    for (const auto& [file, divisor] : {std::pair("max_bytes", 1), std::pair("strict_limit", 0)}) {
      if (UniqueFd fd = open_for_writing(directory + file); fd)
        device.settings.push_back({std::move(fd), static_cast<std::uint64_t>(divisor)});
    }
    // The fine ratio is what the kernel keeps: `max_bytes` and `max_ratio` are rounded, and the first has no "none".
    for (const char* file : {"strict_limit", "max_ratio_fine"}) {
      const auto value = sysfs_attribute(directory + file);
      UniqueFd fd = open_for_writing(directory + file);
      if (value && fd) device.earlier.push_back({{directory + file, *value}, std::move(fd)});
    }
    if (device.settings.size() == 2 && device.earlier.size() == 2) devices.push_back(std::move(device));
  }
  return of(std::move(devices));
}

DirtyLimit DirtyLimit::open_host(const DeviceRoots& roots) {
  Device host{std::string(kHost), {}, {}};
  // The lower one first: writers are woken for it.
  for (const auto& [name, divisor] : {std::pair("dirty_background_", 2), std::pair("dirty_", 1)}) {
    const std::string path = roots.proc + "/sys/vm/" + name;
    UniqueFd limit = open_for_writing(path + "bytes");
    // Of the two, the one that does not count is 0, and writing one clears the other (Documentation/admin-guide/
    // sysctl/vm.rst).
    const auto bytes = sysfs_attribute(path + "bytes");
    const std::string kept = path + (bytes && *bytes != "0" ? "bytes" : "ratio");
    const auto value = sysfs_attribute(kept);
    UniqueFd fd = open_for_writing(kept);
    if (!limit || !value || !fd) return {};
    host.settings.push_back({std::move(limit), static_cast<std::uint64_t>(divisor)});
    host.earlier.push_back({{kept, *value}, std::move(fd)});
  }
  std::vector<Device> devices;
  devices.push_back(std::move(host));
  return of(std::move(devices));
}

std::vector<KernelVariable> DirtyLimit::earlier() const {
  std::vector<KernelVariable> all;
  for (const Device& device : devices_) {
    for (const Earlier& earlier : device.earlier) all.push_back(earlier.variable);
  }
  return all;
}

bool DirtyLimit::set(std::size_t i, std::uint64_t bytes) noexcept {
  (*set_)[i].store(1);  // Before: this process may be killed in between.
  bool all_taken = true;
  for (const Setting& setting : devices_[i].settings)
    all_taken = write_number(setting.fd.get(), setting.divisor == 0 ? 1 : bytes / setting.divisor) && all_taken;
  (*set_)[i].store(1);  // Another process may have lifted it in between, and does not do it twice.
  return all_taken;
}

void DirtyLimit::lift() noexcept {
  for (std::size_t i = 0; i < devices_.size(); ++i) {
    if ((*set_)[i].exchange(0) == 0) continue;
    for (const Earlier& earlier : devices_[i].earlier)
      static_cast<void>(write_value(earlier.fd.get(), earlier.variable.value));
  }
}

bool DirtyLimit::is_set() const noexcept {
  for (std::size_t i = 0; i < devices_.size(); ++i) {
    if ((*set_)[i].load() != 0) return true;
  }
  return false;
}

void DirtyLimit::add_descriptors(std::vector<int>& keep) const {
  for (const Device& device : devices_) {
    for (const Setting& setting : device.settings) keep.push_back(setting.fd.get());
    for (const Earlier& earlier : device.earlier) keep.push_back(earlier.fd.get());
  }
}

}  // namespace dlm_freeze
