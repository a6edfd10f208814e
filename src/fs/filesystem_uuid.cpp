// SPDX-License-Identifier: Apache-2.0
#include "fs/filesystem_uuid.hpp"

#include <linux/btrfs.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <system_error>

#include "base/directory.hpp"
#include "base/text.hpp"
#include "fs/sysfs.hpp"

namespace dlm_freeze {
namespace {

namespace stdfs = std::filesystem;

/// struct fsuuid2 and FS_IOC_GETFSUUID of include/uapi/linux/fs.h, since Linux 6.9.
struct KernelUuid {
  std::uint8_t size = 0;
  std::array<std::uint8_t, 16> bytes{};
};
constexpr unsigned long kGetUuid = _IOR(0x15, 0, KernelUuid);

/// Of a btrfs: what it has on its devices. The copy of one that is mounted has a temporary id while it is mounted as
/// well, since Linux 6.7.
std::optional<std::string> btrfs_uuid(int fd, const DeviceRoots& roots) {
  btrfs_ioctl_fs_info_args info{};
  info.flags = BTRFS_FS_INFO_FLAG_METADATA_UUID;
  if (::ioctl(fd, BTRFS_IOC_FS_INFO, &info) != 0) return std::nullopt;
  std::string id = uuid_text(info.fsid);
  const bool is_temporary = sysfs_attribute(stdfs::path(roots.sys) / "fs" / "btrfs" / id / "temp_fsid") == "1";
  const bool is_told = (info.flags & BTRFS_FS_INFO_FLAG_METADATA_UUID) != 0;
  return is_temporary && is_told ? uuid_text(info.metadata_uuid) : id;
}

/// The link in /dev/disk/by-uuid that leads to one of `devices`.
std::string linked_uuid(const std::vector<std::string>& devices, const DeviceRoots& roots) {
  const stdfs::path links = stdfs::path(roots.dev) / "disk" / "by-uuid";
  for (const std::string& uuid : names_in(links)) {
    std::error_code error;
    const auto target = stdfs::read_symlink(links / uuid, error);
    if (!error && std::find(devices.begin(), devices.end(), target.filename().string()) != devices.end()) return uuid;
  }
  return "";
}

}  // namespace

std::string filesystem_uuid(int fd, const std::vector<std::string>& devices, const DeviceRoots& roots) {
  if (const auto uuid = btrfs_uuid(fd, roots)) return *uuid;
  KernelUuid uuid;
  if (::ioctl(fd, kGetUuid, &uuid) == 0 && uuid.size == uuid.bytes.size())
    return uuid_text(std::span<const std::uint8_t, 16>(uuid.bytes));
  return linked_uuid(devices, roots);
}

}  // namespace dlm_freeze
