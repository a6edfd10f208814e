// SPDX-License-Identifier: Apache-2.0
#include "fs/filesystem_type.hpp"

#include <sys/sysmacros.h>

#include <algorithm>
#include <array>

namespace dlm_freeze {
namespace {

template <std::size_t N>
bool is_among(const std::array<std::string_view, N>& types, std::string_view type) {
  return std::find(types.begin(), types.end(), type) != types.end();
}

constexpr std::array<std::string_view, 7> kInMemory = {"tmpfs", "ramfs",     "devtmpfs", "rootfs",
                                                       "shm",   "hugetlbfs", "devpts"};

/// What the kernel shows of itself.
constexpr std::array<std::string_view, 36> kKernel = {
    "proc",         "sysfs",      "cgroup",     "cgroup2", "cpuset", "securityfs",  "debugfs",   "tracefs",
    "configfs",     "pstore",     "bpf",        "mqueue",  "autofs", "fusectl",     "selinuxfs", "smackfs",
    "nsfs",         "nfsd",       "rpc_pipefs", "resctrl", "binder", "functionfs",  "gadgetfs",  "usbfs",
    "pipefs",       "sockfs",     "xenfs",      "dax",     "nullfs", "binfmt_misc", "efivarfs",  "usbdevfs",
    "anon_inodefs", "openpromfs", "spufs",      "devfs"};

constexpr std::array<std::string_view, 8> kStacked = {"overlay", "overlayfs", "aufs",   "ecryptfs",
                                                      "shiftfs", "unionfs",   "wrapfs", "mhddfs"};

constexpr std::array<std::string_view, 20> kRemote = {
    "nfs",   "nfs4",     "cifs",   "smb3",   "smbfs",  "9p",       "ceph",  "afs",       "coda",   "lustre",
    "ncpfs", "virtiofs", "vboxsf", "vmhgfs", "prl_fs", "orangefs", "pvfs2", "glusterfs", "beegfs", "hostfs"};

}  // namespace

bool is_fuse(std::string_view type) { return type.starts_with("fuse") && type != "fusectl"; }

bool may_hang(std::string_view type) { return is_fuse(type) || is_among(kRemote, type); }

bool is_in_memory(std::string_view type) { return is_among(kInMemory, type) || is_among(kKernel, type); }

bool is_known_without_volume(std::string_view type) {
  return is_in_memory(type) || is_among(kStacked, type) || may_hang(type);
}

bool has_volume(const Mount& mount) {
  constexpr std::array<std::string_view, 4> kAnonymousNumber = {"btrfs", "bcachefs", "zfs", "ubifs"};
  if (major(mount.device) != 0 || is_among(kAnonymousNumber, mount.type)) return true;
  return is_fuse(mount.type) && mount.source.starts_with("/dev/") && mount.source != "/dev/fuse";
}

bool cannot_freeze(std::string_view type) {
  // reiserfs can be frozen, but a syncfs(2) or sync(2) on it, anybody's, then waits for the thaw with the lock that the
  // thaw waits for.
  constexpr std::array<std::string_view, 31> kTypes = {
      "squashfs", "erofs", "iso9660", "udf",     "vfat", "msdos", "exfat", "cramfs", "romfs",   "zfs", "ubifs",
      "jffs2",    "minix", "hfs",     "hfsplus", "ntfs", "ufs",   "affs",  "adfs",   "bfs",     "efs", "befs",
      "hpfs",     "qnx4",  "qnx6",    "omfs",    "sysv", "ntfs3", "ocfs2", "zonefs", "reiserfs"};
  return is_fuse(type) || is_among(kTypes, type);
}

bool flushes_its_devices(const Mount& mount) {
  constexpr std::array<std::string_view, 6> kTypes = {"ext3", "ext4", "xfs", "btrfs", "f2fs", "bcachefs"};
  const auto barrier = mount.super_option("barrier");
  return is_among(kTypes, mount.type) && !mount.has_super_option("nobarrier") && barrier != "0" && barrier != "none";
}

bool was_made_read_only(const Mount& mount) {
  return has_volume(mount) && !cannot_freeze(mount.type) && mount.is_read_only() && mount.is_meant_for_writing();
}

}  // namespace dlm_freeze
