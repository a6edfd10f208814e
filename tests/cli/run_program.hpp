// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace dlm_freeze {

struct RunOfProgram {
  int exit_status = -1;  ///< 128 + the signal, when one ended it.
  std::string out;
  std::string err;
  std::chrono::milliseconds duration{0};

  [[nodiscard]] std::string text() const { return "exit " + std::to_string(exit_status) + "\n" + out + err; }
};

struct HowToRun {
  std::string program = DLM_FREEZE_BINARY;
  std::vector<std::string> environment = {"PATH=/usr/bin:/bin"};
  std::optional<uid_t> uid;  ///< As another user. Needs root.
  bool on_terminal = false;  ///< Its output is a terminal; `err` then comes with `out`.
};

/// Runs the program under test with these arguments, until it has ended and its output is closed. It cannot freeze
/// anything: see fakes/no_freezing.hpp.
[[nodiscard]] RunOfProgram run_program_under_test(const std::vector<std::string>& arguments, const HowToRun& how = {});

}  // namespace dlm_freeze
