// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "dlm_freeze/base/deadline.hpp"
#include "dlm_freeze/base/error.hpp"

namespace dlm_freeze {

/// A program to run: never through a shell, in a process group of its own, with /dev/null as its input, / as its
/// directory, and no environment but what stands here.
struct Program {
  std::vector<std::string> argv;         ///< argv[0] is an absolute path.
  std::vector<std::string> environment;  ///< "NAME=value".
};

struct ProgramResult {
  int exit_status = 0;  ///< 128 + the signal, when one ended it.
  std::string output;   ///< stdout and stderr as they came, cut after 16 KiB.
};

/// Runs a program and waits for its end. When the deadline comes or `cancel_fd` becomes readable first, its whole
/// process group is killed and the result is an error. Also killed when the thread that runs it ends. An exit status
/// other than 0 is no error here.
[[nodiscard]] Result<ProgramResult> run_program(const Program& program, Deadline deadline, int cancel_fd);

/// The last line of a program's output that is not blank, for an error message.
[[nodiscard]] std::string last_line(const std::string& output);

}  // namespace dlm_freeze
