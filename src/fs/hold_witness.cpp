// SPDX-License-Identifier: Apache-2.0
#include "fs/hold_witness.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <map>
#include <utility>

#include "base/text.hpp"
#include "dlm_freeze/base/files.hpp"
#include "fs/path_trail.hpp"
#include "fs/sysfs.hpp"

namespace dlm_freeze {
namespace {

namespace stdfs = std::filesystem;

/// Undoes the escapes of /proc/swaps: \040 is a blank.
std::string unescaped(std::string_view text) {
  constexpr int kOctal = 8;
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    unsigned char byte = 0;
    const char* digits = text.data() + i + 1;
    const bool is_escape =
        text[i] == '\\' && text.size() - i > 3 && std::from_chars(digits, digits + 3, byte, kOctal).ptr == digits + 3;
    plain += is_escape ? static_cast<char>(byte) : text[i];
    if (is_escape) i += 3;
  }
  return plain;
}

/// The files that are used for swap.
std::vector<std::string> swap_files(const DeviceRoots& roots) {
  const auto text = read_file(roots.proc + "/swaps");
  std::vector<std::string> files;
  if (!text) return files;
  for (std::string_view line : split(*text, '\n')) {
    const std::string_view path = next_word(line);
    if (next_word(line) == "file") files.push_back(unescaped(path));
  }
  return files;
}

class Chooser {
 public:
  Chooser(const MountTable& table, const FreezePlan& plan, const BlockStacks& stacks, const std::set<dev_t>& frozen,
          const AttachedDisks& disks, const DeviceRoots& roots)
      : table_(table),
        plan_(plan),
        stacks_(stacks),
        frozen_(frozen),
        disks_(disks),
        classes_(stdfs::path(roots.sys) / "class" / "block"),
        swap_(swap_devices(roots)) {
    for (const PlannedMount& planned : plan.mounts) mounts_.emplace(planned.mount.device, &planned);
    for (const auto& [device, stack] : stacks) note(device, stack);
    for (const std::string& file : swap_files(roots)) note_swap_file(file);
  }

  std::vector<WitnessedDevice> choose() {
    std::vector<WitnessedDevice> chosen;
    for (const auto& [name, filesystems] : on_) {
      const std::string why_not = why_no_proof(name);
      if (why_not.empty() && is_proved_below(name)) continue;
      chosen.push_back({name, label_of(name), why_not, filesystems});
    }
    for (const dev_t device : frozen_) note_ground(device, chosen);
    return chosen;
  }

 private:
  void note(dev_t device, const BlockStack& stack) {
    if (frozen_.contains(device)) {
      const std::string driver = unmeasured_driver(device);
      for (const std::string& name : stack.all_devices) {
        on_[name].insert(device);
        if (!driver.empty())
          own_reasons_.emplace(name, "whether " + driver + " writes while it is frozen was never measured");
      }
    } else if (is_read_only(device)) {
      silent_.insert(stack.all_devices.begin(), stack.all_devices.end());
    } else {
      for (const std::string& name : stack.all_devices)
        own_reasons_.emplace(name, name_of(device) + ", which is not frozen, is on it too");
    }
  }

  /// The type of the filesystem, unless it is one that is known not to write. Those of clusters keep a heartbeat.
  [[nodiscard]] std::string unmeasured_driver(dev_t device) const {
    constexpr std::array<std::string_view, 4> kMeasured = {"ext3", "ext4", "xfs", "btrfs"};
    const auto mount = mounts_.find(device);
    if (mount == mounts_.end()) return "";
    const std::string& type = mount->second->mount.type;
    return std::find(kMeasured.begin(), kMeasured.end(), type) == kMeasured.end() ? type : "";
  }

  [[nodiscard]] bool is_read_only(dev_t device) const {
    return std::all_of(plan_.mounts.begin(), plan_.mounts.end(), [&](const PlannedMount& planned) {
      return planned.mount.device != device || planned.mount.is_read_only();
    });
  }

  void note_swap_file(const std::string& file) {
    const Mount* mount = table_.resolve(follow(table_, file).path);
    const auto stack = mount != nullptr ? stacks_.find(mount->device) : stacks_.end();
    if (stack == stacks_.end()) return;
    for (const std::string& name : stack->second.all_devices)
      own_reasons_.emplace(name, "the swap file " + file + " is on it");
  }

  /// What is on files or programs, which may be written by who does not ask the filesystem above.
  void note_ground(dev_t device, std::vector<WitnessedDevice>& chosen) const {
    const auto found = stacks_.find(device);
    const auto add = [&](std::string why) {
      chosen.push_back({"", "the device below " + name_of(device), std::move(why), {device}});
    };
    if (found == stacks_.end() || found->second.all_devices.empty()) return add("its device is not known");
    const BlockStack& stack = found->second;
    const auto is_frozen = [&](const std::string& file) {
      const Mount* mount = table_.resolve(file);
      return mount != nullptr && frozen_.contains(mount->device);
    };
    const bool all_frozen = std::all_of(stack.backing_devices.begin(), stack.backing_devices.end(),
                                        [&](dev_t below) { return frozen_.contains(below); }) &&
                            std::all_of(stack.backing_files.begin(), stack.backing_files.end(), is_frozen);
    if (stack.ground_unknown) {
      add("not all of it is known");
    } else if (!all_frozen) {
      add("an image on a filesystem that is not frozen");
    }
  }

  /// Why writes to `name` are no sign that something frozen was written. Empty when they are.
  std::string why_no_proof(const std::string& name) {
    const auto known = reasons_.find(name);
    if (known != reasons_.end()) return known->second;
    reasons_[name] = "";  // No device lies on itself.
    return reasons_[name] = find_reason(name);
  }

  std::string find_reason(const std::string& name) {
    const auto own = own_reasons_.find(name);
    if (own != own_reasons_.end()) return own->second;
    if (is_swap(name)) return "swap is on it";
    if (!are_writes_counted(name)) return "the kernel does not count its writes (queue/iostats is 0)";
    for (const std::string& above : disks_.directly_above(name)) {
      std::string reason = reason_above(name, above);
      if (!reason.empty()) return reason;
    }
    return "";
  }

  /// The part that `above`, which lies on `name`, has in that.
  std::string reason_above(const std::string& name, const std::string& above) {
    if (disks_.disk_of_partition(above) != name) {
      const std::string use = keeps_records(above);
      if (!use.empty()) return use + " keeps records of its own on it";
    }
    if (is_swap(above)) return "swap is on " + above;
    if (on_.contains(above)) return why_no_proof(above);
    if (silent_.contains(above)) return "";
    const auto other = own_reasons_.find(above);
    if (other != own_reasons_.end()) return other->second;
    return above + " has nothing mounted, and any program that opens it may write to it";
  }

  /// What writes to the device below `above` besides what is written to that; empty for nothing.
  std::string keeps_records(const std::string& above) const {
    const std::string uuid = sysfs_attribute(classes_ / above / "dm" / "uuid").value_or("");
    constexpr std::array<std::string_view, 5> kTransparent = {"CRYPT-LUKS", "CRYPT-PLAIN", "mpath-", "part",
                                                              "CRYPT-TCRYPT"};
    const bool is_transparent = std::any_of(kTransparent.begin(), kTransparent.end(),
                                            [&](std::string_view prefix) { return uuid.starts_with(prefix); });
    if (is_transparent) return "";
    if (uuid.starts_with("LVM-")) return "LVM";
    return (above.starts_with("md") ? "RAID " : "the driver of ") + above;
  }

  bool is_swap(const std::string& name) const { return std::find(swap_.begin(), swap_.end(), name) != swap_.end(); }

  bool are_writes_counted(const std::string& name) const {
    const std::string disk = disks_.disk_of_partition(name);
    return sysfs_attribute(classes_ / (disk.empty() ? name : disk) / "queue" / "iostats") != "0";
  }

  /// Whether all that `name` lies on proves the same of it.
  bool is_proved_below(const std::string& name) {
    const std::vector<std::string> below = disks_.directly_below(name);
    return !below.empty() && std::all_of(below.begin(), below.end(), [&](const std::string& one) {
      return on_.contains(one) && why_no_proof(one).empty();
    });
  }

  std::string label_of(const std::string& name) const {
    const std::string disk = disks_.disk_of_partition(name);
    const auto volume = volume_id_of(classes_ / (disk.empty() ? name : disk));
    if (!volume) return name;
    return disk.empty() ? *volume : name + " of " + *volume;
  }

  std::string name_of(dev_t device) const {
    const auto mount = mounts_.find(device);
    return mount == mounts_.end() ? device_number(device) : mount->second->name();
  }

  const MountTable& table_;
  const FreezePlan& plan_;
  const BlockStacks& stacks_;
  const std::set<dev_t>& frozen_;
  const AttachedDisks& disks_;
  stdfs::path classes_;
  std::vector<std::string> swap_;
  std::map<dev_t, const PlannedMount*> mounts_;     ///< One of each superblock.
  std::map<std::string, std::set<dev_t>> on_;       ///< Which frozen superblocks are on a device.
  std::map<std::string, std::string> own_reasons_;  ///< Why a device proves nothing, whatever lies on it.
  std::set<std::string> silent_;                    ///< Devices of filesystems that nobody can write to.
  std::map<std::string, std::string> reasons_;      ///< What why_no_proof has found.
};

std::optional<std::uint64_t> read_sectors(int fd) noexcept {
  std::array<char, 512> text{};
  const ssize_t got = ::pread(fd, text.data(), text.size(), 0);
  return got <= 0 ? std::nullopt : sectors_written({text.data(), static_cast<std::size_t>(got)});
}

}  // namespace

std::vector<WitnessedDevice> choose_witnesses(const MountTable& table, const FreezePlan& plan,
                                              const BlockStacks& stacks, const std::set<dev_t>& frozen,
                                              const AttachedDisks& disks, const DeviceRoots& roots) {
  return Chooser(table, plan, stacks, frozen, disks, roots).choose();
}

std::optional<std::uint64_t> sectors_written(std::string_view stat) {
  constexpr std::size_t kBefore = 6;  // Four fields of reads; of writes, their number and how many were merged.
  for (std::size_t i = 0; i < kBefore; ++i) static_cast<void>(next_word(stat));
  const std::string_view word = next_word(stat);
  std::uint64_t sectors = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), sectors);
  const bool is_number = error == std::errc() && end == word.data() + word.size() && !word.empty();
  return is_number ? std::optional(sectors) : std::nullopt;
}

HoldWitness::HoldWitness(std::vector<WitnessedDevice> devices, const DeviceRoots& roots) {
  for (WitnessedDevice& device : devices) {
    UniqueFd stat;
    if (device.why_not.empty()) {
      const auto path = stdfs::path(roots.sys) / "class" / "block" / device.name / "stat";
      stat = UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
    }
    watches_.push_back({std::move(device), std::move(stat)});
  }
}

void HoldWitness::begin(const FrozenFilesystems& filesystems) noexcept {
  for (Watch& watch : watches_) {
    watch.first.reset();
    bool all_frozen = true;
    for (std::size_t i = 0; i < filesystems.size(); ++i) {
      const bool is_on_it = watch.device.filesystems.contains(filesystems[i].device);
      all_frozen = all_frozen && (!is_on_it || filesystems.state(i) == FreezeState::frozen);
    }
    if (watch.stat && all_frozen) watch.first = read_sectors(watch.stat.get());
  }
}

void HoldWitness::end() noexcept {
  for (Watch& watch : watches_) {
    if (watch.first) watch.last = read_sectors(watch.stat.get());
  }
  is_over_ = true;
}

std::vector<HoldWitness::Finding> HoldWitness::findings() const {
  std::vector<Finding> all;
  for (const Watch& watch : watches_) {
    Finding finding{watch.device.label, Result::not_provable, watch.device.why_not, 0};
    if (!watch.first && finding.why.empty()) {
      finding.why = watch.stat ? "not all that lies on it could be frozen" : "its count of writes cannot be read";
    } else if (watch.first && !is_over_) {
      finding.result = Result::watched;
    } else if (watch.first && !watch.last) {
      finding.why = "its count of writes could not be read any more";
    } else if (watch.first && *watch.last != *watch.first) {
      finding.result = Result::written;
      finding.sectors = *watch.last - *watch.first;
    } else if (watch.first) {
      finding.result = Result::quiet;
    }
    all.push_back(std::move(finding));
  }
  return all;
}

std::vector<int> HoldWitness::descriptors() const {
  std::vector<int> descriptors;
  for (const Watch& watch : watches_) {
    if (watch.stat) descriptors.push_back(watch.stat.get());
  }
  return descriptors;
}

std::string_view to_string(HoldWitness::Result result) {
  switch (result) {
    case HoldWitness::Result::watched:
      return "watched";
    case HoldWitness::Result::quiet:
      return "quiet";
    case HoldWitness::Result::written:
      return "written";
    case HoldWitness::Result::not_provable:
      return "not_provable";
  }
  return "";
}

}  // namespace dlm_freeze
