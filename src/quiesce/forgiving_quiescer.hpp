// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string_view>

#include "dlm_freeze/quiesce/quiescer.hpp"

namespace dlm_freeze {

/// The fact that one which was left out gives instead: why.
inline constexpr std::string_view kNotQuiesced = "not_quiesced";

/// Makes a quiescer one that is left out, with a WARN that says why, as soon as it cannot be located, probed, prepared
/// or quiesced: for servers that nobody has configured, in containers that anybody may have made. It gets no more than
/// a part of each stage's time.
[[nodiscard]] std::unique_ptr<Quiescer> forgive(std::unique_ptr<Quiescer> quiescer);

}  // namespace dlm_freeze
