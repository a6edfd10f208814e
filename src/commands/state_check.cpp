// SPDX-License-Identifier: Apache-2.0
#include "commands/state_check.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>

#include <cerrno>
#include <cstdint>

#include "dlm_freeze/base/unique_fd.hpp"

namespace dlm_freeze {
namespace {

UniqueFd open_directory(const std::string& path) {
  return UniqueFd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

}  // namespace

Result<void> check_state_directory(const std::string& path, const MountTable& table) {
  UniqueFd directory = open_directory(path);
  if (!directory && errno == ENOENT) directory = open_directory(path.substr(0, path.rfind('/') + 1));
  struct statfs info {};
  if (!directory || ::fstatfs(directory.get(), &info) != 0)
    return system_failure("cannot examine the state directory " + path, errno);
  if ((info.f_flags & ST_RDONLY) != 0)
    return failure("the state directory " + path +
                   " lies on a read-only mount: it must be on one that can be written to");
  const auto type = static_cast<std::uint64_t>(info.f_type);
  if (type == TMPFS_MAGIC || type == RAMFS_MAGIC) return {};
  const auto id = mount_id_of(directory.get());
  const Mount* mount = id ? table.find(*id) : nullptr;
  const Mount* root = table.resolve("/");
  if (mount != nullptr && root != nullptr && mount->device == root->device && mount->type != "overlay") return {};
  return failure("the state directory " + path +
                 " lies on a filesystem that may be frozen: it must be on a tmpfs, such as /run/dlm-freeze");
}

}  // namespace dlm_freeze
