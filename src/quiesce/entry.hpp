// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dlm_freeze/base/error.hpp"
#include "dlm_freeze/base/unique_fd.hpp"
#include "dlm_freeze/quiesce/program.hpp"

// How a program gets into a container. Its keeper starts the entrant instead of it: this very program by another name,
// executed from a sealed copy in memory. That takes on what the container's first process has (control groups, limits,
// account, capabilities), enters its namespaces and forks the warden there, a child of the keeper's, which is then told
// to begin. The warden starts the program, adopts whatever the program leaves behind, and ends as the program does.
//
// Why a copy: root in a container may be allowed to look into every process that it sees (CAP_SYS_PTRACE). What it
// could open by /proc/PID/exe of one that has entered must not be a file of this host, and what that process has in
// memory must not be what the watchdog has. Why not the keeper itself: a process that has entered is no place to keep
// anything from.

namespace dlm_freeze {

inline constexpr const char* kEntrantName = "dlm-entrant";

/// The entrant's end of the channel to its keeper, a descriptor. To the keeper it says the warden's process id; the
/// keeper says one byte when the warden may begin, and its end tells the warden not to.
inline constexpr int kEntryChannel = 3;

/// A sealed copy of this program, to be executed. Errors: vm.memfd_noexec forbids it, memory is short.
[[nodiscard]] Result<UniqueFd> entry_image();

/// The arguments of the entrant for such a program.
[[nodiscard]] std::vector<std::string> entrant_arguments(const Program& program);

/// Whether this process was started as the entrant.
[[nodiscard]] bool is_entrant(int argc, char* const* argv) noexcept;

/// What it does then. What goes wrong is a line on its stderr.
[[noreturn]] void run_entrant(int argc, char* const* argv);

/// What a process may do, as a /proc/PID/status of it says; the ids are the host's.
struct ProcessRights {
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;
  std::uint64_t inheritable = 0;  ///< Capabilities, a bit each.
  std::uint64_t permitted = 0;
  std::uint64_t effective = 0;
  std::uint64_t bounding = 0;
  std::uint64_t ambient = 0;
  bool gains_none = false;   ///< no_new_privs
  bool is_filtered = false;  ///< Its system calls.
};

/// Nothing where the text is none of a living process.
[[nodiscard]] std::optional<ProcessRights> parse_rights(std::string_view status);

/// What has to be written to /proc/self/attr/exec for the next program to run under the label that a process has,
/// which is the text of its attr/current: of SELinux the same, of AppArmor a command.
[[nodiscard]] std::string label_for_exec(std::string_view current);

/// Whether the process, by its directory in /proc, executes a file of its own mount namespace. One that does not is a
/// runtime that is still building the container: it is in the container's control group and namespaces already, and has
/// rights, and for a while the root directory, of this host.
[[nodiscard]] bool executes_a_file_of_its_own(int process);

/// A limit of a process (getrlimit(2)), as a line of its /proc/PID/limits says it.
struct ProcessLimit {
  int resource = 0;
  rlimit limit{};
};
[[nodiscard]] std::vector<ProcessLimit> parse_limits(std::string_view text);

/// An account in numbers, "999:999". Nothing for any other text.
struct NumericAccount {
  uid_t uid = 0;
  gid_t gid = 0;
};
[[nodiscard]] std::optional<NumericAccount> parse_numeric_account(std::string_view text);

}  // namespace dlm_freeze
