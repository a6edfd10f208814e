// SPDX-License-Identifier: Apache-2.0
#include "fs/unseen.hpp"

#include <fcntl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <map>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/container_name.hpp"
#include "base/directory.hpp"
#include "base/text.hpp"
#include "dlm_freeze/base/files.hpp"
#include "fs/attached_disks.hpp"
#include "fs/elsewhere.hpp"
#include "fs/filesystem_type.hpp"
#include "fs/sysfs.hpp"

namespace dlm_freeze {
namespace {

namespace stdfs = std::filesystem;

/// How many tables are kept open, so that they can be read when the process has ended. The limit on descriptors may be
/// 1,024.
constexpr std::size_t kMostOpenTables = 256;
/// How many mounts of one filesystem are kept to open it by; of more, only those at mount points of their own.
constexpr std::size_t kMostMounts = 16;

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

std::string namespace_of(int proc, const std::string& process) {
  std::array<char, 64> target{};
  const ssize_t length = ::readlinkat(proc, (process + "/ns/mnt").c_str(), target.data(), target.size());
  return length > 0 ? std::string(target.data(), static_cast<std::size_t>(length)) : std::string();
}

/// The mounts of the table `text` whose superblocks are not among `known`.
std::vector<Mount> mounts_besides(const std::set<dev_t>& known, std::string_view text) {
  std::string lines;
  for (const std::string_view line : split(text, '\n')) {
    std::string_view rest = line;
    static_cast<void>(next_word(rest));
    static_cast<void>(next_word(rest));
    const std::string_view device = next_word(rest);
    if (!device.empty() && !known.contains(device_from(device))) lines += std::string(line) + "\n";
  }
  const auto found = lines.empty() ? MountTable({}) : MountTable::parse(lines);
  return found ? found->mounts() : std::vector<Mount>();
}

std::set<dev_t> devices_in(const MountTable& table) {
  std::set<dev_t> devices;
  for (const Mount& mount : table.mounts()) devices.insert(mount.device);
  return devices;
}

/// Whether somebody has a device to himself: the kernel for a filesystem, or a program.
bool is_taken(const std::string& node) {
  // Without waiting for a medium; and udev does not look at what was opened for reading only. Another program that
  // looks in the same way may be in the way, for a moment.
  for (int attempt = 0; attempt < 2; ++attempt) {
    if (UniqueFd(::open(node.c_str(), O_RDONLY | O_EXCL | O_NONBLOCK | O_CLOEXEC)) || errno != EBUSY) return false;
  }
  return true;
}

}  // namespace

/// One search.
class UnseenSearch::Look {
 public:
  /// A thorough one also asks how to reach what it finds.
  Look(UnseenSearch& search, const MountTable& table, std::set<dev_t> known, bool is_thorough)
      : search_(search), roots_(search.roots_), here_(table), known_(std::move(known)), is_thorough_(is_thorough) {
    known_.merge(devices_in(table));
  }

  void note_devices(const BlockStacks& stacks) {
    for (const auto& [device, stack] : stacks) {
      if (major(device) == 0 && is_fuse(device)) continue;  // Whose source is whatever its user has written there.
      devices_.insert(stack.devices.begin(), stack.devices.end());
      devices_.insert(stack.other_devices.begin(), stack.other_devices.end());
      all_devices_known_ = all_devices_known_ && (major(device) != 0 || !stack.devices.empty());
    }
  }

  void look_into_processes(Deadline deadline) {
    const DirectoryStream proc(::opendir(roots_.proc.c_str()));
    if (!proc) return;
    note_namespace(namespace_of(::dirfd(proc.get()), "self"));
    first_namespace_ = namespace_of(::dirfd(proc.get()), "1");
    for (const dirent* entry = ::readdir(proc.get()); entry != nullptr; entry = ::readdir(proc.get())) {
      const std::string process = entry->d_name;
      if (std::isdigit(static_cast<unsigned char>(process.front())) == 0) continue;
      if (deadline.expired()) return note_incomplete();
      if (search_.processes_.insert(process).second) look_into(::dirfd(proc.get()), process);
    }
  }

  /// What all that was found lies on: the file of an image may be in one namespace, and what is in it in another.
  void look_below() {
    std::vector<Mount> found;
    for (const UnseenFilesystem& one : unseen_.filesystems) found.push_back(one.mount());
    if (found.empty()) return;
    unseen_.stacks = read_block_stacks(MountTable(std::move(found)), roots_, &here_);
    note_devices(unseen_.stacks);
  }

  /// What is left: mounted in a namespace that is held by a file alone, or unmounted while in use.
  void look_into_sysfs() {
    if (!unseen_.complete) return;  // It may be in a namespace that was not looked into.
    const stdfs::path fs = stdfs::path(roots_.sys) / "fs";
    for (const char* type : {"ext4", "xfs", "f2fs"}) {
      for (const std::string& device : names_in(fs / type)) report({device}, type);
    }
    for (const std::string& id : names_in(fs / "btrfs")) report(names_in(fs / "btrfs" / id / "devices"), "btrfs");
    look_at_devices();
  }

  /// `seen` has all that is the same for each of the mounts. `text` is the whole table, if it matters what else is in
  /// it.
  void report_mounts(const std::vector<Mount>& mounts, const MountElsewhere& seen, const std::string& text) {
    const auto whole = text.empty() ? Result<MountTable>(MountTable({})) : MountTable::parse(text);
    for (const Mount& mount : mounts) {
      if (!has_volume(mount)) continue;
      const auto [found, is_new] = positions_.emplace(mount.device, unseen_.filesystems.size());
      if (is_new) unseen_.filesystems.emplace_back();
      std::vector<MountElsewhere>& all = unseen_.filesystems[found->second].mounts;
      const bool is_known = std::any_of(all.begin(), all.end(), [&](const MountElsewhere& other) {
        return other.mount.mount_point == mount.mount_point;
      });
      if (is_known && all.size() >= kMostMounts) continue;
      all.push_back(seen);
      all.back().mount = mount;
      const Mount* in_table = whole ? whole->find(mount.id) : nullptr;
      if (in_table != nullptr && seen.obstacle.empty()) all.back().obstacle = obstacle_to(*whole, *in_table);
    }
  }

  void note_incomplete() { unseen_.complete = false; }

  Unseen take() {
    // Who looks at it later would take a read-only one for new.
    std::erase_if(unseen_.filesystems, [](const UnseenFilesystem& one) {
      return std::all_of(one.mounts.begin(), one.mounts.end(), [](const MountElsewhere& elsewhere) {
        return elsewhere.mount.is_read_only() && !was_made_read_only(elsewhere.mount);
      });
    });
    return std::move(unseen_);
  }

 private:
  [[nodiscard]] bool is_fuse(dev_t device) const {
    const auto is_it = [&](const Mount& mount) { return mount.device == device && mount.type.starts_with("fuse"); };
    const auto& unseen = unseen_.filesystems;
    return std::any_of(here_.mounts().begin(), here_.mounts().end(), is_it) ||
           std::any_of(unseen.begin(), unseen.end(), [&](const auto& one) { return is_it(one.mount()); });
  }

  void look_into(int proc, const std::string& process) {
    const std::string name = namespace_of(proc, process);
    if (!name.empty() && search_.namespaces_.contains(name)) return;
    UniqueFd file(::openat(proc, (process + "/mountinfo").c_str(), O_RDONLY | O_CLOEXEC));
    const auto text = read_from_start(file.get());
    if (!text || text->empty()) return;  // It is ending; another one of its namespace may follow.
    // Where the namespace may not be asked for, the id of its first mount tells it.
    note_namespace(name.empty() ? text->substr(0, text->find(' ')) : name);
    const auto words = read_file_at(proc, process + "/comm");
    const std::string command = words ? std::string(trimmed(*words)) : std::string("?");
    const int number = std::atoi(process.c_str());
    const std::vector<Mount> found = mounts_besides(known_, *text);
    if (std::any_of(found.begin(), found.end(), has_volume)) {
      MountElsewhere seen{.mount = {}, .process = number, .command = command, .name_space = name};
      if (is_thorough_) describe(proc, seen);
      report_mounts(found, seen, is_thorough_ ? *text : std::string());
    }
    if (search_.tables_.size() >= kMostOpenTables) file.reset();
    search_.tables_.push_back({std::move(file), *text, number, command});
  }

  /// What it takes to reach the mounts of a process.
  void describe(int proc, MountElsewhere& seen) const {
    const auto cgroups = read_file_at(proc, std::to_string(seen.process) + "/cgroup");
    const auto container = cgroups ? parse_container_name(*cgroups) : std::nullopt;
    if (container) seen.container = container->text();
    seen.is_of_first = !first_namespace_.empty() && seen.name_space == first_namespace_;
    seen.obstacle = obstacle_to_namespace_of(proc, seen.process);
  }

  void note_namespace(const std::string& name) {
    if (!name.empty()) search_.namespaces_.insert(name);
  }

  void report(const std::vector<std::string>& devices, const std::string& type, bool is_only_taken = false) {
    if (std::any_of(devices.begin(), devices.end(), [&](const std::string& name) { return devices_.contains(name); }))
      return;
    devices_.insert(devices.begin(), devices.end());
    for (const std::string& name : devices) {
      const auto number = sysfs_attribute(class_of(name) / "dev");
      if (!number) continue;  // A directory for something else.
      if (positions_.contains(device_from(*number)) || !known_.insert(device_from(*number)).second) return;
      Mount mount;
      mount.device = device_from(*number);
      mount.type = type;
      mount.source = "/dev/" + name;
      mount.super_options = "rw";
      unseen_.filesystems.push_back({{MountElsewhere{.mount = std::move(mount)}}, is_only_taken});
      return;
    }
  }

  /// Of other types of filesystems, sysfs knows nothing: but nobody else can open the device of one exclusively.
  void look_at_devices() {
    if (!all_devices_known_) return;  // It may be one of those, of a zfs for instance.
    for (const std::string& name : swap_devices(roots_)) devices_.insert(name);
    for (const std::string& name : names_in(stdfs::path(roots_.proc) / "fs" / "jbd2")) devices_.insert(name);
    for (const std::string& name : names_in(class_of(""))) {
      if (devices_.contains(name) || !may_be_taken(name)) continue;
      std::string node = name;
      std::replace(node.begin(), node.end(), '!', '/');
      if (!is_taken(roots_.dev + "/" + node)) continue;
      report({name}, "unknown", true);
    }
  }

  /// Whether it is a device that can be written to, and nothing lies on it, nor on a part of it.
  [[nodiscard]] bool may_be_taken(const std::string& name) const {
    const stdfs::path directory = class_of(name);
    const auto number = sysfs_attribute(directory / "dev");
    const dev_t device = number ? device_from(*number) : 0;
    if (is_no_volume(name) || !number || known_.contains(device) || positions_.contains(device)) return false;
    if (size_of_device(directory) == 0 || sysfs_attribute(directory / "ro") == "1") return false;
    const std::vector<std::string> inside = names_in(directory);
    return names_in(directory / "holders").empty() &&
           std::none_of(inside.begin(), inside.end(), [&](const auto& part) { return part.starts_with(name); });
  }

  [[nodiscard]] stdfs::path class_of(const std::string& name) const {
    return stdfs::path(roots_.sys) / "class" / "block" / name;
  }

  UnseenSearch& search_;
  const DeviceRoots& roots_;
  const MountTable& here_;
  std::set<dev_t> known_;
  std::map<dev_t, std::size_t> positions_;  ///< In `unseen_`, of what processes have mounted.
  std::string first_namespace_;             ///< That of process 1.
  std::set<std::string> devices_;           ///< Kernel names of those that known filesystems are on.
  bool is_thorough_;
  bool all_devices_known_ = true;
  Unseen unseen_;
};

Unseen UnseenSearch::look(const MountTable& table, const BlockStacks& stacks, const std::set<dev_t>& known,
                          BootClock::duration patience) {
  tables_.clear();
  namespaces_.clear();
  processes_.clear();
  Look look(*this, table, known, true);
  look.note_devices(stacks);
  look.look_into_processes(Deadline::in(patience));
  look.look_below();
  look.look_into_sysfs();
  return look.take();
}

std::vector<UnseenFilesystem> UnseenSearch::look_at_processes(const MountTable& table, Deadline deadline) {
  Look look(*this, table, {}, true);
  look.look_into_processes(deadline);
  return look.take().filesystems;
}

Unseen UnseenSearch::look_again(const MountTable& table, Deadline deadline) {
  const std::set<dev_t> known = devices_in(table);
  Look look(*this, table, {}, false);
  for (Table& other : tables_) {
    if (deadline.expired()) {
      look.note_incomplete();
      break;
    }
    auto text = other.file ? read_from_start(other.file.get())
                           : read_file(roots_.proc + "/" + std::to_string(other.process) + "/mountinfo");
    if (!text) look.note_incomplete();
    if (!text || *text == other.text) continue;
    other.text = std::move(*text);
    const MountElsewhere seen{.mount = {}, .process = other.process, .command = other.command};
    look.report_mounts(mounts_besides(known, other.text), seen, {});
  }
  return look.take();
}

Unseen UnseenSearch::look_again_and_at_newcomers(const MountTable& table, Deadline deadline) {
  Unseen all = look_again(table, deadline);
  Look look(*this, table, {}, false);
  look.look_into_processes(deadline);
  Unseen found = look.take();
  std::move(found.filesystems.begin(), found.filesystems.end(), std::back_inserter(all.filesystems));
  all.complete = all.complete && found.complete;
  return all;
}

}  // namespace dlm_freeze
