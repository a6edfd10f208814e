// SPDX-License-Identifier: Apache-2.0
#include "commands/volume_report.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "base/text.hpp"
#include "fs/filesystem_type.hpp"

namespace dlm_freeze {
namespace {

/// One filesystem, however often it is mounted.
struct Filesystem {
  const PlannedMount* planned = nullptr;  ///< Its first mount of the plan.
  VolumeState state = VolumeState::read_only;
  std::string why;

  [[nodiscard]] std::string name() const { return planned->name(); }
};

/// What an operator can do for a filesystem that is not frozen.
std::string advice_for(Reason reason) {
  switch (reason) {
    case Reason::excluded:
      return "if it belongs in the snapshot, take it out of filesystems.exclude";
    case Reason::not_included:
      return "if it belongs in the snapshot, add it to filesystems.include";
    case Reason::freezing_disabled:
      return "if it belongs in the snapshot, set filesystems.freeze to true";
    case Reason::protected_path:
      return "move the protected path to another filesystem";
    case Reason::holds_root:
      return "move the data to a filesystem that holds no part of the system";
    case Reason::broken:
      return "check it: fsck(8), dmesg(1)";
    case Reason::cannot_freeze:
      return "keep data on ext4, XFS or btrfs";
    case Reason::only_files:
      return "mount the whole filesystem somewhere too";
    case Reason::hidden:
      return "unmount what is mounted on top of it";
    case Reason::behind_network:
      return "mount it at a path that does not lead through the network or FUSE";
    case Reason::unseen:
      return "mount it in the host's mount namespace too, or add its mount point to filesystems.exclude";
    case Reason::ignored:
      return "if it belongs in the snapshot, set filesystems.other_namespaces to freeze";
    case Reason::unknown_type:
      return "keep data on a filesystem that can be frozen";
    default:
      return "";
  }
}

class Reporter {
 public:
  Reporter(const HostPlan& plan, const AttachedDisks& disks) : plan_(plan), disks_(disks) {
    for (const Gap& gap : plan.freeze.gaps) gaps_.emplace(gap.mount, &gap);
    note_data();
  }

  VolumeReport report() {
    std::set<dev_t> known;
    for (std::size_t i = 0; i < plan_.freeze.mounts.size(); ++i) {
      const PlannedMount& planned = plan_.freeze.mounts[i];
      if (!has_volume(planned.mount) && !gaps_.contains(i)) {
        ++report_.without_device;
      } else if (planned.mount.device == 0 || known.insert(planned.mount.device).second) {
        place(judge(i));
      }
    }
    add_rows();
    return std::move(report_);
  }

 private:
  /// Which databases that run have data on which superblock.
  void note_data() {
    for (const FoundQuiescer& found : plan_.quiescers) {
      if (!found.presence.running || found.is_left_out()) continue;
      for (const DataLocation& location : found.presence.locations) {
        if (location.role != DataRole::data) continue;
        const Mount* mount = plan_.taker_of(location.path);
        if (mount != nullptr) data_[mount->device].insert(found.planned.config.name);
      }
    }
  }

  [[nodiscard]] Filesystem judge(std::size_t at) const {
    const PlannedMount& planned = plan_.freeze.mounts[at];
    const auto unopened = plan_.unopened.find(planned.mount.device);
    if (unopened != plan_.unopened.end()) return {&planned, VolumeState::not_covered, unopened->second};
    if (planned.verdict != Verdict::pass_over) return {&planned, VolumeState::frozen, ""};
    const auto gap = gaps_.find(at);
    if (gap == gaps_.end()) return {&planned, VolumeState::read_only, planned.why};
    const std::string why = planned.reason == Reason::root_or_boot ? "/ and /boot are never frozen" : planned.why;
    const auto data = data_.find(planned.mount.device);
    if (data != data_.end()) {
      const std::vector<std::string> names(data->second.begin(), data->second.end());
      return {&planned, VolumeState::quiesced_only,
              why + "; only the data of " + list_of(names) + " is protected, by quiescing"};
    }
    const bool is_boot = gap->second->expected && planned.reason == Reason::root_or_boot;
    return {&planned, is_boot ? VolumeState::boot : VolumeState::not_covered, why};
  }

  /// Puts a filesystem onto all that it lies on.
  void place(const Filesystem& filesystem) {
    const Mount& mount = filesystem.planned->mount;
    const std::set<std::string> devices = devices_below(mount);
    std::vector<std::size_t> below;
    for (std::size_t i = 0; i < disks_.disks().size(); ++i) {
      if (devices.contains(disks_.disks()[i].name)) below.push_back(i);
    }
    used_.insert(devices.begin(), devices.end());
    if (filesystem.state == VolumeState::not_covered || filesystem.state == VolumeState::quiesced_only)
      advise(filesystem);
    std::vector<std::string> labels;
    labels.reserve(below.size());
    for (const std::size_t disk : below) labels.push_back(disks_.disks()[disk].label());
    report_.volumes[mount.device] = labels.empty() ? mount.source : join(labels, ", ");
    if (below.empty()) others_[mount.source].push_back(filesystem);
    for (const std::size_t disk : below) on_disk_[disk].push_back(filesystem);
  }

  /// All block devices that a filesystem lies on.
  [[nodiscard]] std::set<std::string> devices_below(const Mount& mount) const {
    const auto stack = plan_.stacks.find(mount.device);
    std::vector<std::string> devices;
    if (stack != plan_.stacks.end()) {
      devices = stack->second.all_devices;
    } else {
      const std::string name = disks_.name_of(mount.device);
      devices = disks_.stack_of(name.empty() ? mount.source.substr(mount.source.rfind('/') + 1) : name);
    }
    return {devices.begin(), devices.end()};
  }

  void advise(const Filesystem& filesystem) {
    std::string text = advice_for(filesystem.planned->reason);
    if (filesystem.state == VolumeState::quiesced_only && filesystem.planned->reason == Reason::root_or_boot)
      text = "move the data of its databases to a volume of their own";
    if (!text.empty()) report_.advice.push_back({filesystem.name(), std::move(text)});
  }

  void add_rows() {
    for (std::size_t i = 0; i < disks_.disks().size(); ++i) {
      const Disk& disk = disks_.disks()[i];
      const auto found = on_disk_.find(i);
      if (found != on_disk_.end()) {
        add_row(disk, found->second);
      } else if (!disk.is_image) {
        add_unmounted(disk);
      }
    }
    for (auto& [source, filesystems] : others_) {
      const auto stack = plan_.stacks.find(filesystems.front().planned->mount.device);
      Disk unknown;
      unknown.name = source;
      unknown.size_bytes = stack == plan_.stacks.end() ? 0 : stack->second.size_bytes;
      add_row(unknown, filesystems);
      report_.rows.back().device.clear();
    }
    std::stable_sort(report_.rows.begin(), report_.rows.end(), [](const VolumeRow& a, const VolumeRow& b) {
      return std::pair(a.state, a.is_elsewhere) < std::pair(b.state, b.is_elsewhere);
    });
  }

  void add_row(const Disk& disk, std::vector<Filesystem>& filesystems) {
    std::stable_sort(filesystems.begin(), filesystems.end(),
                     [](const Filesystem& a, const Filesystem& b) { return a.state < b.state; });
    VolumeRow row{disk.label(), disk.name, disk.size_bytes, filesystems.front().state, {}, {}, false, {}};
    for (const Filesystem& filesystem : filesystems) row.filesystems.push_back(filesystem.name());
    row.why = why_of(filesystems);
    row.is_elsewhere = filesystems.front().planned->is_elsewhere();
    row.cause = filesystems.front().name() + " is not frozen: " + filesystems.front().why;
    if (row.state == VolumeState::frozen || row.state == VolumeState::read_only) add_rest(disk, row);
    if (disk.is_instance_store && row.state != VolumeState::read_only) {
      row.state = VolumeState::not_covered;
      row.why = "EC2 instance store, which has no snapshots";
      row.cause = "it is " + row.why;
    }
    report_.rows.push_back(std::move(row));
  }

  /// What lies on a disk beside the filesystems that are mounted.
  struct Rest {
    std::vector<std::string> swap;
    std::vector<std::string> unmounted;
  };

  [[nodiscard]] Rest rest_of(const Disk& disk) const {
    Rest rest;
    for (const DiskPart& part : disk.parts) {
      if (!used_.contains(part.device)) (part.is_swap ? rest.swap : rest.unmounted).push_back(part.name);
    }
    return rest;
  }

  static std::string text_of(const Rest& rest, const Disk& disk) {
    const std::vector<std::string> whole = {disk.name};
    std::vector<std::string> texts;
    if (!rest.unmounted.empty())
      texts.push_back(rest.unmounted == whole ? "nothing of it is mounted" : "not mounted: " + list_of(rest.unmounted));
    if (!rest.swap.empty()) {
      texts.push_back((rest.swap == whole ? "swap" : "swap (" + list_of(rest.swap) + ")") +
                      ", which a snapshot does not need");
    }
    return texts.empty() ? "nothing of it is mounted" : join(texts, "; ");
  }

  /// The row of a disk all of whose filesystems are held is not all that is to be said of it.
  void add_rest(const Disk& disk, VolumeRow& row) const {
    const Rest rest = rest_of(disk);
    if (rest.swap.empty() && rest.unmounted.empty()) return;
    row.why += (row.why.empty() ? "" : "; ") + text_of(rest, disk);
    if (rest.unmounted.empty()) return;
    row.state = VolumeState::partly_covered;
    row.cause = "not mounted: " + list_of(rest.unmounted);
  }

  /// Why those in the worst state are; and how many of the others are frozen all the same.
  static std::string why_of(const std::vector<Filesystem>& filesystems) {
    const VolumeState worst = filesystems.front().state;
    const auto count_in = [&](VolumeState state) {
      return static_cast<std::size_t>(std::count_if(filesystems.begin(), filesystems.end(),
                                                    [&](const Filesystem& one) { return one.state == state; }));
    };
    std::string why = filesystems.front().why;
    const std::size_t same = count_in(worst);
    if (worst < VolumeState::boot && filesystems.size() > 1) why = filesystems.front().name() + ": " + why;
    if (worst < VolumeState::boot && same > 1) why += ", and " + std::to_string(same - 1) + " more";
    const std::size_t frozen = count_in(VolumeState::frozen);
    if (worst < VolumeState::frozen && frozen > 0)
      why += "; " + count_of(frozen, "other filesystem") + (frozen == 1 ? " is" : " are") + " frozen";
    return why;
  }

  void add_unmounted(const Disk& disk) {
    const Rest rest = rest_of(disk);
    const bool is_swap = rest.unmounted.empty() && !rest.swap.empty();
    std::string why = text_of(rest, disk);
    if (disk.is_instance_store) why = "EC2 instance store, which has no snapshots";
    report_.rows.push_back({disk.label(),
                            disk.name,
                            disk.size_bytes,
                            is_swap || disk.is_instance_store ? VolumeState::not_needed : VolumeState::not_mounted,
                            {},
                            std::move(why),
                            false,
                            {}});
  }

  const HostPlan& plan_;
  const AttachedDisks& disks_;
  std::map<std::size_t, const Gap*> gaps_;       ///< By `Gap::mount`.
  std::map<dev_t, std::set<std::string>> data_;  ///< Names of databases.
  std::map<std::size_t, std::vector<Filesystem>> on_disk_;
  std::map<std::string, std::vector<Filesystem>> others_;  ///< By source.
  std::set<std::string> used_;                             ///< Block devices that something mounted lies on.
  VolumeReport report_;
};

}  // namespace

VolumeReport report_volumes(const HostPlan& plan, const AttachedDisks& disks) { return Reporter(plan, disks).report(); }

std::string_view words_of(VolumeState state) {
  switch (state) {
    case VolumeState::not_covered:
      return "NOT covered";
    case VolumeState::quiesced_only:
      return "quiesced only";
    case VolumeState::boot:
      return "boot";
    case VolumeState::partly_covered:
      return "partly covered";
    case VolumeState::frozen:
      return "frozen";
    case VolumeState::read_only:
      return "read-only";
    case VolumeState::not_needed:
      return "not needed";
    case VolumeState::not_mounted:
      return "not mounted";
  }
  return "";
}

std::string_view to_string(VolumeState state) {
  switch (state) {
    case VolumeState::not_covered:
      return "not_covered";
    case VolumeState::quiesced_only:
      return "quiesced_only";
    case VolumeState::boot:
      return "boot";
    case VolumeState::partly_covered:
      return "partly_covered";
    case VolumeState::frozen:
      return "frozen";
    case VolumeState::read_only:
      return "read_only";
    case VolumeState::not_needed:
      return "not_needed";
    case VolumeState::not_mounted:
      return "not_mounted";
  }
  return "";
}

}  // namespace dlm_freeze
