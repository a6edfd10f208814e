// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace dlm_freeze {

/// What a process inherits from its caller and would stumble over, put right: to be called before anything else, by a
/// process without threads.
///
/// * Descriptors 0 to 2 are open: on /dev/null where the caller had closed them, so that no file of ours becomes
/// stdout.
/// * No signal is ignored but SIGPIPE and SIGXFSZ, which then are errors of write(2), and none is blocked. (An ignored
///   SIGCHLD would make waitpid(2) lose the status of a hook that failed.)
/// * The limits on memory, processing time, the sizes of files, processes and descriptors are as wide as this process
///   may make them. Where root lacks CAP_SYS_RESOURCE that is the caller's hard limit.
/// * What it creates nobody else can read.
/// * It runs as any program does, on every CPU that its cpuset has: with the usual scheduling policy and I/O class, and
///   no nice value above 0, where it may change that.
/// * There is no TZ, which can name any file to be read. The host's log has the host's time.
///
/// Left as it is: the working directory (paths on the command line may be relative to it; see enter_root), the
/// rest of the environment, a timer of alarm(2), which callers use to end what runs too long.
void be_born_clean() noexcept;

/// Whether the caller had closed stdout, so that what is written there gets lost.
[[nodiscard]] bool was_stdout_closed() noexcept;

/// Leaves the caller's working directory, which may lie on a filesystem that is going to be frozen or unmounted.
void enter_root() noexcept;

}  // namespace dlm_freeze
