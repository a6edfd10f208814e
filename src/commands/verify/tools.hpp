// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "commands/verify/checks.hpp"
#include "dlm_freeze/quiesce/program.hpp"

namespace dlm_freeze {

/// The path of the first of `names` that is an executable in `directories` or where programs usually are. Empty: none
/// is.
[[nodiscard]] std::string find_program(const std::vector<std::string>& names,
                                       const std::vector<std::string>& directories = {});

/// What a check says of a program that is not there.
[[nodiscard]] Finding missing_program(const std::string& name);

/// `argv` as a program with a usual environment, in the language C.
[[nodiscard]] Program tool(std::vector<std::string> argv, std::string os_user = {});

/// Runs it, and gives each line that it prints to `take`, however many there are. The result is its exit status.
[[nodiscard]] Result<int> run_by_line(const Program& program, const Patience& patience,
                                      const std::function<void(std::string_view)>& take);

/// Turns the run of a checker that exits with 0 for good into a finding.
[[nodiscard]] Finding finding_of(const Result<ProgramResult>& ran);

}  // namespace dlm_freeze
