// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "dlm_freeze/base/error.hpp"
#include "dlm_freeze/base/unique_fd.hpp"
#include "dlm_freeze/quiesce/program.hpp"

namespace dlm_freeze {

/// All that the program's process needs to become the program, made before the fork.
struct Launch {
  std::string path;
  std::vector<std::string> argv;
  std::vector<std::string> environment;
  bool changes_user = false;
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;
  UniqueFd entry_image;    ///< For a program in a container: of the entrant, which `argv` is for (entry.hpp).
  UniqueFd entry_channel;  ///< Its end.
};

/// Errors: there is no such account.
[[nodiscard]] Result<Launch> launch_of(const Program& program);

/// Turns the calling process, a child of `keeper`, into the program. Like `complain`, for between a fork and an exec:
/// only async-signal-safe calls (fork(2)).
[[noreturn]] void become(const Launch& launch, char* const* argv, char* const* environment, pid_t keeper);

/// Why `path` cannot be executed by this process, and what to do: "… cannot be executed: it is no file". Empty: it can.
[[nodiscard]] std::string why_not_executable(const std::string& path);

/// Ends such a process with a line on its stderr and the exit status of what cannot be executed.
[[noreturn]] void complain(std::string_view what);

}  // namespace dlm_freeze
