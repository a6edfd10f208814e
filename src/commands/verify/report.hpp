// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "commands/verify/checks.hpp"
#include "commands/verify/set.hpp"

namespace dlm_freeze {

/// What `verify` found out about copies.
struct VerifyReport {
  VerifiedSet set;
  std::vector<Check> checks;
  bool is_checked = false;  ///< Whether filesystems and databases were checked.
  double seconds = 0;

  /// The worst of all.
  [[nodiscard]] Proof proof() const;
};

/// Of a run that came to no result, with `why`.
[[nodiscard]] VerifyReport report_of_none(Proof proof, const std::string& why);

[[nodiscard]] std::string to_text(const VerifyReport& report);
[[nodiscard]] Json to_json(const VerifyReport& report);

/// A JUnit file: a test case for each member and each check; what is bad is a failure, what is unchecked an error.
[[nodiscard]] std::string to_junit(const VerifyReport& report);

}  // namespace dlm_freeze
