// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdlib>
#include <string>

namespace dlm_freeze {

/// DLM_FREEZE_TEST_ROUNDS, which .ci/nightly sets to 20, or `usual`.
inline int rounds_or(int usual) {
  const char* const text = std::getenv("DLM_FREEZE_TEST_ROUNDS");
  return text != nullptr && *text != '\0' ? std::stoi(text) : usual;
}

/// At how many moments of a run something is killed: `few`, or `many` where many rounds are wanted.
inline int moments_of(int few, int many) { return rounds_or(1) > 1 ? many : few; }

}  // namespace dlm_freeze
