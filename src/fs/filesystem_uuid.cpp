// SPDX-License-Identifier: Apache-2.0
#include "fs/filesystem_uuid.hpp"

#include <sys/ioctl.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <filesystem>
#include <system_error>

#include "base/directory.hpp"
#include "base/text.hpp"

namespace dlm_freeze {
namespace {

namespace stdfs = std::filesystem;

/// struct fsuuid2 and FS_IOC_GETFSUUID of include/uapi/linux/fs.h, since Linux 6.9.
struct KernelUuid {
  std::uint8_t size = 0;
  std::array<std::uint8_t, 16> bytes{};
};
constexpr unsigned long kGetUuid = _IOR(0x15, 0, KernelUuid);

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
  KernelUuid uuid;
  if (::ioctl(fd, kGetUuid, &uuid) == 0 && uuid.size == uuid.bytes.size())
    return uuid_text(std::span<const std::uint8_t, 16>(uuid.bytes));
  if (const auto id = btrfs_id_of(fd)) return *id;
  return linked_uuid(devices, roots);
}

}  // namespace dlm_freeze
