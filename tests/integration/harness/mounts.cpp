// SPDX-License-Identifier: Apache-2.0
#include "mounts.hpp"

#include <sched.h>
#include <sys/mount.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <stdexcept>
#include <utility>

#include "system.hpp"

namespace dlm_freeze::integration {
namespace {

/// Undoes the kernel's escapes: blank, tab, newline and backslash are written as three octal
/// digits.
std::string unescape(const std::string& text) {
  std::string plain;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '\\' && at + 3 < text.size()) {
      plain += static_cast<char>(std::stoi(text.substr(at + 1, 3), nullptr, 8));
      at += 3;
    } else {
      plain += text[at];
    }
  }
  return plain;
}

std::set<std::string> block_device_types() {
  std::set<std::string> types;
  std::ifstream table("/proc/filesystems");
  for (std::string line; std::getline(table, line);) {
    if (line.starts_with('\t')) types.insert(line.substr(1));
  }
  return types;
}

}  // namespace

std::vector<Mount> mounts() {
  std::vector<Mount> all;
  std::ifstream table("/proc/self/mountinfo");
  for (std::string line; std::getline(table, line);) {
    std::istringstream fields(line);
    std::string parent;
    std::string root;
    Mount mount;
    fields >> mount.id >> parent >> mount.device >> root >> mount.mount_point >> mount.options;
    for (std::string optional; fields >> optional && optional != "-";) {
    }
    fields >> mount.type >> mount.source >> mount.super_options;
    mount.mount_point = unescape(mount.mount_point);
    all.push_back(std::move(mount));
  }
  return all;
}

std::optional<Mount> mount_at(const std::string& mount_point) {
  std::optional<Mount> topmost;
  for (auto& mount : mounts()) {
    if (mount.mount_point == mount_point) topmost = std::move(mount);
  }
  return topmost;
}

std::vector<Mount> enter_mount_namespace() {
  check(::unshare(CLONE_NEWNS), "unshare");
  check(::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr), "make / private");
  const auto types = block_device_types();
  const auto is_pseudo = [&](const Mount& mount) { return mount.mount_point == "/" || !types.contains(mount.type); };
  std::vector<Mount> pseudo;
  for (const auto& mount : mounts()) {
    if (is_pseudo(mount)) pseudo.push_back(mount);
  }
  unmount_all_but(pseudo);
  for (const auto& mount : mounts()) {
    if (!is_pseudo(mount)) throw std::runtime_error(mount.mount_point + " could not be unmounted");
  }
  mount_tmpfs("/run");
  std::filesystem::create_directories("/var/lib/dlm-freeze");
  mount_tmpfs("/var/lib/dlm-freeze");
  mount_tmpfs("/srv");
  return pseudo;
}

void unmount_all_but(const std::vector<Mount>& kept) {
  std::set<int> kept_ids;
  for (const auto& mount : kept) kept_ids.insert(mount.id);
  auto newest_first = mounts();
  std::ranges::reverse(newest_first);
  for (const auto& mount : newest_first) {
    if (kept_ids.contains(mount.id)) continue;
    // What hides a mount was mounted after it, so it has gone by now.
    if (::umount2(mount.mount_point.c_str(), UMOUNT_NOFOLLOW) != 0) {
      ::umount2(mount.mount_point.c_str(), UMOUNT_NOFOLLOW | MNT_DETACH);
    }
  }
}

void mount_tmpfs(const std::string& mount_point, const std::string& options) {
  std::filesystem::create_directories(mount_point);
  check(::mount("tmpfs", mount_point.c_str(), "tmpfs", 0, options.c_str()), "mount tmpfs at " + mount_point);
}

void bind_mount(const std::string& from, const std::string& to) {
  std::filesystem::create_directories(to);
  check(::mount(from.c_str(), to.c_str(), nullptr, MS_BIND, nullptr), "bind mount at " + to);
}

void unmount_lazily(const std::string& mount_point) {
  check(::umount2(mount_point.c_str(), MNT_DETACH), "umount " + mount_point);
}

}  // namespace dlm_freeze::integration
