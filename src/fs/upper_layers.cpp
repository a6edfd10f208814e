// SPDX-License-Identifier: Apache-2.0
#include "fs/upper_layers.hpp"

#include <sys/stat.h>
#include <sys/statfs.h>

#include <array>
#include <optional>
#include <utility>

#include "fs/filesystem_type.hpp"
#include "fs/path_trail.hpp"

namespace dlm_freeze {
namespace {

using Numbers = std::array<long long, 4>;

/// Of a filesystem, as statfs(2) has it: its size and what is free.
std::optional<Numbers> space_of(const std::string& path) {
  struct statfs info {};
  if (::statfs(path.c_str(), &info) != 0) return std::nullopt;
  return Numbers{static_cast<long long>(info.f_bsize), static_cast<long long>(info.f_blocks),
                 static_cast<long long>(info.f_bfree), static_cast<long long>(info.f_ffree)};
}

/// Of a directory: when it was last changed.
std::optional<Numbers> times_of(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return std::nullopt;
  return Numbers{info.st_mtim.tv_sec, info.st_mtim.tv_nsec, info.st_ctim.tv_sec, info.st_ctim.tv_nsec};
}

/// Whether `look` sees the same at both, also where that changes all the time. What differs counts when it has stood
/// still: a directory that comes and goes makes two numbers take turns.
template <typename Look>
bool are_the_same(Look look, const std::string& one, const std::string& other) {
  constexpr int kTries = 100;
  constexpr int kStill = 5;
  auto last = std::pair(look(one), look(other));
  for (int tries = 0, still = 0; tries < kTries && still < kStill; ++tries) {
    if (!last.first || !last.second) return false;
    if (last.first == last.second) return true;
    auto now = std::pair(look(one), look(other));
    still = now == last ? still + 1 : 0;
    last = std::move(now);
  }
  return false;
}

}  // namespace

UpperLayers::UpperLayers(const MountTable& table) : table_(table) {
  for (const Mount& mount : table.mounts()) {
    const bool is_stacked = layers_of(mount).has_value();
    if ((!is_stacked && !has_volume(mount)) || roots_.contains(mount.device)) continue;
    if ((is_stacked && mount.root != "/") || !table.is_visible(mount) || may_hang(table, mount)) continue;
    roots_.emplace(mount.device, &mount);
  }
}

bool UpperLayers::is_of(dev_t overlay, const std::string& path) const {
  const auto root = roots_.find(overlay);
  const Mount* below = table_.resolve(path);
  if (root == roots_.end() || below == nullptr) return false;
  const std::string& top = root->second->mount_point;
  return are_the_same(times_of, path, top) && are_the_same(space_of, path, top) && !has_a_twin(*below, path);
}

// Whatever may be frozen is among `roots_`: were one of those what the overlay really lies on, it would have as much
// free as the overlay, and so as much as what is at `path`.
bool UpperLayers::has_a_twin(const Mount& below, const std::string& path) const {
  for (const auto& [device, mount] : roots_) {
    if (device == below.device || mount->type != below.type) continue;
    if (are_the_same(space_of, path, mount->mount_point)) return true;
  }
  return false;
}

}  // namespace dlm_freeze
