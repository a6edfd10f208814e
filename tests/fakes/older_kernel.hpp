// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace dlm_freeze::fakes {

/// The first system call that Linux 4.14 lacks and that has the same number on every architecture, as all after it
/// have: pidfd_send_signal(2), Linux 5.1.
inline constexpr unsigned kFirstNewCall = 424;
inline constexpr unsigned kCloseRange = 436;

/// From now on the kernel answers the system calls of number `first` to `last` with `error`, and all of another
/// architecture than this program's with ENOSYS: to this process and to all that it starts, for good (seccomp(2)). Who
/// is not root gains no privileges by an exec any more. False where that cannot be had.
[[nodiscard]] bool deny_calls(unsigned first, unsigned last, int error);

/// The same, of all that are newer than Linux 4.14.
[[nodiscard]] bool deny_new_calls();

}  // namespace dlm_freeze::fakes
