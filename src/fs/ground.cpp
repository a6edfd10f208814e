// SPDX-License-Identifier: Apache-2.0
#include "fs/ground.hpp"

#include <algorithm>
#include <array>
#include <string_view>
#include <tuple>
#include <utility>

#include "fs/filesystem_type.hpp"

namespace dlm_freeze {

Ground::Ground(const MountTable& table, const BlockStacks& stacks, const std::map<dev_t, Layers>& layers,
               const std::vector<const Mount*>& elsewhere)
    : table_(table), stacks_(stacks), layers_(layers) {
  for (const Mount& mount : table_.mounts()) superblocks_[mount.device].mounts.push_back(&mount);
  for (const Mount* mount : elsewhere) superblocks_[mount->device].mounts.push_back(mount);
  connect();
  for (const auto& [device, superblock] : superblocks_) {
    if (has_unknown_ground(device, superblock)) spread_unknown_ground(device);
  }
}

void Ground::order() {
  for (const auto& [device, superblock] : superblocks_) measure(device);
  place_unknown_ground();
}

std::optional<Layers> Ground::layers(const Mount& mount) const {
  const auto known = layers_.find(mount.device);
  return known != layers_.end() ? std::optional(known->second) : layers_of(mount);
}

void Ground::connect() {
  for (auto& [device, superblock] : superblocks_) {
    if (const auto found = layers(superblock.first())) {
      for (const std::string& path : found->paths) lay(device, table_.resolve(path));
    }
    const auto stack = stacks_.find(device);
    if (stack == stacks_.end()) continue;
    for (const dev_t below : stack->second.backing_devices) {
      const auto found = superblocks_.find(below);
      if (found != superblocks_.end()) lay(device, &found->second.first());
    }
    for (const std::string& file : stack->second.backing_files) lay(device, table_.resolve(file));
  }
}

void Ground::lay(dev_t device, const Mount* below) {
  if (below == nullptr || below->device == device) return;
  superblocks_[device].lies_on.insert(below->device);
  superblocks_[below->device].carries.insert(device);
}

bool Ground::has_unknown_ground(dev_t device, const Superblock& superblock) const {
  const Mount& mount = superblock.first();
  if (const auto found = layers(mount)) return superblock.lies_on.empty() || !found->told;
  if (!has_volume(mount)) return !is_in_memory(mount.type);
  constexpr std::array<std::string_view, 4> kOtherDevices = {"logdev", "rtdev", "jdev", "journal_path"};
  const auto stack = stacks_.find(device);
  return stack == stacks_.end() || stack->second.ground_unknown ||
         std::any_of(kOtherDevices.begin(), kOtherDevices.end(),
                     [&](std::string_view option) { return mount.has_super_option(option); });
}

void Ground::spread_unknown_ground(dev_t device) {
  Superblock& superblock = superblocks_[device];
  if (std::exchange(superblock.ground_unknown, true)) return;
  for (const dev_t above : superblock.carries) spread_unknown_ground(above);
}

std::set<dev_t> Ground::all_below(dev_t device) const {
  std::set<dev_t> below;
  std::vector<dev_t> next = {device};
  while (!next.empty()) {
    const dev_t at = next.back();
    next.pop_back();
    for (const dev_t under : superblocks_.at(at).lies_on) {
      if (under != device && below.insert(under).second) next.push_back(under);
    }
  }
  return below;
}

std::optional<UntoldWrites> Ground::untold(dev_t device) const {
  std::set<dev_t> all = all_below(device);
  all.insert(device);
  for (const dev_t at : all) {
    const Mount& mount = superblocks_.at(at).first();
    const auto stack = stacks_.find(at);
    auto found = untold_writes(mount, layers(mount), stack != stacks_.end() ? &stack->second : nullptr);
    if (found) return found;
  }
  return std::nullopt;
}

int Ground::measure(dev_t device) {
  Superblock& superblock = superblocks_[device];
  if (!superblock.height) {
    superblock.height = 0;  // Also ends the recursion, should a table ever be circular.
    int highest = 0;
    for (const dev_t above : superblock.carries) {
      const int step = has_volume(superblocks_[above].first()) ? 1 : 0;  // An overlay is not frozen itself.
      highest = std::max(highest, measure(above) + step);
    }
    superblock.height = highest;
  }
  return *superblock.height;
}

/// Each of unknown ground may lie on any other one, so each has a place of its own: after what it carries, and else
/// the latest mount first.
void Ground::place_unknown_ground() {
  std::set<dev_t> left;
  for (const auto& [device, superblock] : superblocks_) {
    if (superblock.ground_unknown) left.insert(device);
  }
  const auto rank = [&](dev_t device) {
    const Superblock& superblock = superblocks_.at(device);
    const bool carries = std::any_of(superblock.carries.begin(), superblock.carries.end(),
                                     [&](dev_t above) { return left.contains(above); });
    return std::tuple(!carries, !has_volume(superblock.first()), &superblock.first());
  };
  for (int place = 0; !left.empty(); ++place) {
    const auto next = std::max_element(left.begin(), left.end(), [&](dev_t a, dev_t b) { return rank(a) < rank(b); });
    superblocks_.at(*next).place = place;
    left.erase(next);
  }
}

int Ground::rank(const Superblock& superblock) const {
  return superblock.ground_unknown ? superblock.place : *superblock.height + static_cast<int>(superblocks_.size());
}

}  // namespace dlm_freeze
