// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace dlm_freeze {

/// What pg_controldata prints: its labels and their values.
using ControlData = std::map<std::string, std::string, std::less<>>;
[[nodiscard]] ControlData read_control_data(std::string_view output);

/// "16/B374D848" as a number; nothing when it is none.
[[nodiscard]] std::optional<std::uint64_t> lsn_number(std::string_view text);

/// "15" of "15.14 (Debian …)" and of "15".
[[nodiscard]] std::string major_version(std::string_view version);

}  // namespace dlm_freeze
