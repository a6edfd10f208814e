// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "host.hpp"
#include "injector.hpp"

namespace dlm_freeze::faults {

/// How a session is to go.
struct Trial {
  std::optional<Fault> fault = {};
  std::vector<std::string> environment = {};  ///< Of both commands.
  Milliseconds suspension{0};                 ///< The fault stops everything for so long.
  bool pre_script_fails = false;
};

/// What it came to.
struct Verdict {
  bool reached = false;                 ///< The fault came to pass.
  std::vector<std::string> violations;  ///< Of what has to hold whatever happens.
  std::string text;                     ///< What the commands printed.
};

/// A session, from pre-script to the one after it.
[[nodiscard]] Verdict run_session(Host& host, Injector& injector, const Trial& trial);

}  // namespace dlm_freeze::faults
