// SPDX-License-Identifier: Apache-2.0
#include "commands/mount_watch.hpp"

#include <fcntl.h>
#include <poll.h>

#include <set>
#include <vector>

#include "commands/host_plan.hpp"
#include "fs/filesystem_type.hpp"

namespace dlm_freeze {

MountWatch::MountWatch() : table_(::open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC)) {}

void MountWatch::warn_of_changes(const MountTable& before, Log& log) const {
  pollfd event = {table_.get(), POLLPRI, 0};
  if (!table_ || ::poll(&event, 1, 0) <= 0) return;
  const auto now = MountTable::read();
  if (!now) return log.warn("the mount table has changed and cannot be read: " + now.error().message);
  std::set<dev_t> writable;
  std::vector<NotFrozen> changed;
  for (const Mount& mount : before.mounts()) {
    if (!mount.is_read_only()) writable.insert(mount.device);
  }
  for (const Mount& mount : now->mounts()) {
    if (!has_volume(mount) || mount.is_read_only() || !writable.insert(mount.device).second) continue;
    changed.push_back({mount.mount_point, "mounted, or made writable, while pre-script ran"});
  }
  warn_not_frozen(changed, log);
}

}  // namespace dlm_freeze
