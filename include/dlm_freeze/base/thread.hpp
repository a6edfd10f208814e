// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <vector>

namespace dlm_freeze {

/// Makes the threads that this process starts from now on small. Their stacks are locked in memory where the process
/// locks its memory.
void use_small_thread_stacks() noexcept;

/// Runs every job in a thread of its own and waits for all. A job for which no thread can be had is run here.
void run_in_parallel(const std::vector<std::function<void()>>& jobs) noexcept;

/// Runs `job` in a thread that nobody waits for, or here if no thread can be had.
void run_detached(std::function<void()> job) noexcept;

}  // namespace dlm_freeze
