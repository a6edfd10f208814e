// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "dlm_freeze/base/deadline.hpp"
#include "dlm_freeze/base/error.hpp"
#include "dlm_freeze/base/unique_fd.hpp"

namespace dlm_freeze {

/// A descriptor that is readable from `deadline` on.
[[nodiscard]] Result<UniqueFd> new_timer(Deadline deadline);

}  // namespace dlm_freeze
