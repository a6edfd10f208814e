// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "dlm_freeze/base/error.hpp"
#include "dlm_freeze/quiesce/quiescer.hpp"

namespace dlm_freeze::postgresql {

/// What a server writes into the lock file beside its socket, "/run/postgresql/.s.PGSQL.5432.lock" (CreateLockFile in
/// PostgreSQL's miscinit.c): lines of process id, data directory, start time, port, socket directory.
struct SocketLock {
  pid_t pid = 0;
  std::string data_directory;
};

/// Errors: there is none or it is not readable; it is not such a file, or not of the socket's user.
[[nodiscard]] Result<SocketLock> read_socket_lock(const std::string& socket);
[[nodiscard]] Result<SocketLock> parse_socket_lock(const std::string& text);

/// Fails unless `data_directory`, as a lock file names it, is the one in which the server works, seen from here: it is
/// of the server's user, and the working directory of its process. A container's lock file has numbers and paths that
/// mean others here.
[[nodiscard]] Result<void> check_data_directory(const std::string& data_directory, uid_t server, pid_t process);

/// The sockets ".s.PGSQL.<port>" in a directory, without the lock files.
[[nodiscard]] std::vector<std::string> sockets_in(const std::string& directory);

/// The parts of a cluster, with symbolic links resolved: "data", "WAL", "tablespace <oid>", "server log", and by their
/// names those that links or mounts in the data directory lead to (find_parts_elsewhere). One that is mounted for the
/// process `server` alone (0: not known) has a path through its root directory. The log is
/// the collector's (current_logfiles), or what the server's own stderr leads to; none when it goes to a pipe or to
/// syslog. A part that cannot be followed from here is left out and said in `problems`. Reads the data directory; needs
/// no login.
struct ClusterFiles {
  std::vector<DataLocation> locations;
  std::vector<std::string> problems;
};
inline constexpr const char* kServerLog = "server log";
inline constexpr const char* kWal = "WAL";
[[nodiscard]] ClusterFiles find_cluster_files(const std::string& data_directory, pid_t server);

/// The version of the server whose data directory it is; 0 when that cannot be read.
[[nodiscard]] int major_version_of(const std::string& data_directory);

/// The system identifier in the cluster's control file; none when that cannot be read. It tells whether a path that a
/// server names, perhaps from inside a container, is that server's also here.
[[nodiscard]] std::optional<std::string> system_identifier_of(const std::string& data_directory);

}  // namespace dlm_freeze::postgresql
