// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <vector>

#include "dlm_freeze/base/unique_fd.hpp"

namespace dlm_freeze {

/// Turns a process that was just forked into one that nothing of its caller reaches any more: a session of its own,
/// no stdio but /dev/null, no descriptor but `keep`, all signals blocked, spared by the OOM killer. `name` is what ps
/// shows (at most 15 characters).
void become_background(const char* name, std::vector<int> keep) noexcept;

/// The same for a process that such a one forked: what it inherits is left as it is, and no file is opened.
void stay_background(const char* name, std::vector<int> keep) noexcept;

/// Closes `first` and all descriptors above it. Async-signal-safe.
void close_from(unsigned first) noexcept;

/// Writes `score` to the calling process's oom_score_adj (proc(5)). Async-signal-safe.
void set_oom_score(const char* score) noexcept;

/// A descriptor that is readable when `process`, a child of the caller or one known to live, has ended; empty with
/// errno where there is none to be had.
[[nodiscard]] UniqueFd open_pidfd(pid_t process) noexcept;

/// Sends `signal` to the process of `pidfd`, if there is one.
void send_signal(const UniqueFd& pidfd, int signal) noexcept;

/// Closes every descriptor of the calling thread but stdio and `keep`, of which -1 stands for none.
void close_all_but(std::vector<int> keep) noexcept;

/// Locks what this process has in memory and will get, so that it never waits for a page while filesystems are frozen.
void lock_memory() noexcept;

}  // namespace dlm_freeze
