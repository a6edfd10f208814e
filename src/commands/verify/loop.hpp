// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "dlm_freeze/base/error.hpp"
#include "dlm_freeze/base/unique_fd.hpp"

namespace dlm_freeze {

/// A loop device, which goes away with its last user: this object, or what is mounted from it.
struct Loop {
  UniqueFd device;
  std::string path;  ///< "/dev/loop12"
};

/// Makes one of the file or block device open as `backing`. Read-only if that was opened so: then neither a mount nor a
/// program can write to it, whatever it wants.
[[nodiscard]] Result<Loop> attach_loop(int backing);

}  // namespace dlm_freeze
