// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <string_view>

namespace dlm_freeze::postgresql {

/// The servers' executables.
inline constexpr std::array<std::string_view, 2> kPrograms = {"postgres", "postmaster"};

}  // namespace dlm_freeze::postgresql
