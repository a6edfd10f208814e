// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "dlm_freeze/base/error.hpp"

namespace dlm_freeze {

// Where systemd is the init, whoever is started belongs to the control group of whoever started it, and a stop of that
// unit kills all of it: KillMode=control-group, the default, in systemd.kill(5). A new session or a new parent is no
// way out; a scope is: a unit of processes that systemd did not start, systemd.scope(5). Of a session, watchdog and
// sentinel get one, so that the end of the caller (an update of the SSM agent, say) is not theirs.

/// Whether systemd is the init of this host: the test of sd_booted(3).
[[nodiscard]] bool host_runs_systemd(const std::string& sign = "/run/systemd/system");

struct SessionProcesses {
  pid_t watchdog = -1;
  pid_t sentinel = -1;
};

/// Has systemd move `processes` into a new unit dlm-freeze-<watchdog>.scope, by the module systemd-scope.so in
/// `module_directory`, and waits until that is done, for 0.25 seconds at most besides loading it. Later children of
/// theirs are born there. When it fails they stay where they are, or, if systemd was late, are moved later. Leaves no
/// descriptor and no thread behind. Not to be called while anything is frozen: it loads libraries.
[[nodiscard]] Result<void> move_to_own_scope(const std::string& module_directory, SessionProcesses processes);

/// What the module defines, as a C function of the name kScopeModuleSymbol. A module of its own, since it needs
/// libsystemd, which the program is not to need.
///
/// Starts the scope `name` with the processes `watchdog` and `sentinel` through the private socket of systemd, which
/// root may use and which is there without a D-Bus daemon. Gives up after `timeout_usec` microseconds. Returns 0, or a
/// negative errno and why in `error`, a string in at most `error_size` bytes. The call is StartTransientUnit of
/// org.freedesktop.systemd1(5), its end the signal JobRemoved.
using ScopeModuleFunction = int (*)(const char* name, std::uint32_t watchdog, std::uint32_t sentinel,
                                    std::uint64_t timeout_usec, char* error, std::size_t error_size);
inline constexpr const char* kScopeModuleSymbol = "dlm_freeze_start_scope";

}  // namespace dlm_freeze
