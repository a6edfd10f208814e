// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <initializer_list>
#include <span>

#include "dlm_freeze/base/error.hpp"

namespace dlm_freeze {

/// Puts all capabilities (capabilities(7)) of the calling thread, and of those that it starts later, out of effect but
/// `used`. They are not given up: a program that it executes as root has them all, and keeps its parent-death signal,
/// which the kernel clears for one that gains some. Where that fails, it goes on with what it has.
void use_capabilities(std::initializer_list<int> used) noexcept;

/// Puts one that is out of effect back into effect, for the calling thread alone.
void use_capability_again(int capability) noexcept;

/// Gives up all but `keep`, for a process that executes nothing: a program would have none either, nor gain any by a
/// set-user-ID bit (PR_SET_NO_NEW_PRIVS in prctl(2)).
void keep_capabilities_for_good(std::initializer_list<int> keep) noexcept;

/// Lets all threads of this process make no system calls from now on but `calls` and, of ioctl(2), FIFREEZE and FITHAW:
/// any other fails with EPERM (seccomp(2)). An error: it may make whatever it could before. In a build with a sanitizer
/// or for coverage nothing happens: what those are made of needs other calls.
Result<void> allow_calls(std::span<const int> calls);

/// What freezing, thawing, waiting, telling another process and ending need, with what the C library makes for memory,
/// threads and time: for allow_calls. No file is opened, no process started, no socket made.
[[nodiscard]] std::span<const int> calls_of_freezing() noexcept;

/// The same, and what else keeping a session and recording its end need: files, the log's socket, a process that
/// executes nothing. No program is executed, nothing is mounted, no other process is read or traced, no right is
/// gained.
[[nodiscard]] std::span<const int> calls_of_keeping() noexcept;

/// Denies this process, and whatever it executes, the calls by which root in a container could reach the kernel beyond
/// what a container is for: new namespaces, mounts, modules, keys, BPF, io_uring, tracing, the clock, other than the
/// native calls. They fail with EPERM. For one that may have CAP_SYS_ADMIN, or gains no rights. A filter of a runtime's
/// cannot be had: the kernel gives it to a debugger alone, which would have to stop the container.
[[nodiscard]] Result<void> deny_calls_in_container();

}  // namespace dlm_freeze
