// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "dlm_freeze/quiesce/registry.hpp"

namespace dlm_freeze::command {

/// `command`: quiesces anything through programs of the operator's own.
[[nodiscard]] const QuiescerType& quiescer_type();

}  // namespace dlm_freeze::command
