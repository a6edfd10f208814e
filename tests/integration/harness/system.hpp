// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

/// The harness of the integration tests. A set-up that fails throws, which fails the test that
/// asked for it.
namespace dlm_freeze::integration {

/// CLOCK_MONOTONIC: the same in every process of the host.
using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::milliseconds;

/// Throws std::system_error with errno when `result` is negative; else gives it back.
int check(int result, std::string_view what);

/// Polls `condition` every millisecond until it holds; false when `limit` has passed before.
[[nodiscard]] bool eventually(const std::function<bool()>& condition, Milliseconds limit);

void sleep_until(Clock::time_point moment);
void sleep_for(Clock::duration span);

[[nodiscard]] std::string read_text(const std::string& path);
void write_text(const std::string& path, std::string_view text);

/// Runs a program of the host (mkfs, mount…) found by PATH, waits for it and gives what it printed.
/// Throws when it fails.
std::string run_tool(const std::vector<std::string>& arguments);

/// One char pointer for each string, null at the end. Valid as long as `strings` is not changed.
[[nodiscard]] std::vector<char*> c_strings(const std::vector<std::string>& strings);

/// In a forked child: from now on SIGKILLed when the test process dies. `parent` is the test's
/// process id.
void die_with_parent(pid_t parent);

/// Waits for a child to end. False when it has not after `limit`; its status is then not collected.
[[nodiscard]] bool reap(pid_t child, Milliseconds limit, int* status = nullptr);

}  // namespace dlm_freeze::integration
