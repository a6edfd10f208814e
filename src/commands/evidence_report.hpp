// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "commands/hold_evidence.hpp"
#include "dlm_freeze/base/error.hpp"
#include "dlm_freeze/base/json.hpp"

namespace dlm_freeze {

// What --cut and --snapshots of verify read and print alike. Errors are of kind `not_ready`: what cannot be read proves
// nothing.

/// Of `path`, and of `<path>.1` where that is beside it: what the program itself has moved there.
[[nodiscard]] Result<History> read_history_of_host(const std::string& path);
[[nodiscard]] Result<std::vector<Snapshot>> read_snapshots(const std::string& path);

[[nodiscard]] std::string margin_text(std::optional<std::chrono::microseconds> margin);
[[nodiscard]] Json margin_json(std::optional<std::chrono::microseconds> margin);

[[nodiscard]] inline std::string verdict_text(const Judgement& judgement) {
  return std::string(to_string(judgement.proof)) + (judgement.why.empty() ? "" : ": " + judgement.why);
}

/// What the command ends with: an error unless it is proven.
[[nodiscard]] Result<void> result_of(CutProof proof, const char* if_unknown, const char* if_disproven);

}  // namespace dlm_freeze
