// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "dlm_freeze/base/error.hpp"

namespace dlm_freeze {

/// One line of /proc/self/mountinfo (proc(5)), with its escapes undone.
struct Mount {
  int id = 0;
  int parent_id = 0;
  dev_t device = 0;  ///< Of the superblock: the same for all mounts of it. Major 0 for filesystems without a single
                     ///< device, btrfs among them.
  std::string root;  ///< The directory of the filesystem that is mounted; "/" unless a bind mount or subvolume.
  std::string mount_point;    ///< Absolute.
  std::string type;           ///< "ext4"; "fuse.sshfs".
  std::string source;         ///< "/dev/nvme1n1"; whatever mount(8) was given.
  std::string options;        ///< Of the mount.
  std::string super_options;  ///< Of the superblock.

  /// Whether one of the comma-separated options of the mount or of the superblock is `name`.
  [[nodiscard]] bool has_option(std::string_view name) const;

  /// The value of the option `name` of the superblock; empty when it has none.
  [[nodiscard]] std::string_view super_option_value(std::string_view name) const;
};

/// All mounts that a process sees, in the order of the table.
class MountTable {
 public:
  explicit MountTable(std::vector<Mount> mounts);

  /// Reads a table; `path` is /proc/self/mountinfo or a captured one.
  [[nodiscard]] static Result<MountTable> read(const std::string& path = "/proc/self/mountinfo");

  [[nodiscard]] const std::vector<Mount>& mounts() const noexcept { return mounts_; }

  /// The mount on which the absolute path `path` lies, as the kernel would find it: the top one where several are
  /// mounted on one another. Symbolic links are not followed. Null only when the table has no root.
  [[nodiscard]] const Mount* resolve(std::string_view path) const;

  /// Whether a look-up of the mount's own path ends on the mount; otherwise another mount hides it.
  [[nodiscard]] bool is_visible(const Mount& mount) const { return resolve(mount.mount_point) == &mount; }

  /// The mounts above `mount`, nearest first, up to the root.
  [[nodiscard]] std::vector<const Mount*> ancestors(const Mount& mount) const;

  /// Null when there is none.
  [[nodiscard]] const Mount* find(int id) const;

 private:
  std::vector<Mount> mounts_;
  std::vector<std::size_t> by_id_;                  ///< Positions in `mounts_`, sorted by id.
  std::vector<std::vector<std::size_t>> children_;  ///< By position of the parent, sorted by mount point.
  const Mount* root_ = nullptr;                     ///< The top mount of "/".
};

/// Whether `path` is `directory` or lies below it. Both absolute.
[[nodiscard]] bool lies_within(std::string_view path, std::string_view directory);

/// The id of the mount that an open descriptor lies on, as in the first field of mountinfo: the `mnt_id` of
/// /proc/self/fdinfo (proc(5)), which kernels without STATX_MNT_ID have as well.
[[nodiscard]] Result<int> mount_id_of(int fd);

}  // namespace dlm_freeze
