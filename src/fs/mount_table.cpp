// SPDX-License-Identifier: Apache-2.0
#include "fs/mount_table.hpp"

#include <fcntl.h>
#include <libmount/libmount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <iterator>
#include <map>
#include <memory>
#include <string_view>
#include <utility>

#include "base/text.hpp"
#include "dlm_freeze/base/files.hpp"
#include "dlm_freeze/base/unique_fd.hpp"

namespace dlm_freeze {
namespace {

struct TableDeleter {
  void operator()(libmnt_table* table) const { mnt_unref_table(table); }
};
struct IteratorDeleter {
  void operator()(libmnt_iter* iterator) const { mnt_free_iter(iterator); }
};

struct FileCloser {
  void operator()(FILE* file) const { ::fclose(file); }
};

std::string text_or_empty(const char* text) { return text != nullptr ? text : ""; }

Mount to_mount(libmnt_fs* entry) {
  return {
      .id = mnt_fs_get_id(entry),
      .parent_id = mnt_fs_get_parent_id(entry),
      .device = mnt_fs_get_devno(entry),
      .root = text_or_empty(mnt_fs_get_root(entry)),
      .mount_point = text_or_empty(mnt_fs_get_target(entry)),
      .type = text_or_empty(mnt_fs_get_fstype(entry)),
      .source = text_or_empty(mnt_fs_get_source(entry)),
      .options = text_or_empty(mnt_fs_get_vfs_options(entry)),
      .super_options = text_or_empty(mnt_fs_get_fs_options(entry)),
  };
}

/// Without the kernel's escapes of a blank, a comma, a backslash...: three octal digits after a backslash.
std::string unescaped(std::string_view text) {
  const auto is_octal = [](char digit) { return digit >= '0' && digit <= '7'; };
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size() && is_octal(text[i + 1]) && is_octal(text[i + 2]) &&
        is_octal(text[i + 3])) {
      plain += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
      i += 3;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

/// Without the backslashes before colons, commas and backslashes in the options of a mount (mount(8)).
std::string without_backslashes(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size()) ++i;
    plain += text[i];
  }
  return plain;
}

/// A path as the table prints it. Some options are printed as they were given, with the backslashes of that, and others
/// without: both readings count.
std::vector<std::string> readings_of(std::string_view printed) {
  std::vector<std::string> readings = {unescaped(printed)};
  if (readings.back().find('\\') != std::string::npos) readings.push_back(without_backslashes(readings.back()));
  return readings;
}

/// Adds the layers of one `lowerdir`. A colon within a path is printed as \072 or, as it was given, as \134 and a
/// colon.
void add_lower_layers(std::string_view value, std::vector<std::vector<std::string>>& layers) {
  constexpr std::string_view kBackslash = "\\134";
  std::string joined;
  std::vector<std::string> readings;
  for (const std::string_view piece : split(value, ':')) {
    if (piece.empty() && joined.empty()) continue;  // Of "lower::data".
    joined += piece;
    for (const auto& text : {std::string(piece), joined}) {
      for (std::string& reading : readings_of(text)) readings.push_back(std::move(reading));
    }
    if (joined.ends_with(kBackslash)) {
      joined += ':';
    } else {
      layers.push_back(std::exchange(readings, {}));
      joined.clear();
    }
  }
}

Layers overlay_layers(const Mount& mount) {
  Layers layers;
  for (const std::string_view option : split(mount.super_options, ',')) {
    const std::size_t equals = option.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string_view name = option.substr(0, equals);
    const std::string_view value = option.substr(equals + 1);
    if (name == "upperdir" && value.starts_with('/')) layers.upper = without_backslashes(unescaped(value));
    if (name == "upperdir" || name == "workdir" || name == "lowerdir+" || name == "datadir+") {
      layers.readings.push_back(readings_of(value));
    } else if (name == "lowerdir") {
      add_lower_layers(value, layers.readings);
    }
  }
  layers.told = !layers.readings.empty();
  for (const auto& readings : layers.readings) {
    const std::size_t before = layers.paths.size();
    std::copy_if(readings.begin(), readings.end(), std::back_inserter(layers.paths),
                 [](const std::string& path) { return path.starts_with('/'); });
    layers.told = layers.told && layers.paths.size() > before;
  }
  return layers;
}

/// The super options without the name that ends those of a btrfs, in which many kernels leave a comma as it is.
std::string_view without_subvolume(const Mount& mount) {
  const std::string_view options = mount.super_options;
  return mount.type == "btrfs" ? options.substr(0, options.find(",subvol=")) : options;
}

/// The super options as they stand in the table, by the id of the mount: libmount undoes their escapes, after which a
/// comma or a colon in a path cannot be told from one that separates.
std::map<int, std::string> raw_super_options(std::string_view text) {
  std::map<int, std::string> options;
  for (const std::string_view line : split(text, '\n')) {
    const std::size_t separator = line.find(" - ");
    int id = 0;
    if (separator == std::string_view::npos ||
        std::from_chars(line.data(), line.data() + line.size(), id).ec != std::errc()) {
      continue;
    }
    options[id] = trimmed(line.substr(line.find_last_of(' ', line.find_last_not_of(' ')) + 1));
  }
  return options;
}

}  // namespace

bool lies_within(std::string_view path, std::string_view directory) {
  if (directory == "/") return path.starts_with('/');
  return path.starts_with(directory) && (path.size() == directory.size() || path[directory.size()] == '/');
}

// The kernel prints ro or rw first (show_mountinfo in fs/proc_namespace.c); what follows may contain names of any kind.
bool Mount::is_read_only() const { return split(super_options, ',').front() == "ro"; }

bool Mount::is_meant_for_writing() const { return split(options, ',').front() == "rw"; }

bool Mount::has_super_option(std::string_view name) const {
  const auto options_of_it = split(without_subvolume(*this), ',');
  return std::any_of(options_of_it.begin(), options_of_it.end(),
                     [&](std::string_view option) { return option.substr(0, option.find('=')) == name; });
}

std::optional<std::string> Mount::super_option(std::string_view name) const {
  for (const std::string_view option : split(without_subvolume(*this), ',')) {
    const std::size_t equals = option.find('=');
    if (equals != std::string_view::npos && option.substr(0, equals) == name)
      return unescaped(option.substr(equals + 1));
  }
  return std::nullopt;
}

std::optional<Layers> layers_of(const Mount& mount) {
  if (mount.type == "overlay" || mount.type == "overlayfs") {
    Layers layers = overlay_layers(mount);
    std::sort(layers.paths.begin(), layers.paths.end());
    layers.paths.erase(std::unique(layers.paths.begin(), layers.paths.end()), layers.paths.end());
    return layers;
  }
  const bool on_its_source = mount.type == "ecryptfs" || mount.type == "shiftfs";
  const bool on_a_file = mount.type == "erofs" && major(mount.device) == 0;
  if (on_its_source || on_a_file) {
    Layers layers;
    layers.told = mount.source.starts_with('/');
    if (layers.told) layers.paths.push_back(mount.source);
    if (layers.told) layers.readings.push_back({mount.source});
    if (on_its_source && !layers.paths.empty()) layers.upper = mount.source;
    return layers;
  }
  if (mount.type == "aufs" || mount.type == "unionfs" || mount.type == "wrapfs") return Layers{{}, {}, false, {}};
  return std::nullopt;
}

Result<MountTable> MountTable::read() { return read("/proc/self/mountinfo", mount_id_of("/")); }

Result<MountTable> MountTable::read(const std::string& path, std::optional<int> root) {
  auto text = read_file(path);
  if (!text) return tl::unexpected(text.error().with_context("cannot read the mount table"));
  auto table = parse(*text, root);
  if (!table) return tl::unexpected(table.error().with_context(path));
  return table;
}

Result<MountTable> MountTable::parse(const std::string& text, std::optional<int> root) {
  if (text.empty()) return MountTable({}, root);
  const std::unique_ptr<libmnt_table, TableDeleter> table(mnt_new_table());
  const std::unique_ptr<libmnt_iter, IteratorDeleter> iterator(mnt_new_iter(MNT_ITER_FORWARD));
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-const-cast): opened for reading, which fmemopen(3) does in place.
  const std::unique_ptr<FILE, FileCloser> stream(::fmemopen(const_cast<char*>(text.data()), text.size(), "r"));
  if (!table || !iterator || !stream) return system_failure("cannot read a mount table", ENOMEM);
  // A name would be looked up, in the working directory.
  if (const int error = mnt_table_parse_stream(table.get(), stream.get(), ""); error != 0) {
    return system_failure("cannot read the mount table", error < 0 ? -error : EINVAL);
  }
  const auto super_options = raw_super_options(text);
  std::vector<Mount> mounts;
  mounts.reserve(super_options.size());
  libmnt_fs* entry = nullptr;
  while (mnt_table_next_fs(table.get(), iterator.get(), &entry) == 0) {
    mounts.push_back(to_mount(entry));
    if (const auto raw = super_options.find(mounts.back().id); raw != super_options.end()) {
      mounts.back().super_options = raw->second;
    }
  }
  return MountTable(std::move(mounts), root);
}

MountTable::MountTable(std::vector<Mount> mounts, std::optional<int> root)
    : mounts_(std::move(mounts)), children_(mounts_.size()), root_is_told_(root.has_value()) {
  for (std::size_t i = 0; i < mounts_.size(); ++i) by_id_.push_back(i);
  std::sort(by_id_.begin(), by_id_.end(), [&](std::size_t a, std::size_t b) { return mounts_[a].id < mounts_[b].id; });
  std::vector<const Mount*> roots;
  for (std::size_t i = 0; i < mounts_.size(); ++i) {
    const Mount* parent = find(mounts_[i].parent_id);
    if (parent != nullptr && parent != &mounts_[i]) {
      children_[static_cast<std::size_t>(parent - mounts_.data())].push_back(i);
    } else if (mounts_[i].mount_point == "/") {
      roots.push_back(&mounts_[i]);
    } else if (parent == nullptr) {
      orphans_.push_back(i);
    }
  }
  const auto by_mount_point = [&](std::size_t a, std::size_t b) {
    return mounts_[a].mount_point < mounts_[b].mount_point;
  };
  for (auto& siblings : children_) std::sort(siblings.begin(), siblings.end(), by_mount_point);
  std::sort(orphans_.begin(), orphans_.end(), by_mount_point);
  if (root) {
    root_ = find(*root);
  } else if (!roots.empty()) {
    root_ = roots.back();
  }
}

const Mount* MountTable::find(int id) const {
  const auto at = std::lower_bound(by_id_.begin(), by_id_.end(), id,
                                   [&](std::size_t position, int wanted) { return mounts_[position].id < wanted; });
  return at != by_id_.end() && mounts_[*at].id == id ? &mounts_[*at] : nullptr;
}

const Mount* MountTable::resolve(std::string_view path) const {
  const Mount* at = root_;
  // Walks down the path one component at a time and, at each, steps onto what is mounted there, as often as
  // something is mounted on top of that again.
  std::size_t end = 1;
  for (;;) {
    const std::string_view prefix = path.substr(0, end);
    // Not at the root: the kernel begins on the mount that the process has as its root, whatever is mounted over it.
    for (bool stepped = end > 1 || !root_is_told_; stepped;) {
      const auto& children = at == nullptr ? orphans_ : children_[static_cast<std::size_t>(at - mounts_.data())];
      const auto child = std::lower_bound(
          children.begin(), children.end(), prefix,
          [&](std::size_t position, std::string_view wanted) { return mounts_[position].mount_point < wanted; });
      stepped = child != children.end() && mounts_[*child].mount_point == prefix;
      if (stepped) at = &mounts_[*child];
    }
    if (end >= path.size()) return at;
    const std::size_t slash = path.find('/', end + 1);
    end = slash == std::string_view::npos ? path.size() : slash;
  }
}

std::vector<const Mount*> MountTable::ancestors(const Mount& mount) const {
  std::vector<const Mount*> above;
  const Mount* at = &mount;
  while (above.size() < mounts_.size()) {
    const Mount* parent = find(at->parent_id);
    if (parent == nullptr || parent == at) break;
    above.push_back(parent);
    at = parent;
  }
  return above;
}

std::optional<int> mount_id_of(const std::string& directory) {
  const UniqueFd fd(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  const auto id = fd ? mount_id_of(fd.get()) : Result<int>(failure("not open"));
  return id ? std::optional(*id) : std::nullopt;
}

Result<UniqueFd> open_mount(const Mount& mount) {
  UniqueFd fd(::open(mount.mount_point.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd) return system_failure("cannot open " + mount.mount_point, errno);
  const auto id = mount_id_of(fd.get());
  if (!id) return tl::unexpected(id.error());
  if (*id != mount.id)
    return tl::unexpected(Error{ErrorKind::failed, mount.mount_point + " is another mount by now", ESTALE});
  return fd;
}

Result<int> mount_id_of(int fd) {
  struct statx file {};
  // QEMU's emulation of Linux passes the mask on, and leaves the id 0.
  const bool is_told = ::statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_MNT_ID, &file) == 0 &&
                       (file.stx_mask & STATX_MNT_ID) != 0 && file.stx_mnt_id != 0;
  return is_told ? static_cast<int>(file.stx_mnt_id) : mount_id_without_asking(fd);
}

Result<int> mount_id_without_asking(int fd) {
  const std::string path = "/proc/self/fdinfo/" + std::to_string(fd);
  const auto info = read_file(path);
  if (!info) return tl::unexpected(info.error());
  constexpr std::string_view kKey = "mnt_id:";
  const std::size_t key = info->find(kKey);
  const std::size_t digits = key == std::string::npos ? key : info->find_first_not_of(" \t", key + kKey.size());
  int id = 0;
  if (digits == std::string::npos ||
      std::from_chars(info->data() + digits, info->data() + info->size(), id).ec != std::errc()) {
    return failure(path + " has no mnt_id");
  }
  return id;
}

}  // namespace dlm_freeze
