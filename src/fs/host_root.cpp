// SPDX-License-Identifier: Apache-2.0
#include "fs/host_root.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "base/process.hpp"
#include "base/text.hpp"
#include "dlm_freeze/base/files.hpp"
#include "dlm_freeze/base/unique_fd.hpp"
#include "fs/freeze_plan.hpp"

namespace dlm_freeze {
namespace {

/// Whether /proc/PID/stat is that of a thread of the kernel (proc(5); PF_KTHREAD in include/linux/sched.h).
bool is_kernel_thread(std::string_view stat) {
  constexpr unsigned long kKernelThread = 0x00200000;
  constexpr int kWordsBeforeFlags = 6;  // After the name: state, parent, group, session, terminal, its group.
  std::string_view rest = stat_after_name(stat);
  for (int i = 0; i < kWordsBeforeFlags; ++i) static_cast<void>(next_word(rest));
  const std::string_view word = next_word(rest);
  unsigned long flags = 0;
  return std::from_chars(word.data(), word.data() + word.size(), flags).ec == std::errc() &&
         (flags & kKernelThread) != 0;
}

std::string describe(const Mount* root) {
  if (root == nullptr) return "a directory that is not a mount point";
  return (root->root == "/" ? "" : root->root + " of ") + root->type + " " + device_number(root->device);
}

/// Of a root that is no mount point only the filesystem itself can tell which it is.
void find_own(const MountTable& table, HostRoot& found) {
  const UniqueFd root(::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  struct stat info {};
  struct statfs filesystem {};
  if (!root || ::fstat(root.get(), &info) != 0 || ::fstatfs(root.get(), &filesystem) != 0) {
    found.ground_unknown = true;
    return;
  }
  found.superblocks.insert(info.st_dev);
  const auto type = static_cast<std::uint64_t>(filesystem.f_type);
  if (type == BTRFS_SUPER_MAGIC) {  // The number is that of the subvolume.
    const auto own = btrfs_id_of(root.get());
    for (const Mount& mount : table.mounts()) {
      const auto id = mount.type == "btrfs" ? btrfs_id_of(table, mount) : std::nullopt;
      if (mount.type == "btrfs" && (!own || !id || *own == *id)) found.superblocks.insert(mount.device);
    }
    return;
  }
  const bool is_shown = std::any_of(table.mounts().begin(), table.mounts().end(),
                                    [&](const Mount& mount) { return mount.device == info.st_dev; });
  found.ground_unknown = major(info.st_dev) == 0 && type != TMPFS_MAGIC && type != RAMFS_MAGIC && !is_shown;
}

}  // namespace

HostRoot find_host_root(const MountTable& table, const DeviceRoots& roots) {
  HostRoot found;
  const Mount* own = table.root();
  if (own == nullptr) find_own(table, found);
  const auto second = read_file(roots.proc + "/2/stat");
  if (!second || !is_kernel_thread(*second)) {
    found.difference = "process 1 may not be the host's init (this is a separate PID namespace, as in a container)";
    return found;
  }
  const auto init = MountTable::read(roots.proc + "/1/mountinfo", mount_id_of(roots.proc + "/1/root"));
  if (!init) {
    found.difference = "the mounts of process 1 cannot be read (" + init.error().message + ")";
    return found;
  }
  std::error_code error;
  const auto theirs = std::filesystem::read_symlink(roots.proc + "/1/ns/mnt", error);
  found.is_in_namespace_of_init = !error && theirs == own_namespace("mnt");
  if (own == nullptr) {  // A chroot in a namespace of process 1 lies on one of its mounts.
    const UniqueFd root(::open("/", O_PATH | O_CLOEXEC));
    const auto id = mount_id_of(root.get());
    if (const Mount* mount = id ? init->find(*id) : nullptr) found.superblocks.insert(mount->device);
  }
  found.superblocks.merge(superblocks_of_root(*init, read_block_stacks(*init, roots, &table)));
  const Mount* of_init = init->root();
  const bool same =
      own != nullptr && of_init != nullptr && own->device == of_init->device && own->root == of_init->root;
  if (!same) {
    found.difference = "its root directory is " + describe(own) + ", and that of process 1 is " + describe(of_init);
  }
  return found;
}

}  // namespace dlm_freeze
