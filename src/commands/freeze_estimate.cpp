// SPDX-License-Identifier: Apache-2.0
#include "commands/freeze_estimate.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include "base/text.hpp"
#include "dlm_freeze/base/files.hpp"
#include "fs/sysfs.hpp"

namespace dlm_freeze {
namespace {

constexpr std::uint64_t kKibi = 1024;

/// What is dirty on one device, and how fast it writes.
struct Load {
  double dirty_bytes = 0;
  double bytes_per_second = 0;
};

/// The devices whose page cache filesystems write back to: their own, and of a partition the disk.
std::set<std::string> writing_devices(const FreezePlan& plan, const AttachedDisks& disks) {
  std::set<std::string> names;
  for (const PlannedFilesystem& filesystem : plan.filesystems) {
    for (const std::string& device : filesystem.stack.devices) {
      const std::string disk = disks.disk_of_partition(device);
      names.insert(disk.empty() ? device : disk);
    }
  }
  return names;
}

/// What the kernel says of each of the devices; nothing unless it says it of all.
std::optional<std::vector<Load>> loads_of_kernel(const FreezePlan& plan, const AttachedDisks& disks,
                                                 const DeviceRoots& roots) {
  std::vector<Load> loads;
  for (const std::string& name : writing_devices(plan, disks)) {
    const auto stats = sysfs_attribute(roots.sys + "/kernel/debug/bdi/" + disks.number_of(name) + "/stats");
    const auto speed = stats ? value_of(*stats, "BdiWriteBandwidth:") : 0;
    if (speed == 0) return std::nullopt;
    const std::uint64_t dirty = value_of(*stats, "BdiWriteback:") + value_of(*stats, "BdiReclaimable:");
    loads.push_back({static_cast<double>(dirty * kKibi), static_cast<double>(speed * kKibi)});
  }
  const bool has_all = std::none_of(plan.filesystems.begin(), plan.filesystems.end(), [](const auto& filesystem) {
    return filesystem.mounts.front().type == "btrfs" || filesystem.stack.devices.empty();  // Has one of its own.
  });
  return has_all ? std::optional(std::move(loads)) : std::nullopt;
}

/// Bytes that a disk wrote a second of writing, from its line of /proc/diskstats
/// (Documentation/admin-guide/iostats.rst); nothing where it has hardly written.
std::optional<double> speed_of(std::string_view line) {
  constexpr std::uint64_t kEnough = std::uint64_t{16} << 20;
  constexpr std::uint64_t kSectorBytes = 512;
  constexpr double kMilli = 1e3;
  std::vector<std::uint64_t> numbers;
  while (!line.empty()) numbers.push_back(number_of(next_word(line)));
  constexpr std::size_t kSectorsWritten = 6;  // After the name.
  constexpr std::size_t kMillisecondsWriting = 7;
  constexpr std::size_t kMillisecondsBusy = 9;
  if (numbers.size() <= kMillisecondsBusy || numbers[kSectorsWritten] * kSectorBytes < kEnough) return std::nullopt;
  // Requests at the same time each count for the first; reads count for the second. Both make it look slower.
  const std::uint64_t busy = std::min(numbers[kMillisecondsWriting], numbers[kMillisecondsBusy]);
  if (busy == 0) return std::nullopt;
  return static_cast<double>(numbers[kSectorsWritten] * kSectorBytes) * kMilli / static_cast<double>(busy);
}

/// The slowest of the disks that the filesystems lie on.
std::optional<double> slowest_disk(const FreezePlan& plan, const AttachedDisks& disks, const DeviceRoots& roots) {
  std::set<std::string> names;
  for (const PlannedFilesystem& filesystem : plan.filesystems) {
    for (const std::string& device : filesystem.stack.devices) {
      for (const std::size_t disk : disks.below(device)) names.insert(disks.disks()[disk].name);
    }
  }
  const auto text = read_file(roots.proc + "/diskstats");
  std::optional<double> slowest;
  if (!text) return slowest;
  for (std::string_view line : split(*text, '\n')) {
    static_cast<void>(next_word(line));
    static_cast<void>(next_word(line));
    if (!names.contains(std::string(next_word(line)))) continue;
    const auto speed = speed_of(line);
    if (speed && (!slowest || *speed < *slowest)) slowest = speed;
  }
  return slowest;
}

std::string format_tenths(double seconds) {
  const auto tenths = static_cast<std::int64_t>(std::ceil(seconds * 10));
  if (tenths >= 100) return std::to_string((tenths + 9) / 10);
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10);
}

/// What is left of a second is no help: rounded down.
std::string format_budget(BootClock::duration budget) {
  const auto tenths = std::chrono::duration_cast<std::chrono::duration<std::int64_t, std::deci>>(budget).count();
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " s";
}

}  // namespace

FreezeEstimate estimate_freeze(const FreezePlan& plan, const AttachedDisks& disks, std::optional<double> given,
                               BootClock::duration budget, const DeviceRoots& roots) {
  FreezeEstimate estimate;
  estimate.budget = budget;
  estimate.basis = given ? "as given" : "as the kernel measures it";
  if (plan.filesystems.empty()) {
    estimate.seconds = 0;
    return estimate;
  }
  const auto loads = loads_of_kernel(plan, disks, roots);
  double seconds = 0;
  for (const Load& load : loads.value_or(std::vector<Load>())) {
    const double speed = given.value_or(load.bytes_per_second);
    seconds = std::max(seconds, load.dirty_bytes / speed);
    estimate.dirty_bytes += static_cast<std::uint64_t>(load.dirty_bytes);
    if (!estimate.bytes_per_second || speed < *estimate.bytes_per_second) estimate.bytes_per_second = speed;
  }
  if (loads) {
    estimate.seconds = seconds;
    return estimate;
  }
  const std::string memory = read_file(roots.proc + "/meminfo").value_or("");
  estimate.dirty_bytes = (value_of(memory, "Dirty:") + value_of(memory, "Writeback:")) * kKibi;
  estimate.bytes_per_second = given ? given : slowest_disk(plan, disks, roots);
  if (!given) estimate.basis = "as seen in /proc/diskstats";
  if (estimate.bytes_per_second)
    estimate.seconds = static_cast<double>(estimate.dirty_bytes) / *estimate.bytes_per_second;
  return estimate;
}

std::string FreezeEstimate::late() const {
  if (!is_late()) return "";
  return "the write-back ends in time: it needs about " + format_tenths(*seconds) + " s, and has " +
         format_budget(budget);
}

std::string FreezeEstimate::text() const {
  std::string has = ", has " + format_budget(budget);
  if (max_stall) has += ", of which writers may wait " + format_seconds(*max_stall) + " s (max_stall_seconds)";
  if (dirty_bytes == 0) return "Write-back: nothing to write" + has + ".";
  const std::string dirty = format_size(dirty_bytes) + " dirty now";
  if (!seconds) return "Write-back: " + dirty + ", at an unknown speed (set --write-speed)" + has + ".";
  std::string text = "Write-back: needs about " + format_tenths(*seconds) + " s" + has + " (" + dirty + ", " +
                     format_size(static_cast<std::uint64_t>(*bytes_per_second)) + "/s " + basis + ")";
  if (is_late()) text += ": raise timeout_seconds, and the caller's time-out with it";
  return text + ".";
}

}  // namespace dlm_freeze
