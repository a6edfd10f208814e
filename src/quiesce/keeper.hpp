// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "quiesce/launch.hpp"

namespace dlm_freeze {

struct KeeperFds {
  int input;   ///< The program's.
  int output;  ///< The same.
  int unread;  ///< The other end of its output: kept open, so that it is not killed by SIGPIPE where it says READY.
  int life;
  int entry;  ///< The channel to the entrant, for a program in a container; else -1.
};

/// What kills a program in a container kills all of its descendants, in whatever process group or session they are:
/// nobody else would, since it is not the host that they run on.
///
/// Turns the calling process, which was just forked, into the keeper: it starts the program, kills it `grace_ms` after
/// the end of `fds.life`, or as soon as a byte comes from there, and ends as the program did. Only async-signal-safe
/// calls.
[[noreturn]] void keep_program(const Launch& launch, char* const* argv, char* const* environment, KeeperFds fds,
                               int grace_ms);

}  // namespace dlm_freeze
