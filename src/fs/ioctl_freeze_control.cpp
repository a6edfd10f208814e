// SPDX-License-Identifier: Apache-2.0
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>

#include "fs/freeze_control.hpp"

namespace dlm_freeze {
namespace {

template <typename Call>
int errno_of(Call call) noexcept {
  for (;;) {
    if (call() == 0) return 0;
    if (errno != EINTR) return errno;
  }
}

}  // namespace

int IoctlFreezeControl::sync(int fd) noexcept {
  return errno_of([fd] { return ::syncfs(fd); });
}
int IoctlFreezeControl::flush(int fd) noexcept {
  return errno_of([fd] { return ::fsync(fd); });
}
int IoctlFreezeControl::freeze(int fd) noexcept {
  return errno_of([fd] { return ::ioctl(fd, FIFREEZE, 0); });
}
int IoctlFreezeControl::thaw(int fd) noexcept {
  return errno_of([fd] { return ::ioctl(fd, FITHAW, 0); });
}

}  // namespace dlm_freeze
