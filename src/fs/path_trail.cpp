// SPDX-License-Identifier: Apache-2.0
#include "fs/path_trail.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <optional>
#include <system_error>

#include "fs/filesystem_type.hpp"

namespace dlm_freeze {
namespace {

namespace stdfs = std::filesystem;

constexpr int kMostLayers = 8;  // The kernel stacks two.

bool may_hang_itself(const MountTable& table, const Mount& mount, int depth) {
  if (&mount == table.root()) return false;
  if (may_hang(mount.type)) return true;
  const auto layers = depth > 0 ? layers_of(mount) : std::nullopt;
  if (!layers) return false;
  return std::any_of(layers->paths.begin(), layers->paths.end(), [&](const std::string& path) {
    const Mount* below = table.resolve(path);
    return below != nullptr && below != &mount && may_hang_itself(table, *below, depth - 1);
  });
}

Trail ended(Trail::End end, const std::string& followed, std::string_view rest) {
  std::string path = (stdfs::path(followed) / rest).lexically_normal();
  if (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return {end, std::move(path)};
}

/// What lies at a path that has no links above it.
struct Step {
  Trail::End end = Trail::End::found;
  std::optional<std::string> target = std::nullopt;  ///< Of a symbolic link.
};

Step look_at(const MountTable& table, const std::string& path) {
  const Mount* mount = table.resolve(path);
  const bool leads_astray =
      mount != nullptr && (mount->type == "proc" || mount->type == "autofs" || may_hang(table, *mount));
  if (leads_astray) return {Trail::End::untold};
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) {
    const bool is_absent = errno == ENOENT || errno == ENOTDIR;
    return {is_absent ? Trail::End::absent : Trail::End::untold};
  }
  if (!S_ISLNK(info.st_mode)) return {Trail::End::found};
  std::error_code error;
  const std::string target = stdfs::read_symlink(path, error);
  if (error) return {Trail::End::untold};
  return {Trail::End::found, target};
}

}  // namespace

bool may_hang(const MountTable& table, const Mount& mount) {
  const auto above = table.ancestors(mount);
  return may_hang_itself(table, mount, kMostLayers) ||
         std::any_of(above.begin(), above.end(),
                     [&](const Mount* ancestor) { return may_hang_itself(table, *ancestor, kMostLayers); });
}

Trail follow(const MountTable& table, std::string_view path) {
  if (!path.starts_with('/')) return {Trail::End::untold, std::string(path)};
  constexpr int kMostLinks = 40;  // MAXSYMLINKS in include/linux/namei.h.
  int links = 0;
  std::string followed;  // Empty for the root.
  std::string rest(path);
  for (;;) {
    rest.erase(0, std::min(rest.find_first_not_of('/'), rest.size()));
    if (rest.empty()) return {Trail::End::found, followed.empty() ? "/" : followed};
    const std::string name = rest.substr(0, rest.find('/'));
    rest.erase(0, name.size() + 1);
    if (name == ".") continue;
    if (name == "..") {
      followed.resize(followed.empty() ? 0 : followed.rfind('/'));
      continue;
    }
    const std::string next = followed + "/" + name;
    const Step step = look_at(table, next);
    if (step.end != Trail::End::found) return ended(step.end, next, rest);
    if (!step.target) {
      followed = next;
      continue;
    }
    if (++links > kMostLinks) return ended(Trail::End::untold, next, rest);
    if (step.target->starts_with('/')) followed.clear();
    rest = *step.target + "/" + rest;
  }
}

}  // namespace dlm_freeze
