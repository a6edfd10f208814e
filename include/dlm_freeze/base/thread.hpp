// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <vector>

namespace dlm_freeze {

/// Gives threads that this process starts from now on small stacks, which are locked in memory if the process locks its
/// memory.
void use_small_thread_stacks() noexcept;

/// Runs every job in a thread of its own and waits for all. A job for which no thread can be started runs in the
/// caller's.
void run_in_parallel(const std::vector<std::function<void()>>& jobs) noexcept;

/// Runs `job` in a thread that nobody waits for, or in the caller's if none can be started.
void run_detached(std::function<void()> job) noexcept;

}  // namespace dlm_freeze
