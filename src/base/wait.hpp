// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "dlm_freeze/base/deadline.hpp"
#include "dlm_freeze/base/error.hpp"
#include "dlm_freeze/base/unique_fd.hpp"

namespace dlm_freeze {

/// Waits until `fd` is readable, or at its end, or until `deadline`: then false. Goes on after a signal.
[[nodiscard]] bool wait_readable(int fd, Deadline deadline) noexcept;

/// The same, but false also when it has to be given up.
[[nodiscard]] bool wait_readable(int fd, const Patience& patience) noexcept;

/// Waits until something can be written to `fd`, or nobody is left to read it, or until `deadline`: then false.
[[nodiscard]] bool wait_writable(int fd, Deadline deadline) noexcept;

/// Waits until a server can be read from or written to, by the events of poll(2). Errors: it has to be given up; kind
/// not_ready: the deadline has come, also for a server that always has one more byte.
[[nodiscard]] Result<void> await_server(int fd, short events, const Patience& patience);

/// Waits before something is tried again. False when it has to be given up instead.
[[nodiscard]] bool pause_for(BootClock::duration span, const Patience& patience) noexcept;

/// A counter for which another thread or process can wait: eventfd(2), non-blocking.
[[nodiscard]] Result<UniqueFd> new_event();

/// Adds one to such a counter.
void raise_event(int fd) noexcept;

/// What was added since the last call.
[[nodiscard]] std::uint64_t take_events(int fd) noexcept;

}  // namespace dlm_freeze
