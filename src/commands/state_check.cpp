// SPDX-License-Identifier: Apache-2.0
#include "commands/state_check.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>

#include <cerrno>
#include <cstdint>

#include "base/text.hpp"
#include "dlm_freeze/base/unique_fd.hpp"

namespace dlm_freeze {
namespace {

/// What a session writes there: its record four times over, made ready for whoever ends it, each with space for what it
/// may still have to say; beside them the locks, the socket, and the directory itself.
constexpr std::uint64_t kSpace = std::uint64_t{256} << 10;
constexpr std::uint64_t kFiles = 10;

UniqueFd open_directory(const std::string& path) {
  return UniqueFd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

/// Opens the directory, or, where it is not made yet, the one that it would be made in.
Result<struct statfs> examine(const std::string& path, UniqueFd& directory) {
  directory = open_directory(path);
  if (!directory && errno == ENOENT) directory = open_directory(path.substr(0, path.rfind('/') + 1));
  struct statfs info {};
  if (directory && ::fstatfs(directory.get(), &info) == 0) return info;
  return system_failure("cannot examine the state directory " + path, errno);
}

}  // namespace

Result<void> check_state_room(const std::string& path) {
  UniqueFd directory;
  const auto found = examine(path, directory);
  if (!found) return tl::unexpected(found.error());
  const struct statfs& info = *found;  // A limit of 0 is none.
  const std::uint64_t space = static_cast<std::uint64_t>(info.f_bavail) * static_cast<std::uint64_t>(info.f_bsize);
  const bool is_full = info.f_blocks != 0 && space < kSpace;
  if (!is_full && (info.f_files == 0 || info.f_ffree >= kFiles)) return {};
  return failure(
      "the filesystem of the state directory " + path + " is full: " +
      (is_full ? std::to_string(space >> 10) + " KiB are free, and a session needs " + std::to_string(kSpace >> 10)
               : count_of(info.f_ffree, "inode") + " are free, and a session needs " + std::to_string(kFiles)) +
      "; make room there");
}

Result<void> check_state_directory(const std::string& path, const MountTable& table) {
  UniqueFd directory;
  const auto info = examine(path, directory);
  if (!info) return tl::unexpected(info.error());
  if ((info->f_flags & ST_RDONLY) != 0)
    return failure("the state directory " + path +
                   " lies on a read-only mount: it must be on one that can be written to");
  const auto type = static_cast<std::uint64_t>(info->f_type);
  if (type == TMPFS_MAGIC || type == RAMFS_MAGIC) return {};
  const auto id = mount_id_of(directory.get());
  const Mount* mount = id ? table.find(*id) : nullptr;
  const Mount* root = table.resolve("/");
  if (mount != nullptr && root != nullptr && mount->device == root->device && mount->type != "overlay") return {};
  return failure("the state directory " + path +
                 " lies on a filesystem that may be frozen: it must be on a tmpfs, such as /run/dlm-freeze");
}

}  // namespace dlm_freeze
