// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace dlm_freeze::faults {

/// Runs `body` in `count` processes at the same time, each with nobody of its own left when it is over, and gives the
/// lines that they write to stdout. `ok` becomes false when one fails.
[[nodiscard]] std::vector<std::string> outputs_of(unsigned count, const std::function<void()>& body, bool& ok);

}  // namespace dlm_freeze::faults
