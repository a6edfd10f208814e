// SPDX-License-Identifier: Apache-2.0
#include "commands/verify/copy.hpp"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/directory.hpp"
#include "commands/verify/mount_info.hpp"
#include "fs/attached_disks.hpp"
#include "fs/filesystem_uuid.hpp"
#include "fs/manifest_place.hpp"

namespace dlm_freeze {
namespace {

Error no_filesystem() { return {ErrorKind::failed, "has no ext4, XFS or btrfs on it: name the device of one", 0}; }

/// How a filesystem is mounted as it lies there. That of ext4 may say that an error panics the kernel.
const char* without_replay(const std::string& type) {
  if (type == "xfs") return "norecovery,nouuid";
  return type == "btrfs" ? "rescue=nologreplay" : "noload,errors=continue";
}

/// Gives the copy a loop device, whatever is mounted and however.
void attach(Copy& copy, int device) {
  copy.superblock = read_superblock(device);
  if (!copy.superblock) {
    copy.error = no_filesystem();
    return;
  }
  auto loop = attach_loop(device);
  if (!loop) {
    copy.error = loop.error();
  } else {
    copy.loop = std::move(*loop);
  }
}

void attach_device_of(Copy& copy) {
  const auto mount = mount_info_of(copy.file.get());
  if (!mount || (mount->type != "ext4" && mount->type != "xfs" && mount->type != "btrfs")) {
    copy.why_no_device = "it is no mounted ext4, XFS or btrfs";
  } else if (!mount->is_read_only) {
    copy.why_no_device = "it is mounted for writing: unmount it, and name the device " + mount->source;
  } else if (const UniqueFd device(::open(mount->source.c_str(), O_RDONLY | O_CLOEXEC)); !device) {
    copy.why_no_device = "cannot open " + mount->source + ": " + errno_text(errno);
  } else {
    attach(copy, device.get());
    if (!copy.loop) copy.why_no_device = std::exchange(copy.error, std::nullopt)->message;
  }
}

Result<FoundManifest> find_manifest(int directory) {
  const auto text = read_manifest(directory);
  if (!text && text.error().errno_value == ENOENT)
    return tl::unexpected(Error{ErrorKind::failed, "has no manifest", ENOENT});
  if (!text) return tl::unexpected(text.error());
  return parse_manifest(*text);
}

UniqueFd open_directory(const std::string& path) {
  return UniqueFd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
}

/// On a device the manifest may lie in what was mounted of it: a subvolume, say.
Result<FoundManifest> find_manifest_below(Copy& copy) {
  for (const std::string& name : names_in(copy.root)) {
    const std::string path = copy.root + "/" + name;
    const UniqueFd directory = open_directory(path);
    if (!directory) continue;
    auto found = find_manifest(directory.get());
    if (!found) continue;
    copy.root = path;
    return found;
  }
  return tl::unexpected(Error{ErrorKind::failed, "has no manifest", ENOENT});
}

}  // namespace

Copy open_copy(const std::string& path) {
  Copy copy{path, UniqueFd(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC))};
  struct stat info {};
  if (!copy.file || ::fstat(copy.file.get(), &info) != 0) {
    copy.error = Error{ErrorKind::failed, "cannot be opened: " + errno_text(errno), errno};
  } else if (S_ISDIR(info.st_mode)) {
    copy.is_directory = true;
    copy.root = path;
  } else if (!S_ISBLK(info.st_mode) && !S_ISREG(info.st_mode)) {
    copy.error = Error{ErrorKind::failed, "is neither a directory nor a device nor an image", 0};
  }
  return copy;
}

void mount_copy(Copy& copy, const std::string& place, bool for_checks) {
  if (copy.error) return;
  if (copy.is_directory) {
    if (for_checks) attach_device_of(copy);
    const std::string itself = "/proc/self/fd/" + std::to_string(copy.file.get());
    if (::mount(itself.c_str(), place.c_str(), nullptr, MS_BIND, nullptr) != 0) {
      copy.error = Error{ErrorKind::failed, "cannot be mounted again: " + errno_text(errno), errno};
      return;
    }
  } else {
    attach(copy, copy.file.get());
    if (!copy.loop) return;
    const std::string& type = copy.superblock->type;
    if (::mount(copy.loop->path.c_str(), place.c_str(), type.c_str(), MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
                without_replay(type)) != 0) {
      copy.error = Error{ErrorKind::failed, "its " + type + " cannot be mounted: " + errno_text(errno), errno};
      return;
    }
  }
  copy.root = place;
}

Candidate candidate_of(Copy& copy) {
  const std::string uuid = copy.superblock ? copy.superblock->uuid : "";
  if (copy.error) return {copy.path, uuid, tl::unexpected(*copy.error)};
  const UniqueFd directory = open_directory(copy.root);
  struct stat info {};
  if (!directory || ::fstat(directory.get(), &info) != 0)
    return {copy.path, uuid, tl::unexpected(Error{ErrorKind::failed, "cannot be opened: " + errno_text(errno), errno})};
  auto found = find_manifest(directory.get());
  if (!found && found.error().errno_value == ENOENT && !copy.is_directory) found = find_manifest_below(copy);
  if (!copy.is_directory) return {copy.path, uuid, std::move(found)};
  return {copy.path, filesystem_uuid(directory.get(), {AttachedDisks::read().name_of(info.st_dev)}), std::move(found)};
}

}  // namespace dlm_freeze
