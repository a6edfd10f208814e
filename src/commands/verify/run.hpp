// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "commands/verify/request.hpp"

namespace dlm_freeze {

/// Verifies the copies of `request`.
[[nodiscard]] VerifyAnswer verify_copies(const VerifyRequest& request);

}  // namespace dlm_freeze
