// SPDX-License-Identifier: Apache-2.0
#include "commands/mount_watch.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <set>
#include <string>
#include <vector>

#include "commands/host_plan.hpp"
#include "fs/filesystem_type.hpp"

namespace dlm_freeze {

namespace {

Result<std::string> contents_of(int fd) {
  std::string text;
  std::array<char, 65536> piece{};
  for (;;) {
    const ssize_t length = ::pread(fd, piece.data(), piece.size(), static_cast<off_t>(text.size()));
    if (length < 0 && errno == EINTR) continue;
    if (length < 0) return system_failure("cannot read /proc/self/mountinfo", errno);
    if (length == 0) return text;
    text.append(piece.data(), static_cast<std::size_t>(length));
  }
}

}  // namespace

MountWatch::MountWatch() : table_(::open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC)) {}

void MountWatch::warn_of_changes(const MountTable& before, Log& log) {
  pollfd event = {table_.get(), POLLPRI, 0};
  if (!table_ || ::poll(&event, 1, 0) <= 0) return;
  const auto text = contents_of(table_.get());
  const auto now = text ? MountTable::parse(*text) : tl::unexpected(text.error());
  if (!now) return log.warn("the mount table has changed and cannot be read: " + now.error().message);
  std::set<dev_t> writable = told_;
  std::vector<NotFrozen> changed;
  for (const Mount& mount : before.mounts()) {
    if (!mount.is_read_only()) writable.insert(mount.device);
  }
  for (const Mount& mount : now->mounts()) {
    if (!has_volume(mount) || mount.is_read_only() || !writable.insert(mount.device).second) continue;
    told_.insert(mount.device);
    changed.push_back({mount.mount_point, "mounted, or made writable, while pre-script ran"});
  }
  warn_not_frozen(changed, log);
}

}  // namespace dlm_freeze
