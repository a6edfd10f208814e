// SPDX-License-Identifier: Apache-2.0
#include "dlm_freeze/base/unique_fd.hpp"

#include <unistd.h>

#include <cerrno>
#include <utility>

namespace dlm_freeze {

UniqueFd& UniqueFd::operator=(UniqueFd&& other) noexcept {
  if (this != &other) {
    reset();
    fd_ = other.release();
  }
  return *this;
}

int UniqueFd::release() noexcept { return std::exchange(fd_, -1); }

void UniqueFd::reset() noexcept {
  if (fd_ < 0) return;
  const int saved = errno;
  // EINTR on Linux closes all the same: a retry could close another thread's descriptor.
  ::close(release());
  errno = saved;
}

}  // namespace dlm_freeze
