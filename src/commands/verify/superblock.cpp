// SPDX-License-Identifier: Apache-2.0
#include "commands/verify/superblock.hpp"

#include <endian.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "base/text.hpp"

namespace dlm_freeze {
namespace {

// Documentation/filesystems/ext4/super.rst of the kernel.
constexpr off_t kExt4 = 1024;
constexpr off_t kExt4Magic = kExt4 + 0x38;
constexpr off_t kExt4State = kExt4 + 0x3A;
constexpr off_t kExt4Uuid = kExt4 + 0x68;
constexpr off_t kExt4Incompatible = kExt4 + 0x60;
constexpr std::uint16_t kExt4HasErrors = 0x2;
constexpr std::uint32_t kExt4Recover = 0x4;

// struct xfs_dsb of fs/xfs/libxfs/xfs_format.h.
constexpr off_t kXfsUuid = 0x20;

// struct btrfs_super_block of fs/btrfs/accessors.h and include/uapi/linux/btrfs_tree.h.
constexpr off_t kBtrfs = 0x10000;
constexpr off_t kBtrfsUuid = kBtrfs + 0x20;
constexpr off_t kBtrfsMagic = kBtrfs + 0x40;
constexpr off_t kBtrfsLogRoot = kBtrfs + 0x60;

template <typename T>
T number_at(int fd, off_t offset) {
  T number = 0;
  return ::pread(fd, &number, sizeof number, offset) == sizeof number ? number : T{0};
}

bool has(int fd, off_t offset, std::string_view magic) {
  std::array<char, 8> there{};
  return ::pread(fd, there.data(), magic.size(), offset) == static_cast<ssize_t>(magic.size()) &&
         std::memcmp(there.data(), magic.data(), magic.size()) == 0;
}

std::string uuid_at(int fd, off_t offset) {
  std::array<std::uint8_t, 16> bytes{};
  return ::pread(fd, bytes.data(), bytes.size(), offset) == static_cast<ssize_t>(bytes.size())
             ? uuid_text(std::span<const std::uint8_t, 16>(bytes))
             : "";
}

}  // namespace

std::optional<Superblock> read_superblock(int fd) {
  if (has(fd, 0, "XFSB")) return Superblock{.type = "xfs", .uuid = uuid_at(fd, kXfsUuid)};
  if (has(fd, kBtrfsMagic, "_BHRfS_M")) {
    return Superblock{.type = "btrfs",
                      .uuid = uuid_at(fd, kBtrfsUuid),
                      .needs_recovery = number_at<std::uint64_t>(fd, kBtrfsLogRoot) != 0};
  }
  if (!has(fd, kExt4Magic, "\x53\xEF")) return std::nullopt;
  return Superblock{.type = "ext4",
                    .uuid = uuid_at(fd, kExt4Uuid),
                    .needs_recovery = (le32toh(number_at<std::uint32_t>(fd, kExt4Incompatible)) & kExt4Recover) != 0,
                    .has_errors = (le16toh(number_at<std::uint16_t>(fd, kExt4State)) & kExt4HasErrors) != 0};
}

}  // namespace dlm_freeze
