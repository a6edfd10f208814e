// SPDX-License-Identifier: Apache-2.0
#include "fs/freeze_plan.hpp"

#include <fnmatch.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <utility>

namespace dlm_freeze {
namespace {

bool is_fuse(std::string_view type) { return type.starts_with("fuse"); }

/// Filesystems in which a look-up may wait for another host or process for ever.
bool may_hang(std::string_view type) {
  constexpr std::array<std::string_view, 11> kNetwork = {"nfs",  "nfs4", "cifs", "smb3",   "smbfs", "9p",
                                                         "ceph", "afs",  "coda", "lustre", "ncpfs"};
  return is_fuse(type) || std::find(kNetwork.begin(), kNetwork.end(), type) != kNetwork.end();
}

/// Types whose drivers have no freeze: FIFREEZE answers EOPNOTSUPP, or there is nothing to write.
bool cannot_freeze(std::string_view type) {
  constexpr std::array<std::string_view, 9> kTypes = {"squashfs", "erofs", "iso9660", "udf",  "vfat",
                                                      "msdos",    "exfat", "cramfs",  "romfs"};
  return std::find(kTypes.begin(), kTypes.end(), type) != kTypes.end();
}

bool matches(const std::string& mount_point, const std::vector<std::string>& patterns) {
  return std::any_of(patterns.begin(), patterns.end(), [&](const std::string& pattern) {
    return pattern == mount_point || ::fnmatch(pattern.c_str(), mount_point.c_str(), FNM_PATHNAME) == 0;
  });
}

struct Judgement {
  Reason reason = Reason::data;
  std::string why;
};

/// All that is known of one superblock while the plan is made.
struct Superblock {
  std::vector<const Mount*> mounts;   ///< In the order of the table.
  std::set<dev_t> lies_on;            ///< Superblocks that hold a file this one's device is made of.
  std::optional<Judgement> keep_off;  ///< Set when it must never be frozen.
  std::optional<int> height;          ///< How many are stacked on it, at most; it is frozen after all of them.
};

class Planner {
 public:
  Planner(const MountTable& table, const BlockStacks& stacks, const Selection& selection)
      : table_(table), stacks_(stacks), selection_(selection) {
    for (const Mount& mount : table_.mounts()) superblocks_[mount.device].mounts.push_back(&mount);
  }

  FreezePlan plan() {
    connect();
    keep_off_root();
    keep_off_protected();
    measure_heights();
    FreezePlan plan;
    for (const auto& [device, superblock] : superblocks_) add(device, superblock, plan);
    number_levels(plan);
    sort(plan);
    for (const auto* patterns : {&selection_.include, &selection_.exclude}) {
      for (const std::string& pattern : *patterns) {
        const bool used = std::any_of(table_.mounts().begin(), table_.mounts().end(),
                                      [&](const Mount& mount) { return matches(mount.mount_point, {pattern}); });
        if (!used) plan.unmatched.push_back(pattern);
      }
    }
    return plan;
  }

 private:
  /// Notes which superblock lies on which.
  void connect() {
    for (const auto& [device, stack] : stacks_) {
      const auto superblock = superblocks_.find(device);
      if (superblock == superblocks_.end()) continue;
      for (const dev_t below : stack.backing_devices) {
        if (below != device) superblock->second.lies_on.insert(below);
      }
      for (const std::string& file : stack.backing_files) {
        const Mount* below = table_.resolve(file);
        if (below != nullptr && below->device != device) superblock->second.lies_on.insert(below->device);
      }
    }
  }

  /// Marks a superblock and all that it lies on: freezing one of those would block it as well.
  void keep_off(dev_t device, Judgement own, const Judgement& below) {
    Superblock& superblock = superblocks_[device];
    if (superblock.keep_off) return;
    superblock.keep_off = std::move(own);
    for (const dev_t next : superblock.lies_on) keep_off(next, below, below);
  }

  void keep_off_path(std::string_view path, const Judgement& judgement) {
    if (const Mount* mount = table_.resolve(path)) keep_off(mount->device, judgement, judgement);
  }

  void keep_off_root() {
    for (const Mount& mount : table_.mounts()) {
      const bool is_root = mount.mount_point == "/";
      if (!is_root && !lies_within(mount.mount_point, "/boot")) continue;
      keep_off(mount.device, {Reason::root_or_boot, "the filesystem of " + mount.mount_point},
               {Reason::holds_root, "holds the image of " + mount.mount_point});
      if (!is_root || mount.type != "overlay") continue;
      for (const std::string_view layers : {"upperdir", "workdir", "lowerdir"}) {
        std::string_view list = mount.super_option_value(layers);
        while (!list.empty()) {
          const std::string_view layer = list.substr(0, list.find(':'));
          keep_off_path(layer, {Reason::holds_root, "holds a layer of the root filesystem"});
          list.remove_prefix(std::min(list.size(), layer.size() + 1));
        }
      }
    }
  }

  void keep_off_protected() {
    for (const std::string& path : selection_.protect) {
      const Mount* mount = table_.resolve(path);
      if (mount == nullptr) continue;
      keep_off(mount->device, {Reason::protected_path, "holds " + path},
               {Reason::protected_path, "holds the image of the filesystem of " + path});
    }
  }

  void measure_heights() {
    std::map<dev_t, std::vector<dev_t>> lie_on;  // The superblocks on top of each.
    for (const auto& [device, superblock] : superblocks_) {
      for (const dev_t below : superblock.lies_on) lie_on[below].push_back(device);
    }
    for (const auto& [device, superblock] : superblocks_) measure(device, lie_on);
  }

  int measure(dev_t device, const std::map<dev_t, std::vector<dev_t>>& lie_on) {
    Superblock& superblock = superblocks_[device];
    if (!superblock.height) {
      superblock.height = 0;  // Also ends the recursion, should a table ever be circular.
      int highest = 0;
      if (const auto above = lie_on.find(device); above != lie_on.end()) {
        for (const dev_t top : above->second) highest = std::max(highest, measure(top, lie_on) + 1);
      }
      superblock.height = highest;
    }
    return *superblock.height;
  }

  /// The rules of the contract, in their order.
  Judgement judge(dev_t device, const Superblock& superblock) const {
    const Mount& first = *superblock.mounts.front();
    const auto& mounts = superblock.mounts;
    const auto any_matches = [&](const std::vector<std::string>& patterns) {
      return std::any_of(mounts.begin(), mounts.end(),
                         [&](const Mount* mount) { return matches(mount->mount_point, patterns); });
    };
    const bool kept_off_as_root = superblock.keep_off && superblock.keep_off->reason != Reason::protected_path;
    if (kept_off_as_root) return *superblock.keep_off;
    if (is_fuse(first.type) || !stacks_.contains(device))
      return {Reason::not_block_backed, first.type + ", no block device of its own"};
    if (std::all_of(mounts.begin(), mounts.end(), [](const Mount* mount) { return mount->has_option("ro"); })) {
      return {Reason::read_only, "read-only"};
    }
    if (cannot_freeze(first.type)) return {Reason::cannot_freeze, first.type + " cannot be frozen"};
    if (superblock.keep_off) return *superblock.keep_off;
    if (any_matches(selection_.exclude)) return {Reason::excluded, "excluded by the configuration"};
    if (!selection_.include.empty() && !any_matches(selection_.include)) {
      return {Reason::not_included, "not in the configuration's include"};
    }
    if (!selection_.freeze) return {Reason::freezing_disabled, "the configuration freezes no filesystems"};
    return {};
  }

  bool reached_through_network(const Mount& mount) const {
    const auto above = table_.ancestors(mount);
    return std::any_of(above.begin(), above.end(), [](const Mount* ancestor) { return may_hang(ancestor->type); });
  }

  /// The mounts to open a superblock through, best first: whole filesystems before bind mounts and subvolumes.
  std::vector<Mount> ways_in(const Superblock& superblock, Judgement& judgement) const {
    std::vector<Mount> ways;
    bool visible = false;
    for (const Mount* mount : superblock.mounts) {
      if (!table_.is_visible(*mount)) continue;
      visible = true;
      if (!reached_through_network(*mount)) ways.push_back(*mount);
    }
    std::stable_partition(ways.begin(), ways.end(), [](const Mount& mount) { return mount.root == "/"; });
    if (ways.empty()) {
      judgement = visible ? Judgement{Reason::behind_network, "reached only through a network or FUSE filesystem"}
                          : Judgement{Reason::hidden, "hidden by another mount on top of it"};
    }
    return ways;
  }

  void add(dev_t device, const Superblock& superblock, FreezePlan& plan) const {
    Judgement judgement = judge(device, superblock);
    std::vector<Mount> ways;
    if (judgement.reason == Reason::data) ways = ways_in(superblock, judgement);
    if (ways.empty()) {
      for (const Mount* mount : superblock.mounts) {
        plan.mounts.push_back({*mount, Verdict::pass_over, judgement.reason, judgement.why, -1});
      }
      return;
    }
    for (const Mount* mount : superblock.mounts) {
      const bool through = mount->id == ways.front().id;
      plan.mounts.push_back({*mount, through ? Verdict::freeze : Verdict::same_filesystem, Reason::data,
                             through ? "data" : "same filesystem as " + ways.front().mount_point, *superblock.height});
    }
    plan.filesystems.push_back({device, *superblock.height, std::move(ways), stacks_.at(device)});
  }

  /// Turns heights, which have gaps where a filesystem in between is not frozen, into levels 0, 1, 2...
  static void number_levels(FreezePlan& plan) {
    std::map<int, int> level_of;
    for (const PlannedFilesystem& filesystem : plan.filesystems) level_of[filesystem.level] = 0;
    int next = 0;
    for (auto& [height, level] : level_of) level = next++;
    for (PlannedFilesystem& filesystem : plan.filesystems) filesystem.level = level_of[filesystem.level];
    for (PlannedMount& mount : plan.mounts) {
      if (mount.level >= 0) mount.level = level_of[mount.level];
    }
  }

  void sort(FreezePlan& plan) const {
    std::map<int, std::size_t> position;  // By mount id, in the table.
    for (std::size_t i = 0; i < table_.mounts().size(); ++i) position[table_.mounts()[i].id] = i;
    const auto rank = [&](const PlannedMount& planned) {
      const bool frozen = planned.level >= 0;
      return std::tuple(!frozen, planned.level, position[planned.mount.id]);
    };
    std::sort(plan.mounts.begin(), plan.mounts.end(), [&](const auto& a, const auto& b) { return rank(a) < rank(b); });
    std::sort(plan.filesystems.begin(), plan.filesystems.end(), [&](const auto& a, const auto& b) {
      return std::tuple(a.level, position[a.mounts.front().id]) < std::tuple(b.level, position[b.mounts.front().id]);
    });
  }

  const MountTable& table_;
  const BlockStacks& stacks_;
  const Selection& selection_;
  std::map<dev_t, Superblock> superblocks_;
};

}  // namespace

FreezePlan plan_freeze(const MountTable& table, const BlockStacks& stacks, const Selection& selection) {
  return Planner(table, stacks, selection).plan();
}

std::string_view to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::freeze:
      return "freeze";
    case Verdict::same_filesystem:
      return "same";
    case Verdict::pass_over:
      return "pass over";
  }
  return "";
}

std::string_view to_string(Reason reason) {
  switch (reason) {
    case Reason::data:
      return "data";
    case Reason::root_or_boot:
      return "root_or_boot";
    case Reason::holds_root:
      return "holds_root";
    case Reason::not_block_backed:
      return "not_block_backed";
    case Reason::read_only:
      return "read_only";
    case Reason::cannot_freeze:
      return "cannot_freeze";
    case Reason::protected_path:
      return "protected_path";
    case Reason::excluded:
      return "excluded";
    case Reason::not_included:
      return "not_included";
    case Reason::freezing_disabled:
      return "freezing_disabled";
    case Reason::hidden:
      return "hidden";
    case Reason::behind_network:
      return "behind_network";
  }
  return "";
}

bool deserves_warning(Reason reason) {
  switch (reason) {
    case Reason::holds_root:
    case Reason::protected_path:
    case Reason::hidden:
    case Reason::behind_network:
      return true;
    default:
      return false;
  }
}

}  // namespace dlm_freeze
