// SPDX-License-Identifier: Apache-2.0
#include "fs/host_facts.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <string>
#include <utility>

#include "fs/filesystem_type.hpp"
#include "fs/path_trail.hpp"
#include "fs/upper_layers.hpp"

namespace dlm_freeze {

std::set<int> find_file_mounts(const MountTable& table) {
  std::set<int> files;
  for (const Mount& mount : table.mounts()) {
    if (mount.root == "/" || !has_volume(mount) || !table.is_visible(mount) || may_hang(table, mount)) continue;
    struct stat info {};
    if (::lstat(mount.mount_point.c_str(), &info) == 0 && !S_ISDIR(info.st_mode)) files.insert(mount.id);
  }
  return files;
}

std::map<std::string, std::string> find_system_links(const MountTable& table) {
  std::map<std::string, std::string> links;
  for (const std::string path :
       {"/boot", "/boot/efi", "/boot/grub", "/boot/grub2", "/sysroot", "/usr", "/etc", "/var"}) {
    const Trail trail = follow(table, path);
    if (trail.end == Trail::End::found && trail.path != path) links.emplace(path, trail.path);
  }
  return links;
}

std::map<dev_t, Layers> find_layers(const MountTable& table) {
  std::map<dev_t, Layers> found;
  const UpperLayers upper_layers(table);
  std::map<std::string, Trail> trails;  // Many overlays have the same layers.
  const auto trail_of = [&](const std::string& reading) -> const Trail& {
    auto known = trails.find(reading);
    if (known == trails.end()) known = trails.emplace(reading, follow(table, reading)).first;
    return known->second;
  };
  // What the last of the readings that lead to a layer is; empty where none does.
  const auto layer_at = [&](const std::vector<std::string>& readings, dev_t overlay) {
    std::string path;
    for (const std::string& reading : readings) {
      const Trail& trail = trail_of(reading);
      const Mount* below = trail.end == Trail::End::found ? table.resolve(trail.path) : nullptr;
      // What is mounted over its own layers hides them.
      if (below != nullptr && below->device != overlay) path = trail.path;
    }
    return path;
  };
  for (const Mount& mount : table.mounts()) {
    const auto printed = found.contains(mount.device) ? std::nullopt : layers_of(mount);
    if (!printed) continue;
    Layers real{printed->paths, {}, printed->told, {}};
    for (const auto& readings : printed->readings) {
      std::string path = layer_at(readings, mount.device);
      const bool is_upper = std::find(readings.begin(), readings.end(), printed->upper) != readings.end();
      if (is_upper && !path.empty() && !upper_layers.is_of(mount.device, path)) path.clear();
      real.told = real.told && !path.empty();
      if (path.empty()) continue;
      real.paths.push_back(path);
      if (is_upper) real.upper = path;
    }
    found.emplace(mount.device, std::move(real));
  }
  return found;
}

}  // namespace dlm_freeze
