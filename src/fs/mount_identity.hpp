// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "dlm_freeze/base/error.hpp"

namespace dlm_freeze {

/// The id of the mount that an open descriptor lies on, as in the first field of mountinfo: the `mnt_id` of
/// /proc/self/fdinfo (proc(5)), which kernels without STATX_MNT_ID have as well.
[[nodiscard]] Result<int> mount_id_of(int fd);

}  // namespace dlm_freeze
