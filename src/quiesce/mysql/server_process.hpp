// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "dlm_freeze/quiesce/quiescer.hpp"
#include "quiesce/foreign_server.hpp"

namespace dlm_freeze::mysql {

/// What is known of the server behind a socket without logging in.
struct Listener {
  bool listening = false;
  pid_t pid = 0;       ///< 0 when it cannot be known.
  std::string detail;  ///< Why nobody listens.
};

/// Looks whether somebody listens on a socket. Only where the kernel's table does not tell it
/// connects, since a connection without a log-in leaves a warning in the server's log.
[[nodiscard]] Listener find_listener(const std::string& socket);

/// Why nobody listens at that TCP address; empty when somebody does, or when that cannot be told within a second.
/// Connects and hangs up, which the server counts as a failed log-in.
[[nodiscard]] std::string refusal_of(const std::string& host, unsigned port);

/// The process at the other end of a connection by socket; 0 when it is not one of this host.
[[nodiscard]] pid_t peer_process(int fd);

inline constexpr const char* kOpenFiles = "open files";

/// Where a process works.
struct ProcessFiles {
  bool known = false;             ///< False: not visible, or its paths mean other files than here (a container's).
  std::string working_directory;  ///< A server's data directory.
  std::string root;               ///< Before every path that it says itself; empty for "/".
  std::vector<DataLocation> directories;  ///< Others in which it has files open, tables or logs of it.
};

[[nodiscard]] ProcessFiles files_of(pid_t pid);

/// All that can be told of where a server of MySQL keeps what without a log-in: its data directory, tables elsewhere,
/// and whatever else it has open.
[[nodiscard]] std::vector<DataLocation> locations_of(const ProcessFiles& files);

/// The same for a server in another mount namespace, by paths through its root directory. Errors: its files do not
/// answer in time, or it has ended.
[[nodiscard]] Result<std::vector<DataLocation>> locations_of(const ForeignServer& server, const Patience& patience);

/// What a process in another mount namespace has open: paths as it names them.
[[nodiscard]] ProcessFiles files_of(const ForeignServer& server);

/// The socket of those on which it listens that takes statements; empty: there is none.
[[nodiscard]] std::string socket_of(const ForeignServer& server);

/// A path that leads to the root directory of the process, and with what it sees behind it.
[[nodiscard]] std::string root_of(pid_t pid);

/// Whether `theirs`, a path as the process sees it, is the file `ours` of this host. A service with a /tmp of its own
/// shares most others.
[[nodiscard]] bool is_same_file(pid_t pid, const std::string& theirs, const std::string& ours);

}  // namespace dlm_freeze::mysql
