// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dlm_freeze/base/error.hpp"
#include "dlm_freeze/base/unique_fd.hpp"

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
  std::string super_options;  ///< Of the superblock, with its escapes: \054 is a comma within a value.

  /// Whether nobody can write to the superblock, whichever mount of it he uses.
  [[nodiscard]] bool is_read_only() const;

  /// Whether this mount itself may be written through, as far as the superblock allows.
  [[nodiscard]] bool is_meant_for_writing() const;

  /// Whether the superblock has the option `name`, with or without a value.
  [[nodiscard]] bool has_super_option(std::string_view name) const;

  /// The value of that option, without its escapes; nothing when it has none.
  [[nodiscard]] std::optional<std::string> super_option(std::string_view name) const;
};

/// Where the data of a mount lie that has none of its own: an overlay, an ecryptfs, an erofs on a file.
struct Layers {
  std::vector<std::string>
      paths;          ///< Absolute, in the namespace in which it was mounted. Rather too many than too few.
  std::string upper;  ///< The one that takes what is written; empty where that is not known, or none does.
  bool told = true;   ///< False: there are layers of which no path in `paths` is known to be theirs.
  std::vector<std::vector<std::string>> readings;  ///< Each layer in all ways to read what the table prints of it.
};

/// Nothing for a filesystem that has its own data. No path is looked at.
[[nodiscard]] std::optional<Layers> layers_of(const Mount& mount);

/// All mounts that a process sees, in the order of the table.
class MountTable {
 public:
  /// `root` is the id of the mount that the root directory lies on. Without it that is taken to be the top one at "/",
  /// which is wrong where something was mounted over the root of a process that runs.
  explicit MountTable(std::vector<Mount> mounts, std::optional<int> root = std::nullopt);

  /// That of this process.
  [[nodiscard]] static Result<MountTable> read();

  /// That of another process, or a captured one.
  [[nodiscard]] static Result<MountTable> read(const std::string& path, std::optional<int> root = std::nullopt);

  /// The table of a text in that format.
  [[nodiscard]] static Result<MountTable> parse(const std::string& text, std::optional<int> root = std::nullopt);

  [[nodiscard]] const std::vector<Mount>& mounts() const noexcept { return mounts_; }

  /// The mount on which the absolute path `path` lies, as the kernel would find it: the top one where several are
  /// mounted on one another. Symbolic links are not followed. Null where the root directory, of which the table then
  /// has no line, is no mount point: in most chroots.
  [[nodiscard]] const Mount* resolve(std::string_view path) const;

  /// Whether a look-up of the mount's own path ends on the mount; otherwise another mount hides it.
  [[nodiscard]] bool is_visible(const Mount& mount) const { return resolve(mount.mount_point) == &mount; }

  /// The mounts above `mount`, nearest first, up to the root.
  [[nodiscard]] std::vector<const Mount*> ancestors(const Mount& mount) const;

  /// Null when there is none.
  [[nodiscard]] const Mount* find(int id) const;

  /// The mount of the root directory; null as above.
  [[nodiscard]] const Mount* root() const { return resolve("/"); }

 private:
  std::vector<Mount> mounts_;
  std::vector<std::size_t> by_id_;                  ///< Positions in `mounts_`, sorted by id.
  std::vector<std::vector<std::size_t>> children_;  ///< By position of the parent, sorted by mount point.
  std::vector<std::size_t> orphans_;                ///< Those whose parent is not in the table, but for roots.
  const Mount* root_ = nullptr;                     ///< The mount of "/" that is no other's child, or as it was told.
  bool root_is_told_;
};

/// Whether `path` is `directory` or lies below it. Both absolute.
[[nodiscard]] bool lies_within(std::string_view path, std::string_view directory);

/// The id of the mount that an open descriptor lies on, as in the first field of mountinfo: from statx(2), or before
/// Linux 5.8 the `mnt_id` of /proc/self/fdinfo (proc(5)).
[[nodiscard]] Result<int> mount_id_of(int fd);

/// The same by /proc alone: the filesystem, which may not answer, has no part in it.
[[nodiscard]] Result<int> mount_id_without_asking(int fd);

/// The same for the mount that a directory lies on; nothing where it cannot be opened.
[[nodiscard]] std::optional<int> mount_id_of(const std::string& directory);

/// The open root directory of `mount`. Errors: it cannot be opened; ESTALE when another mount is there by now.
[[nodiscard]] Result<UniqueFd> open_mount(const Mount& mount);

}  // namespace dlm_freeze
