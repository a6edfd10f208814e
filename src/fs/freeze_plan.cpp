// SPDX-License-Identifier: Apache-2.0
#include "fs/freeze_plan.hpp"

#include <fnmatch.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <utility>

#include "fs/elsewhere.hpp"
#include "fs/filesystem_type.hpp"
#include "fs/ground.hpp"
#include "fs/path_trail.hpp"
#include "fs/writes.hpp"

namespace dlm_freeze {
namespace {

bool matches(const std::string& mount_point, const std::vector<std::string>& patterns) {
  return std::any_of(patterns.begin(), patterns.end(), [&](const std::string& pattern) {
    return pattern == mount_point || ::fnmatch(pattern.c_str(), mount_point.c_str(), FNM_PATHNAME) == 0;
  });
}

/// Those of other mount namespaces.
std::vector<const Mount*> mounts_elsewhere(const HostFacts& facts) {
  std::vector<const Mount*> mounts;
  for (const UnseenFilesystem& unseen : facts.unseen) {
    for (const MountElsewhere& elsewhere : unseen.mounts) {
      if (elsewhere.process != 0) mounts.push_back(&elsewhere.mount);
    }
  }
  return mounts;
}

/// Most often after an error; ext4 keeps a record of those, others do not.
constexpr const char* kMadeReadOnly = "broken: the filesystem is read-only, although ";

/// Anybody's sync(2) waits for the thaw then, if a file that was in use is let go of meanwhile, with the lock that the
/// thaw needs (dquot_writeback_dquots() waits for ext4_release_dquot(); Linux 6.1 to 6.12 at least).
constexpr const char* kHasQuotas =
    "ext4 with quotas can stay frozen forever after a sync: turn them off (quotaoff), or name it in "
    "filesystems.include at that risk";

struct Judgement {
  Reason reason = Reason::data;
  std::string why;
  std::string holds;  ///< As in PlannedMount.
};

class Planner {
 public:
  Planner(const MountTable& table, const BlockStacks& stacks, const Selection& selection, const HostFacts& facts)
      : table_(table),
        stacks_(stacks),
        selection_(selection),
        facts_(facts),
        ground_(table, stacks, facts.layers, mounts_elsewhere(facts)) {}

  FreezePlan plan() {
    keep_off_root();
    keep_off_root_of_the_host();
    keep_off_protected();
    keep_off_swap();
    ground_.order();
    FreezePlan plan;
    plan.mounts.reserve(table_.mounts().size() + facts_.unseen.size());
    std::set<dev_t> elsewhere;
    for (const Mount* mount : mounts_elsewhere(facts_)) elsewhere.insert(mount->device);
    for (const auto& [device, superblock] : ground_.superblocks()) {
      if (!elsewhere.contains(device)) add(device, superblock, plan);
    }
    for (const UnseenFilesystem& unseen : facts_.unseen) add(unseen, plan);
    note_flushes(plan);
    number_levels(plan);
    sort(plan);
    note_gaps(plan);
    note_writable(plan);
    if (!plan.filesystems.empty()) plan.problem = problem();
    for (const auto* patterns : {&selection_.include, &selection_.exclude}) {
      for (const std::string& pattern : *patterns) {
        if (!matches_any_mount(pattern)) plan.unmatched.push_back(pattern);
      }
    }
    return plan;
  }

  std::set<dev_t> superblocks_of_root() {
    keep_off_root();
    std::set<dev_t> kept_off;
    for (const auto& [device, judgement] : kept_off_) {
      if (has_volume(ground_.at(device).first())) kept_off.insert(device);
    }
    return kept_off;
  }

 private:
  [[nodiscard]] std::string problem() const {
    constexpr std::string_view kSoThat = ", so freezing anything might block it: ";
    const Mount* root = table_.root();
    const auto of_root = root != nullptr && selection_.include.empty() ? ground_.untold(root->device) : std::nullopt;
    if (of_root) {
      return "the root filesystem lies on " + of_root->cause + std::string(kSoThat) +
             "list what to freeze in filesystems.include";
    }
    for (const std::string& path : selection_.protect) {
      const Mount* mount = table_.resolve(path);
      const auto found = mount != nullptr && mount != root ? ground_.untold(mount->device) : std::nullopt;
      if (found)
        return path + ", which must not be frozen, lies on " + found->cause + std::string(kSoThat) + found->remedy;
    }
    return {};
  }

  [[nodiscard]] bool matches_any_mount(const std::string& pattern) const {
    const auto& mounts = table_.mounts();
    const std::vector<const Mount*> elsewhere = mounts_elsewhere(facts_);
    return std::any_of(mounts.begin(), mounts.end(),
                       [&](const Mount& mount) { return matches(mount.mount_point, {pattern}); }) ||
           std::any_of(elsewhere.begin(), elsewhere.end(),
                       [&](const Mount* mount) { return matches(mount->mount_point, {pattern}); });
  }

  // What is never frozen.

  /// Marks a superblock and all that it lies on: freezing one of those would block it as well.
  void keep_off(dev_t device, const Judgement& own, const Judgement& below) {
    if (!kept_off_.try_emplace(device, own).second) return;
    for (const dev_t next : ground_.at(device).lies_on) keep_off(next, below, below);
  }

  /// Null when nothing speaks against freezing it.
  [[nodiscard]] const Judgement* kept_off(dev_t device) const {
    const auto found = kept_off_.find(device);
    return found != kept_off_.end() ? &found->second : nullptr;
  }

  /// What a directory of the system has of its own, mounted there or where a link leads; null: it is a part of the
  /// root.
  [[nodiscard]] const Mount* own_mount_of(const std::string& path) const {
    const auto link = facts_.links.find(path);
    const Mount* mount = table_.resolve(link != facts_.links.end() ? link->second : path);
    if (mount == nullptr || mount->mount_point == "/") return nullptr;
    return link != facts_.links.end() || mount->mount_point == path ? mount : nullptr;
  }

  void keep_off_root() {
    for (const Mount& mount : table_.mounts()) {
      const bool is_root = mount.mount_point == "/";
      if (!is_root && !lies_within(mount.mount_point, "/boot")) continue;
      keep_off(mount.device, {Reason::root_or_boot, "the filesystem of " + mount.mount_point, {}},
               {Reason::holds_root,
                is_root && ground_.layers(mount) ? "holds a layer of the root filesystem"
                                                 : "holds the image of " + mount.mount_point,
                {}});
    }
    for (const auto& [path, target] : facts_.links) {
      const Mount* mount = lies_within(path, "/boot") ? own_mount_of(path) : nullptr;
      if (mount == nullptr) continue;
      keep_off(mount->device, {Reason::root_or_boot, "the filesystem of " + path, {}},
               {Reason::holds_root, "holds the image of " + path, {}});
    }
    keep_off_parts_of_an_image();
    // The runtime of a container puts them there, from the filesystem on which the host keeps its containers: most
    // often its root.
    for (const std::string path : {"/etc/hosts", "/etc/resolv.conf", "/etc/hostname"}) {
      const Mount* mount = table_.resolve(path);
      if (mount == nullptr || mount->mount_point != path || is_in_memory(mount->type)) continue;
      const Judgement judgement = {Reason::holds_root, "holds " + path + ", so it is the host's", {}};
      keep_off(mount->device, judgement, judgement);
    }
  }

  /// Where the root is an image that nobody can write to, or an overlay of one, what is written of the system lies in
  /// parts that are mounted into it, often all of them on the one filesystem that holds the image.
  void keep_off_parts_of_an_image() {
    const Mount* root = table_.root();
    if (root == nullptr || (has_volume(*root) && !root->is_read_only() && !ground_.layers(*root))) return;
    std::vector<std::string> parts = {"/sysroot", "/usr", "/etc"};
    // A /var of its own is data like any other, if the root says what it lies on itself.
    const std::set<dev_t> grounds = ground_.all_below(root->device);
    const bool is_ground_told = std::any_of(grounds.begin(), grounds.end(),
                                            [&](dev_t device) { return has_volume(ground_.at(device).first()); });
    if (!is_ground_told) parts.emplace_back("/var");
    for (const std::string& part : parts) {
      const Mount* mount = own_mount_of(part);
      if (mount == nullptr) continue;
      const Judgement judgement = {Reason::holds_root, "holds " + part + ", a part of the root filesystem", {}};
      keep_off(mount->device, judgement, judgement);
    }
  }

  void keep_off_root_of_the_host() {
    for (const dev_t device : facts_.roots_of_others) {
      if (!ground_.superblocks().contains(device)) continue;
      const Judgement judgement = {Reason::holds_root, "holds the root filesystem or /boot of the host", {}};
      keep_off(device, judgement, judgement);
    }
  }

  void keep_off_protected() {
    for (const std::string& path : selection_.protect) {
      const Mount* mount = table_.resolve(path);
      if (mount == nullptr) continue;
      const std::string what =
          ground_.layers(*mount) ? "holds a layer of the overlay that holds " : "holds the image of the filesystem of ";
      keep_off(mount->device, {Reason::protected_path, "holds " + path, path},
               {Reason::protected_path, what + path, path});
      keep_off_below(path);
    }
  }

  /// Memory that is short waits for the swap, and the thaw for memory. A swap file without a loop device is written
  /// past its filesystem.
  void keep_off_swap() {
    const auto keep = [&](dev_t device, const std::string& file) {
      if (!ground_.superblocks().contains(device)) return;
      const std::string what =
          file.empty() ? "the image of a device that is used for swap" : file + ", which is used for swap";
      keep_off(device, {Reason::protected_path, "holds " + what, file},
               {Reason::protected_path, "holds the image of what holds " + what, file});
    };
    for (const BlockStack& stack : facts_.swap) {
      for (const dev_t device : stack.backing_devices) keep(device, "");
      for (const std::string& file : stack.backing_files) {
        if (const Mount* mount = table_.resolve(file)) keep(mount->device, file);
      }
    }
  }

  /// Who may not wait for `path` may not wait for what is mounted below it.
  void keep_off_below(const std::string& path) {
    if (path == "/") return;
    for (const Mount& mount : table_.mounts()) {
      if (!lies_within(mount.mount_point, path)) continue;
      keep_off(mount.device, {Reason::protected_path, "is mounted below " + path, path},
               {Reason::protected_path, "holds the image of what is mounted below " + path, path});
    }
  }

  /// The rules of the contract, in their order.
  Judgement judge(dev_t device, const Superblock& superblock) const {
    const Mount& first = superblock.first();
    const auto& mounts = superblock.mounts;
    const Judgement* kept = kept_off(device);
    if (kept != nullptr && kept->reason != Reason::protected_path) return *kept;
    if (!has_volume(first)) {
      if (is_known_without_volume(first.type)) {
        return {Reason::not_block_backed, first.type + ", no block device of its own", {}};
      }
      if (first.is_read_only()) return {Reason::read_only, "read-only", {}};
      return {Reason::unknown_type, first.type + ": its device is unknown", {}};
    }
    if (std::all_of(mounts.begin(), mounts.end(),
                    [&](const Mount* mount) { return facts_.file_mounts.contains(mount->id); })) {
      return {Reason::only_files, "mounted for single files only", {}};
    }
    if (auto broken = judge_health(device, superblock)) return *broken;
    if (first.is_read_only()) return {Reason::read_only, "read-only", {}};
    if (cannot_freeze(first.type)) return {Reason::cannot_freeze, first.type + " cannot be frozen", {}};
    if (kept != nullptr) return *kept;
    Judgement judgement = judge_by_configuration(mounts);
    if (judgement.reason == Reason::data && may_never_thaw(device)) return {Reason::cannot_freeze, kHasQuotas, {}};
    return judgement;
  }

  /// Whether it keeps quotas; nobody is kept from freezing what he names.
  [[nodiscard]] bool may_never_thaw(dev_t device) const {
    const auto stack = stacks_.find(device);
    return selection_.include.empty() && stack != stacks_.end() && stack->second.has_quotas;
  }

  /// A filesystem that an operator has to check.
  std::optional<Judgement> judge_health(dev_t device, const Superblock& superblock) const {
    const Mount& mount = superblock.first();
    for (const std::string_view state : {"emergency_ro", "shutdown"}) {
      if (mount.has_super_option(state)) {
        return Judgement{
            Reason::broken, "broken: the kernel shut it down after an error (" + std::string(state) + ")", {}};
      }
    }
    const auto stack = stacks_.find(device);
    if (stack != stacks_.end() && stack->second.device_gone) {
      return Judgement{Reason::broken, "broken: its device is gone", {}};
    }
    if (stack != stacks_.end() && stack->second.has_had_errors && mount.is_read_only()) {
      return Judgement{Reason::broken, "broken: read-only, with errors on record", {}};
    }
    const auto writer = std::find_if(superblock.mounts.begin(), superblock.mounts.end(),
                                     [](const Mount* one) { return was_made_read_only(*one); });
    if (writer != superblock.mounts.end()) {
      return Judgement{Reason::broken, kMadeReadOnly + (*writer)->mount_point + " is mounted for writing", {}};
    }
    return std::nullopt;
  }

  Judgement judge_by_configuration(const std::vector<const Mount*>& mounts) const {
    const auto any_matches = [&](const std::vector<std::string>& patterns) {
      return std::any_of(mounts.begin(), mounts.end(),
                         [&](const Mount* mount) { return matches(mount->mount_point, patterns); });
    };
    if (any_matches(selection_.exclude)) return {Reason::excluded, "excluded by the configuration", {}};
    if (!selection_.include.empty() && !any_matches(selection_.include)) {
      return {Reason::not_included, "not in the configuration's include", {}};
    }
    if (!selection_.freeze) return {Reason::freezing_disabled, "the configuration freezes no filesystems", {}};
    return {};
  }

  /// The mounts to open a superblock through, best first: whole filesystems before bind mounts and subvolumes.
  std::vector<Mount> ways_in(const Superblock& superblock, Judgement& judgement) const {
    std::vector<Mount> ways;
    bool visible = false;
    for (const Mount* mount : superblock.mounts) {
      if (!table_.is_visible(*mount) || facts_.file_mounts.contains(mount->id)) continue;
      visible = true;
      if (!may_hang(table_, *mount)) ways.push_back(*mount);
    }
    std::stable_partition(ways.begin(), ways.end(), [](const Mount& mount) { return mount.root == "/"; });
    if (ways.empty()) {
      judgement = visible ? Judgement{Reason::behind_network, "reached only through a network or FUSE filesystem", {}}
                          : Judgement{Reason::hidden, "hidden by another mount on top of it", {}};
    }
    return ways;
  }

  void add(dev_t device, const Superblock& superblock, FreezePlan& plan) const {
    Judgement judgement = judge(device, superblock);
    std::vector<Mount> ways;
    if (judgement.reason == Reason::data) ways = ways_in(superblock, judgement);
    if (ways.empty()) {
      for (const Mount* mount : superblock.mounts) {
        plan.mounts.push_back({*mount, Verdict::pass_over, judgement.reason, judgement.why, judgement.holds});
      }
      return;
    }
    for (const Mount* mount : superblock.mounts) {
      const bool through = mount->id == ways.front().id;
      plan.mounts.push_back({*mount,
                             through ? Verdict::freeze : Verdict::same_filesystem,
                             Reason::data,
                             through ? "data" : "same filesystem as " + ways.front().mount_point,
                             {},
                             ground_.rank(superblock)});
    }
    const auto stack = stacks_.find(device);
    plan.filesystems.push_back(
        {device, ground_.rank(superblock), std::move(ways), stack == stacks_.end() ? BlockStack() : stack->second});
  }

  // What only other mount namespaces have.

  void add(const UnseenFilesystem& unseen, FreezePlan& plan) const {
    const Judgement judgement = judge(unseen);
    const bool is_frozen = judgement.reason == Reason::data;
    std::vector<MountElsewhere> ways;
    for (const MountElsewhere& way : unseen.mounts) {
      if (is_frozen && way.obstacle.empty()) ways.push_back(way);
    }
    const MountElsewhere& first = is_frozen ? ways.front() : unseen.mounts.front();
    const dev_t device = first.mount.device;
    PlannedMount planned{first.mount, Verdict::pass_over, judgement.reason, judgement.why, judgement.holds};
    if (first.process != 0) planned.elsewhere = first;
    if (is_frozen) {
      planned.verdict = Verdict::freeze;
      planned.level = ground_.rank(ground_.at(device));
      const auto stack = stacks_.find(device);
      plan.filesystems.push_back(
          {device, planned.level, {first.mount}, stack == stacks_.end() ? BlockStack() : stack->second, {}, ways});
    }
    plan.mounts.push_back(std::move(planned));
  }

  /// The configuration's rules come first, since what it leaves out need not be named.
  [[nodiscard]] Judgement judge(const UnseenFilesystem& unseen) const {
    const MountElsewhere& first = unseen.mounts.front();
    std::vector<const Mount*> mounts;
    for (const MountElsewhere& one : unseen.mounts) mounts.push_back(&one.mount);
    Judgement configured = judge_by_configuration(mounts);
    if (configured.reason != Reason::data) return configured;
    if (unseen.is_only_taken) {
      return {Reason::unseen,
              "in use by what this host does not show, such as a filesystem that was unmounted while in use",
              {}};
    }
    if (first.process == 0)
      return {Reason::unseen, "mounted, but in no mount namespace whose processes can be examined", {}};
    if (selection_.other_namespaces == OtherNamespaces::ignore)
      return {Reason::ignored, "the configuration ignores other mount namespaces", {}};
    const auto writer = std::find_if(unseen.mounts.begin(), unseen.mounts.end(),
                                     [](const MountElsewhere& one) { return was_made_read_only(one.mount); });
    if (writer != unseen.mounts.end())
      return {Reason::broken, kMadeReadOnly + writer->where() + " has it mounted for writing", {}};
    const dev_t device = first.mount.device;
    if (auto broken = judge_health(device, ground_.at(device))) return *broken;
    if (cannot_freeze(first.mount.type)) return {Reason::cannot_freeze, first.mount.type + " cannot be frozen", {}};
    if (const Judgement* kept = kept_off(device)) return *kept;
    if (auto kept = judge_protection(unseen)) return *kept;
    const std::string obstacle = obstacle_to(unseen);
    const std::string text = "mounted only in another mount namespace: that of " + first.where();
    if (selection_.other_namespaces == OtherNamespaces::warn || !obstacle.empty())
      return {Reason::unseen, text + (obstacle.empty() ? "" : "; " + obstacle), {}};
    if (may_never_thaw(device)) return {Reason::cannot_freeze, kHasQuotas, {}};
    return {Reason::data, text, {}};
  }

  /// In the mount namespace of the host's init, which need not be this one, the paths of `protect` mean the same. The
  /// host's /boot may be mounted by and by, and be left in a namespace that a unit has of its own.
  [[nodiscard]] std::optional<Judgement> judge_protection(const UnseenFilesystem& unseen) const {
    for (const MountElsewhere& one : unseen.mounts) {
      if (lies_within(one.mount.mount_point, "/boot"))
        return Judgement{Reason::root_or_boot, "the filesystem of " + one.mount.mount_point, {}};
      if (!one.is_of_first) continue;
      for (const std::string& path : selection_.protect) {
        if (lies_within(path, one.mount.mount_point)) return Judgement{Reason::protected_path, "holds " + path, path};
        if (path != "/" && lies_within(one.mount.mount_point, path))
          return Judgement{Reason::protected_path, "is mounted below " + path, path};
      }
    }
    return std::nullopt;
  }

  /// Why it cannot be frozen, or who freezes it might wait for somebody whom nobody on the host has asked to serve.
  [[nodiscard]] std::string obstacle_to(const UnseenFilesystem& unseen) const {
    const bool is_closed = std::all_of(unseen.mounts.begin(), unseen.mounts.end(),
                                       [](const MountElsewhere& way) { return !way.obstacle.empty(); });
    if (is_closed) return unseen.mounts.front().obstacle;
    const dev_t device = unseen.mount().device;
    const auto stack = stacks_.find(device);
    if (stack != stacks_.end() && stack->second.devices.empty()) return "its device cannot be determined";
    if (const auto untold = ground_.untold(device)) return "it lies on " + untold->cause;
    for (const dev_t below : ground_.all_below(device)) {
      const std::string& type = ground_.at(below).first().type;
      if (may_hang(type)) return "it lies on " + type + ", which may not answer";
    }
    return facts_.out_of_reach;
  }

  /// Filesystems on which something may be written that the snapshot has in no particular state.
  void note_gaps(FreezePlan& plan) const {
    std::map<dev_t, std::size_t> gap_of;
    for (std::size_t i = 0; i < plan.mounts.size(); ++i) {
      const PlannedMount& planned = plan.mounts[i];
      if (planned.verdict != Verdict::pass_over) continue;
      switch (planned.reason) {
        case Reason::not_block_backed:
          if (!is_named_in_vain(planned.mount, plan)) continue;
          plan.mounts[i].why = why_in_vain(planned.mount);
          break;
        case Reason::read_only:
          continue;
        case Reason::unknown_type:
        case Reason::broken:
          break;
        default:
          if (!has_volume(planned.mount) || planned.mount.is_read_only()) continue;
      }
      if (const auto known = gap_of.find(planned.mount.device); known != gap_of.end() && planned.mount.device != 0) {
        ++plan.gaps[known->second].others;
        continue;
      }
      gap_of[planned.mount.device] = plan.gaps.size();
      plan.gaps.push_back({i, 0, planned.reason != Reason::not_block_backed && is_expected(planned)});
    }
  }

  /// Whether `include` names what has no volume of its own, so that it can only be frozen through what takes its
  /// writes, and that is not. A glob means no more than it can match: of it, only overlays count.
  bool is_named_in_vain(const Mount& mount, const FreezePlan& plan) const {
    const std::vector<std::string>& include = selection_.include;
    const bool is_meant = ground_.layers(mount)
                              ? matches(mount.mount_point, include)
                              : std::find(include.begin(), include.end(), mount.mount_point) != include.end();
    if (!is_meant || mount.is_read_only() || !selection_.freeze || matches(mount.mount_point, selection_.exclude)) {
      return false;
    }
    const Mount* taker = taker_of_writes(table_, facts_.layers, &mount);
    return std::none_of(plan.filesystems.begin(), plan.filesystems.end(), [&](const PlannedFilesystem& filesystem) {
      return taker != nullptr && taker->device == filesystem.device;
    });
  }

  [[nodiscard]] std::string why_in_vain(const Mount& mount) const {
    const Mount* taker = taker_of_writes(table_, facts_.layers, &mount);
    if (taker == nullptr) return mount.type + ", and where its writes go cannot be determined";
    if (taker->device == mount.device) return mount.type + ", no block device of its own";
    return mount.type + ", whose writes go to " + taker->mount_point + ", which is not frozen: include that as well";
  }

  bool is_expected(const PlannedMount& planned) const {
    if (planned.reason == Reason::root_or_boot || planned.reason == Reason::ignored) return true;
    const auto superblock = ground_.superblocks().find(planned.mount.device);
    const Reason by_configuration = superblock == ground_.superblocks().end()
                                        ? planned.reason
                                        : judge_by_configuration(superblock->second.mounts).reason;
    return by_configuration == Reason::excluded || by_configuration == Reason::not_included ||
           by_configuration == Reason::freezing_disabled;
  }

  void note_writable(FreezePlan& plan) const {
    std::set<dev_t> frozen;
    for (const PlannedFilesystem& filesystem : plan.filesystems) frozen.insert(filesystem.device);
    for (const auto& [device, superblock] : ground_.superblocks()) {
      const std::set<dev_t> below = ground_.all_below(device);
      const bool waits = frozen.contains(device) ||
                         std::any_of(below.begin(), below.end(), [&](dev_t ground) { return frozen.contains(ground); });
      // The root is never frozen, nor is what is known to hold it.
      const Judgement* kept = kept_off(device);
      const bool is_root = kept != nullptr && kept->reason == Reason::root_or_boot && has_volume(superblock.first());
      if (frozen.empty() || (!waits && (is_root || !superblock.ground_unknown))) plan.writable.insert(device);
    }
  }

  /// What is frozen flushes its own devices, after those of all that lies on it.
  void note_flushes(FreezePlan& plan) const {
    std::set<dev_t> frozen;
    for (const PlannedFilesystem& filesystem : plan.filesystems) frozen.insert(filesystem.device);
    for (PlannedFilesystem& filesystem : plan.filesystems) {
      std::vector<dev_t> all = {filesystem.device};
      for (const dev_t below : ground_.all_below(filesystem.device)) {
        if (!frozen.contains(below)) all.push_back(below);
      }
      std::sort(all.begin() + 1, all.end(),
                [&](dev_t a, dev_t b) { return ground_.rank(ground_.at(a)) < ground_.rank(ground_.at(b)); });
      for (const dev_t device : all) {
        const Mount& mount = ground_.at(device).first();
        if (!has_volume(mount) || flushes_its_devices(mount)) continue;
        const std::vector<std::string> nodes = nodes_of(mount);
        filesystem.to_flush.insert(filesystem.to_flush.end(), nodes.begin(), nodes.end());
      }
    }
  }

  /// Of the devices of a filesystem. In /dev a slash stands where the kernel's name has an exclamation mark.
  [[nodiscard]] std::vector<std::string> nodes_of(const Mount& mount) const {
    std::vector<std::string> nodes;
    const auto stack = stacks_.find(mount.device);
    if (stack == stacks_.end() || stack->second.devices.empty()) return {mount.source};
    for (std::string name : stack->second.devices) {
      std::replace(name.begin(), name.end(), '!', '/');
      nodes.push_back("/dev/" + name);
    }
    return nodes;
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
    for (const Mount& mount : table_.mounts()) position.emplace(mount.id, position.size());
    const auto place = [&](int level, const Mount& mount, bool is_elsewhere) {
      return std::tuple(level < 0, level, is_elsewhere, is_elsewhere ? 0 : position[mount.id]);
    };
    const auto of_mount = [&](const PlannedMount& planned) {
      return place(planned.level, planned.mount, planned.is_elsewhere());
    };
    const auto of_filesystem = [&](const PlannedFilesystem& planned) {
      return place(planned.level, planned.mounts.front(), !planned.elsewhere.empty());
    };
    std::stable_sort(plan.mounts.begin(), plan.mounts.end(),
                     [&](const auto& a, const auto& b) { return of_mount(a) < of_mount(b); });
    std::stable_sort(plan.filesystems.begin(), plan.filesystems.end(),
                     [&](const auto& a, const auto& b) { return of_filesystem(a) < of_filesystem(b); });
  }

  const MountTable& table_;
  const BlockStacks& stacks_;
  const Selection& selection_;
  const HostFacts& facts_;
  Ground ground_;
  std::map<dev_t, Judgement> kept_off_;  ///< Those that must never be frozen.
};

}  // namespace

FreezePlan plan_freeze(const MountTable& table, const BlockStacks& stacks, const Selection& selection,
                       const HostFacts& facts) {
  return Planner(table, stacks, selection, facts).plan();
}

std::set<dev_t> superblocks_of_root(const MountTable& table, const BlockStacks& stacks) {
  return Planner(table, stacks, {}, {}).superblocks_of_root();
}

}  // namespace dlm_freeze
