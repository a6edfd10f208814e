// SPDX-License-Identifier: Apache-2.0
#include "fs/host_facts.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/directory.hpp"
#include "base/text.hpp"
#include "dlm_freeze/base/files.hpp"
#include "dlm_freeze/base/unique_fd.hpp"
#include "fs/filesystem_type.hpp"
#include "fs/path_trail.hpp"
#include "fs/upper_layers.hpp"

namespace dlm_freeze {
namespace {

namespace stdfs = std::filesystem;

struct DirectoryCloser {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

/// "259:1" as a number; 0 for anything else.
dev_t device_from(std::string_view text) {
  unsigned major_number = 0;
  unsigned minor_number = 0;
  const char* end = text.data() + text.size();
  const auto [colon, failed] = std::from_chars(text.data(), end, major_number);
  if (failed != std::errc() || colon == end || *colon != ':') return 0;
  if (std::from_chars(colon + 1, end, minor_number).ec != std::errc()) return 0;
  return makedev(major_number, minor_number);
}

class Search {
 public:
  Search(const MountTable& table, const BlockStacks& stacks, std::set<dev_t> known, Deadline deadline,
         const DeviceRoots& roots)
      : here_(table), known_(std::move(known)), deadline_(deadline), roots_(roots) {
    for (const Mount& mount : table.mounts()) known_.insert(mount.device);
    note_devices(stacks);
  }

  Unseen run() {
    look_into_processes();
    look_into_sysfs();
    return std::move(unseen_);
  }

 private:
  void note_devices(const BlockStacks& stacks) {
    for (const auto& [device, stack] : stacks) devices_.insert(stack.devices.begin(), stack.devices.end());
  }

  void look_into_processes() {
    const std::unique_ptr<DIR, DirectoryCloser> proc(::opendir(roots_.proc.c_str()));
    if (!proc) return;
    note_namespace(namespace_of(::dirfd(proc.get()), "self"));
    for (const dirent* entry = ::readdir(proc.get()); entry != nullptr; entry = ::readdir(proc.get())) {
      const std::string process = entry->d_name;
      if (std::isdigit(static_cast<unsigned char>(process.front())) == 0) continue;
      if (deadline_.expired()) {
        unseen_.complete = false;
        return;
      }
      look_into(::dirfd(proc.get()), process);
    }
  }

  void look_into(int proc, const std::string& process) {
    const std::string name = namespace_of(proc, process);
    if (!name.empty() && namespaces_.contains(name)) return;
    const auto text = read_file_at(proc, process + "/mountinfo");
    if (!text || text->empty()) return;  // It is ending; another one of its namespace may follow.
    // Where the namespace may not be asked for, the id of its first mount tells it.
    note_namespace(name.empty() ? text->substr(0, text->find(' ')) : name);
    std::string lines;
    for (const std::string_view line : split(*text, '\n')) {
      std::string_view rest = line;
      static_cast<void>(next_word(rest));
      static_cast<void>(next_word(rest));
      const std::string_view device = next_word(rest);
      if (!device.empty() && !known_.contains(device_from(device))) lines += std::string(line) + "\n";
    }
    if (lines.empty()) return;
    const auto found = MountTable::parse(lines);
    if (!found) return;
    std::set<dev_t> reported;
    for (const Mount& mount : found->mounts()) {
      if (!known_.insert(mount.device).second || !has_volume(mount)) continue;
      reported.insert(mount.device);
      if (mount.is_read_only() && !was_made_read_only(mount)) continue;
      const auto command = read_file_at(proc, process + "/comm");
      unseen_.filesystems.push_back(
          {mount, std::atoi(process.c_str()), command ? std::string(trimmed(*command)) : std::string("?")});
    }
    if (!reported.empty()) note_devices(read_block_stacks(*found, roots_, &here_));
  }

  static std::string namespace_of(int proc, const std::string& process) {
    std::array<char, 64> target{};
    const ssize_t length = ::readlinkat(proc, (process + "/ns/mnt").c_str(), target.data(), target.size());
    return length > 0 ? std::string(target.data(), static_cast<std::size_t>(length)) : std::string();
  }

  void note_namespace(const std::string& name) {
    if (!name.empty()) namespaces_.insert(name);
  }

  /// What is left: mounted in a namespace that is held by a file alone, or unmounted while in use.
  void look_into_sysfs() {
    if (!unseen_.complete) return;  // It may be in a namespace that was not looked into.
    const stdfs::path fs = stdfs::path(roots_.sys) / "fs";
    for (const char* type : {"ext4", "xfs", "f2fs"}) {
      for (const std::string& device : names_in(fs / type)) report({device}, type);
    }
    for (const std::string& id : names_in(fs / "btrfs")) report(names_in(fs / "btrfs" / id / "devices"), "btrfs");
  }

  void report(const std::vector<std::string>& devices, const char* type) {
    if (std::any_of(devices.begin(), devices.end(), [&](const std::string& name) { return devices_.contains(name); }))
      return;
    for (const std::string& name : devices) {
      const auto number = read_file(roots_.sys + "/class/block/" + name + "/dev");
      if (!number) continue;  // A directory for something else.
      if (known_.contains(device_from(trimmed(*number)))) return;
      Mount mount;
      mount.device = device_from(trimmed(*number));
      mount.type = type;
      mount.source = "/dev/" + name;
      mount.super_options = "rw";
      unseen_.filesystems.push_back({std::move(mount), 0, {}});
      return;
    }
  }

  const MountTable& here_;
  std::set<dev_t> known_;
  std::set<std::string> devices_;  ///< Kernel names of those that known filesystems are on.
  std::set<std::string> namespaces_;
  Deadline deadline_;
  const DeviceRoots& roots_;
  Unseen unseen_;
};

}  // namespace

std::set<int> find_file_mounts(const MountTable& table) {
  std::set<int> files;
  for (const Mount& mount : table.mounts()) {
    if (mount.root == "/" || !has_volume(mount) || !table.is_visible(mount) || may_hang(table, mount)) continue;
    struct stat info {};
    if (::lstat(mount.mount_point.c_str(), &info) == 0 && !S_ISDIR(info.st_mode)) files.insert(mount.id);
  }
  return files;
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

Unseen find_unseen(const MountTable& table, const BlockStacks& stacks, const std::set<dev_t>& known,
                   BootClock::duration patience, const DeviceRoots& roots) {
  return Search(table, stacks, known, Deadline::in(patience), roots).run();
}

}  // namespace dlm_freeze
