// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <initializer_list>
#include <span>

#include "dlm_freeze/base/error.hpp"

namespace dlm_freeze {

/// Gives up all capabilities (capabilities(7)) of the calling thread, and of those that it starts later, but `keep`. A
/// program that it executes as root still gets all that it would have had. Where that fails, it keeps what it has.
void keep_capabilities(std::initializer_list<int> keep) noexcept;

/// The same, for a process that executes nothing: a program would get none either, nor gain any by a set-user-ID bit
/// (PR_SET_NO_NEW_PRIVS in prctl(2)).
void keep_capabilities_for_good(std::initializer_list<int> keep) noexcept;

/// Lets all threads of this process make no system calls from now on but `calls` and, of ioctl(2), FIFREEZE and FITHAW:
/// any other fails with EPERM (seccomp(2)). An error: it may make whatever it could before. In a build with a sanitizer
/// or for coverage nothing happens: what those are made of needs other calls.
Result<void> allow_calls(std::span<const int> calls);

/// What freezing, thawing, waiting, telling another process and ending need, with what the C library makes for memory,
/// threads and time: for allow_calls. No file is opened, no process started, no socket made.
[[nodiscard]] std::span<const int> calls_of_freezing() noexcept;

}  // namespace dlm_freeze
