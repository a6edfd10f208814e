// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "dlm_freeze/quiesce/registry.hpp"

namespace dlm_freeze {

/// `flag_file`: for programs that stop writing as long as a certain file exists.
[[nodiscard]] const QuiescerType& flag_file_quiescer_type();

}  // namespace dlm_freeze
