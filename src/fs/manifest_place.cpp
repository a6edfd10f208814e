// SPDX-License-Identifier: Apache-2.0
#include "fs/manifest_place.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "dlm_freeze/base/files.hpp"
#include "fs/mount_table.hpp"

namespace dlm_freeze {
namespace {

/// Far more than 10,000 filesystems need.
constexpr std::size_t kLargestManifest = std::size_t{16} << 20;

/// Whether what `info` is of can be changed by this user (root) alone.
bool is_own(const struct stat& info) { return info.st_uid == ::geteuid() && (info.st_mode & (S_IWGRP | S_IWOTH)) == 0; }

/// The directory of the manifest, which must be this user's and on the same filesystem.
Result<UniqueFd> open_directory(int root) {
  UniqueFd fd(::openat(root, kManifestDirectory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd && (errno == ENOTDIR || errno == ELOOP)) {
    return tl::unexpected(
        Error{ErrorKind::failed, std::string(kManifestDirectory) + " is not a directory: remove it", ENOTDIR});
  }
  if (!fd) return system_failure(std::string("cannot open ") + kManifestDirectory, errno);
  struct stat info {};
  struct stat root_info {};
  if (::fstat(fd.get(), &info) != 0 || ::fstat(root, &root_info) != 0)
    return system_failure(std::string("cannot examine ") + kManifestDirectory, errno);
  if (info.st_dev != root_info.st_dev)
    return failure(std::string(kManifestDirectory) + " is on another filesystem: unmount it");
  if (!is_own(info)) {
    return failure(std::string(kManifestDirectory) +
                   " is not root's, or can be written by others: remove it, or chown and chmod it");
  }
  return fd;
}

/// The mounts to write through, nearest to the filesystem's root first.
std::vector<const Mount*> writable_mounts(const PlannedFilesystem& planned) {
  std::vector<const Mount*> mounts;
  for (const Mount& mount : planned.mounts) {
    if (mount.is_meant_for_writing()) mounts.push_back(&mount);
  }
  const auto depth = [](const Mount* mount) {
    return mount->root == "/" ? 0 : std::count(mount->root.begin(), mount->root.end(), '/');
  };
  std::stable_sort(mounts.begin(), mounts.end(), [&](const Mount* a, const Mount* b) { return depth(a) < depth(b); });
  return mounts;
}

/// Whether the root directory of `mount` is known as a database's, by whatever mount that has been found.
bool is_data_directory(const PlannedFilesystem& planned, const Mount& mount, const std::set<std::string>& data) {
  return std::any_of(planned.mounts.begin(), planned.mounts.end(),
                     [&](const Mount& other) { return other.root == mount.root && data.contains(other.mount_point); });
}

ManifestPlace no_place(const std::string& mount_point, std::string why, bool is_meant) {
  return {{}, mount_point, {}, std::move(why), is_meant};
}

/// Why none may lie in a directory that is open, by rule; empty: it may.
std::string why_by_rule(const struct stat& directory, bool is_data) {
  if (is_data) return "its root directory is a database's data directory";
  return directory.st_uid == ::geteuid() ? "" : "its root directory belongs to uid " + std::to_string(directory.st_uid);
}

}  // namespace

ManifestPlace find_manifest_place(const PlannedFilesystem& planned, const std::set<std::string>& data_directories) {
  if (!planned.elsewhere.empty())
    return {{}, planned.name(), {}, "it is mounted only in another mount namespace", true, false, true};
  ManifestPlace none = no_place(planned.mount_point(), "each of its mounts is read-only", false);
  for (const Mount* mount : writable_mounts(planned)) {
    const bool is_data = is_data_directory(planned, *mount, data_directories);
    auto directory = open_mount(*mount);
    struct stat info {};
    if (!directory || ::fstat(directory->get(), &info) != 0) {
      if (is_data) return no_place(mount->mount_point, why_by_rule(info, is_data), true);
      none.why_not = directory ? "its root directory cannot be examined" : directory.error().message;
      continue;
    }
    // Without a device of its own, a file of it need not have the filesystem's number.
    if (major(planned.device) != 0 && info.st_dev != planned.device) {
      none.why_not = "another filesystem is mounted there by now";
      continue;
    }
    if (std::string why = why_by_rule(info, is_data); !why.empty())
      return {std::move(*directory), mount->mount_point, {}, std::move(why), true, true};
    return {std::move(*directory), mount->mount_point, mount->root, {}};
  }
  return none;
}

Result<void> write_manifest(int root, std::string_view text) {
  if (::mkdirat(root, kManifestDirectory, S_IRWXU) != 0 && errno != EEXIST)
    return system_failure(std::string("cannot make ") + kManifestDirectory, errno);
  const auto directory = open_directory(root);
  if (!directory) return tl::unexpected(directory.error());
  auto file = AtomicFile::create(directory->get(), kManifestFile, "new", 0);
  auto written = file ? file->commit(text) : tl::unexpected(file.error());
  if (!written) ::unlinkat(directory->get(), kManifestFile, 0);
  return written;
}

Result<void> remove_manifest(int root) {
  const auto directory = open_directory(root);
  if (!directory) return {};
  if (::unlinkat(directory->get(), kManifestFile, 0) != 0 && errno != ENOENT)
    return system_failure("cannot remove the manifest of an earlier session", errno);
  ::unlinkat(root, kManifestDirectory, AT_REMOVEDIR);  // What calls this may have no right to, in another's directory.
  return {};
}

Result<std::string> read_manifest(int root) {
  const auto directory = open_directory(root);
  if (!directory) return tl::unexpected(directory.error());
  const auto file = open_regular(directory->get(), kManifestFile, O_RDONLY | O_NOFOLLOW);
  if (!file) return tl::unexpected(file.error());
  struct stat info {};
  if (::fstat(file->get(), &info) != 0) return system_failure("cannot examine the manifest", errno);
  if (!is_own(info)) return failure("the manifest is not root's, or can be written by others");
  return read_file_at(directory->get(), kManifestFile, kLargestManifest);
}

}  // namespace dlm_freeze
