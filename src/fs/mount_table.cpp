// SPDX-License-Identifier: Apache-2.0
#include "fs/mount_table.hpp"

#include <libmount/libmount.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <memory>
#include <string_view>
#include <utility>

#include "dlm_freeze/base/files.hpp"

namespace dlm_freeze {
namespace {

struct TableDeleter {
  void operator()(libmnt_table* table) const { mnt_unref_table(table); }
};
struct IteratorDeleter {
  void operator()(libmnt_iter* iterator) const { mnt_free_iter(iterator); }
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

/// Calls `visit` with each comma-separated piece of `list` until it returns true; whether one did.
template <typename Visit>
bool any_option(std::string_view list, Visit visit) {
  while (!list.empty()) {
    const std::size_t comma = list.find(',');
    if (visit(list.substr(0, comma))) return true;
    if (comma == std::string_view::npos) return false;
    list.remove_prefix(comma + 1);
  }
  return false;
}

}  // namespace

bool lies_within(std::string_view path, std::string_view directory) {
  if (directory == "/") return path.starts_with('/');
  return path.starts_with(directory) && (path.size() == directory.size() || path[directory.size()] == '/');
}

bool Mount::has_option(std::string_view name) const {
  const auto is_it = [&](std::string_view option) { return option == name; };
  return any_option(options, is_it) || any_option(super_options, is_it);
}

std::string_view Mount::super_option_value(std::string_view name) const {
  std::string_view value;
  any_option(super_options, [&](std::string_view option) {
    if (!option.starts_with(name) || option.size() == name.size() || option[name.size()] != '=') return false;
    value = option.substr(name.size() + 1);
    return true;
  });
  return value;
}

Result<MountTable> MountTable::read(const std::string& path) {
  const std::unique_ptr<libmnt_table, TableDeleter> table(mnt_new_table());
  const std::unique_ptr<libmnt_iter, IteratorDeleter> iterator(mnt_new_iter(MNT_ITER_FORWARD));
  if (!table || !iterator) return system_failure("cannot read " + path, ENOMEM);
  if (const int error = mnt_table_parse_file(table.get(), path.c_str()); error != 0) {
    return system_failure("cannot read the mount table " + path, error < 0 ? -error : EINVAL);
  }
  std::vector<Mount> mounts;
  libmnt_fs* entry = nullptr;
  while (mnt_table_next_fs(table.get(), iterator.get(), &entry) == 0) mounts.push_back(to_mount(entry));
  return MountTable(std::move(mounts));
}

MountTable::MountTable(std::vector<Mount> mounts) : mounts_(std::move(mounts)), children_(mounts_.size()) {
  for (std::size_t i = 0; i < mounts_.size(); ++i) by_id_.push_back(i);
  std::sort(by_id_.begin(), by_id_.end(), [&](std::size_t a, std::size_t b) { return mounts_[a].id < mounts_[b].id; });
  std::vector<const Mount*> roots;
  for (std::size_t i = 0; i < mounts_.size(); ++i) {
    const Mount* parent = find(mounts_[i].parent_id);
    if (parent == nullptr || parent == &mounts_[i]) {
      if (mounts_[i].mount_point == "/") roots.push_back(&mounts_[i]);
    } else {
      children_[static_cast<std::size_t>(parent - mounts_.data())].push_back(i);
    }
  }
  for (auto& siblings : children_) {
    std::sort(siblings.begin(), siblings.end(),
              [&](std::size_t a, std::size_t b) { return mounts_[a].mount_point < mounts_[b].mount_point; });
  }
  if (!roots.empty()) root_ = roots.back();
}

const Mount* MountTable::find(int id) const {
  const auto at = std::lower_bound(by_id_.begin(), by_id_.end(), id,
                                   [&](std::size_t position, int wanted) { return mounts_[position].id < wanted; });
  return at != by_id_.end() && mounts_[*at].id == id ? &mounts_[*at] : nullptr;
}

const Mount* MountTable::resolve(std::string_view path) const {
  const Mount* at = root_;
  if (at == nullptr) return nullptr;
  // Walks down the path one component at a time and, at each, steps onto what is mounted there, as often as
  // something is mounted on top of that again.
  std::size_t end = 1;
  for (;;) {
    const std::string_view prefix = path.substr(0, end);
    for (bool stepped = true; stepped;) {
      const auto& children = children_[static_cast<std::size_t>(at - mounts_.data())];
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

Result<int> mount_id_of(int fd) {
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
