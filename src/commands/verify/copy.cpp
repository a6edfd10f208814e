// SPDX-License-Identifier: Apache-2.0
#include "commands/verify/copy.hpp"

#include <fcntl.h>
#include <linux/btrfs.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <utility>

#include "base/directory.hpp"
#include "base/text.hpp"
#include "commands/verify/mount_info.hpp"
#include "fs/attached_disks.hpp"
#include "fs/filesystem_uuid.hpp"
#include "fs/manifest_place.hpp"
#include "fs/sysfs.hpp"

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

/// The number of the device that a mounted filesystem lies on. That of a file of btrfs is none of a device.
Result<dev_t> device_below(int fd, const std::string& type) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) return system_failure("cannot examine it", errno);
  if (type != "btrfs") return info.st_dev;
  btrfs_ioctl_fs_info_args about{};
  if (::ioctl(fd, BTRFS_IOC_FS_INFO, &about) != 0) return system_failure("cannot ask for its device", errno);
  const std::string devices = "/sys/fs/btrfs/" + uuid_text(about.fsid) + "/devices";
  const auto names = names_in(devices);
  if (names.size() != 1) return failure("it lies on " + count_of(names.size(), "device"));
  const std::string number = sysfs_attribute(devices + "/" + names.front() + "/dev").value_or("");
  const std::size_t colon = number.find(':');
  if (colon == std::string::npos) return failure("the number of its device is not known");
  const auto first = parse_decimal(number.substr(0, colon), 0, UINT32_MAX);
  const auto second = parse_decimal(number.substr(colon + 1), 0, UINT32_MAX);
  if (!first || !second) return failure("the number of its device is not known");
  return makedev(static_cast<unsigned>(*first), static_cast<unsigned>(*second));
}

/// By its number: the path of a mount's source may lead to another device by now.
Result<UniqueFd> open_device_below(int fd, const std::string& type) {
  const auto number = device_below(fd, type);
  if (!number) return tl::unexpected(number.error());
  std::string path = "/dev/" + AttachedDisks::read().name_of(*number);
  std::replace(path.begin(), path.end(), '!', '/');
  UniqueFd device(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  struct stat info {};
  if (!device || ::fstat(device.get(), &info) != 0) return system_failure("cannot open " + path, errno);
  if (!S_ISBLK(info.st_mode) || info.st_rdev != *number)
    return failure(path + " is not the device " + device_number(*number) + ", which it lies on");
  return device;
}

void attach_device_of(Copy& copy) {
  const auto mount = mount_info_of(copy.file.get());
  if (!mount || (mount->type != "ext4" && mount->type != "xfs" && mount->type != "btrfs")) {
    copy.why_no_device = "it is no mounted ext4, XFS or btrfs";
  } else if (!mount->is_read_only) {
    copy.why_no_device = "it is mounted for writing: unmount it, and name the device " + mount->source;
  } else if (const auto device = open_device_below(copy.file.get(), mount->type); !device) {
    copy.why_no_device = device.error().message + ": unmount it, and name its device";
  } else {
    attach(copy, device->get());
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

/// Lets the root of `copy` be `directory` in it. So its path never has a name that the copy gives.
Result<void> narrow(const Copy& copy, int directory) {
  const std::string itself = "/proc/self/fd/" + std::to_string(directory);
  if (::mount(itself.c_str(), copy.root.c_str(), nullptr, MS_BIND, nullptr) != 0)
    return system_failure("cannot mount a directory of it", errno);
  return {};
}

/// On a device it lies in what was mounted of it: all of it, or a directory, a subvolume say. It is looked for in the
/// root directory and in those right below. One that says of itself that it lies elsewhere is a copy's, in a backup
/// say, and does not count.
Result<FoundManifest> find_manifest_in(const Copy& copy) {
  std::vector<std::string> places = {"/"};
  for (const std::string& name : names_in(copy.root)) places.push_back("/" + name);
  Result<FoundManifest> only = tl::unexpected(Error{ErrorKind::failed, "has no manifest", ENOENT});
  UniqueFd directory;
  std::vector<std::string> matches;
  for (const std::string& place : places) {
    UniqueFd here = open_directory(copy.root + place);
    if (!here) continue;
    auto found = find_manifest(here.get());
    if (!found && place == "/" && found.error().errno_value != ENOENT) return found;
    if (!found || found->manifest.members[found->member].directory != place) continue;
    matches.push_back(place);
    only = std::move(found);
    directory = std::move(here);
  }
  if (matches.size() > 1) {
    return tl::unexpected(
        Error{ErrorKind::not_ready,
              "has a manifest in " + list_of(matches) + ": mount it read-only, and name the directory that was mounted",
              ENOTUNIQ});
  }
  if (only && matches.front() != "/") {
    if (auto narrowed = narrow(copy, directory.get()); !narrowed) return tl::unexpected(narrowed.error());
  }
  return only;
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

Candidate candidate_of(const Copy& copy) {
  const std::string uuid = copy.superblock ? copy.superblock->uuid : "";
  if (copy.error) return {copy.path, uuid, tl::unexpected(*copy.error)};
  const UniqueFd directory = open_directory(copy.root);
  struct stat info {};
  if (!directory || ::fstat(directory.get(), &info) != 0)
    return {copy.path, uuid, tl::unexpected(Error{ErrorKind::failed, "cannot be opened: " + errno_text(errno), errno})};
  if (!copy.is_directory) return {copy.path, uuid, find_manifest_in(copy)};
  return {copy.path, filesystem_uuid(directory.get(), {AttachedDisks::read().name_of(info.st_dev)}),
          find_manifest(directory.get())};
}

}  // namespace dlm_freeze
