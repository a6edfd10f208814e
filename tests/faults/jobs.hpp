// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>
#include <vector>

namespace dlm_freeze::faults {

/// main() of these programs: reads their arguments as `app` says and runs `body`, whose exit code it returns. 77 where
/// nothing can be frozen: without root or loop devices.
[[nodiscard]] int run_program(CLI::App& app, int argc, char** argv, const std::function<int()>& body);

/// Runs `body` in a process of its own and shows the lines that it writes. 1 when it fails, or one begins with
/// "BROKEN".
[[nodiscard]] int run_and_show(const std::function<void()>& body);

/// Runs `body` in `count` processes at the same time, each with nobody of its own left when it is over, and gives the
/// lines that they write to stdout. `ok` becomes false when one fails.
[[nodiscard]] std::vector<std::string> outputs_of(unsigned count, const std::function<void()>& body, bool& ok);

}  // namespace dlm_freeze::faults
