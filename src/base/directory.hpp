// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace dlm_freeze {

/// The names in a directory, sorted; none when it is absent.
[[nodiscard]] std::vector<std::string> names_in(const std::string& directory);

}  // namespace dlm_freeze
