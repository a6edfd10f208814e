// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dlm_freeze/base/deadline.hpp"
#include "dlm_freeze/base/error.hpp"
#include "dlm_freeze/base/unique_fd.hpp"
#include "dlm_freeze/quiesce/account.hpp"

// Servers in mount namespaces of their own, as a rule in containers. What such a process says, and every file that it
// shows, is that of a stranger: nothing of it is executed, links in it never lead out of its root directory, and a look
// at its files that does not end is left alone.

namespace dlm_freeze {

/// A process that runs a server's program.
struct ForeignServer {
  pid_t pid = 0;
  std::uint64_t started = 0;         ///< In clock ticks since the boot: no later process of that number has the same.
  std::string program;               ///< "mariadbd"
  std::string container;             ///< What the option `container` calls it: the container's id, or "pid:1234".
  std::string where;                 ///< For a person: "docker container 3f2a1b2c3d4e", "process 1234".
  std::vector<std::string> sockets;  ///< The Unix sockets on which it listens, as it names them; absolute.
  std::vector<unsigned> ports;       ///< Those of TCP.

  /// For a person: "mariadbd in docker container 3f2a1b2c3d4e".
  [[nodiscard]] std::string text() const { return program + " in " + where; }

  /// What goes before a path as it names it, for a path as this process would: "/proc/1234/root".
  [[nodiscard]] std::string root() const { return "/proc/" + std::to_string(pid) + "/root"; }
};

/// The servers that run, in whatever mount namespace. A process is one if the name of its executable is among
/// `programs`, and that of its parent is not (PostgreSQL's children). What it listens on is filled in.
struct ForeignServers {
  std::vector<ForeignServer> servers;
  std::size_t left_out = 0;  ///< How many more there are.
};
[[nodiscard]] ForeignServers find_servers(const std::vector<std::string_view>& programs);

/// Whether there is one; the quick part of the same.
[[nodiscard]] bool has_servers(const std::vector<std::string_view>& programs);

/// The server in a container, whatever its namespaces: by the container's name or id (base/container_name.hpp), or
/// "pid:1234". With `socket`, the one that listens there. Nothing where there is none. Errors, of kind not_ready: there
/// are several.
[[nodiscard]] Result<std::optional<ForeignServer>> find_server_in(const std::string& container,
                                                                  const std::string& socket,
                                                                  const std::vector<std::string_view>& programs);

/// Why that gave nothing.
[[nodiscard]] std::string nothing_in(const std::string& container, const std::vector<std::string_view>& programs);

/// The first process of a container, whatever it runs: the oldest of its processes that are not in this mount
/// namespace. It is called as for `find_server_in`. Nothing where there is none. Errors, of kind not_ready: several are
/// called so, as those of a pod may be; it is in this mount namespace, as "pid:1234" may be.
[[nodiscard]] Result<std::optional<ForeignServer>> find_container(const std::string& container);

/// Why that gave nothing, and which containers there are.
[[nodiscard]] std::string nothing_in(const std::string& container);

/// Whether the process is no more.
[[nodiscard]] bool has_ended(const ForeignServer& server);

/// The process `pid` if it is in another mount namespace.
[[nodiscard]] std::optional<ForeignServer> foreign_process(pid_t pid);

/// Whether one of the server's sockets is the same file as one of these paths of this host.
[[nodiscard]] bool listens_on_any(const ForeignServer& server, const std::vector<std::string>& paths,
                                  const Patience& patience);

/// The account that is root where the server runs. Errors: its user namespace has none.
[[nodiscard]] Result<Account> root_account_of(const ForeignServer& server);

/// The account that the server runs as, by its ids on this host.
[[nodiscard]] Result<Account> account_of(const ForeignServer& server);

/// The paths of what it has open, its working directory first; as in its mount namespace. No file is touched. Empty
/// where that is not to be known.
[[nodiscard]] std::vector<std::string> open_paths_of(const ForeignServer& server);

/// Runs `job` in a thread whose root directory is the server's, so that every path in it means what it means there.
/// The job must neither load code nor look into /proc. Errors: the process has gone; the job did not end in time, and
/// is left alone.
[[nodiscard]] Result<void> run_in_root_of(const ForeignServer& server, std::function<void()> job,
                                          const Patience& patience);

/// The same for a job that gives something.
template <typename Job>
[[nodiscard]] auto look_in_root_of(const ForeignServer& server, Job job, const Patience& patience)
    -> Result<decltype(job())> {
  auto found = std::make_shared<std::optional<decltype(job())>>();
  auto done = run_in_root_of(
      server, [found, job = std::move(job)] { found->emplace(job()); }, patience);
  if (!done) return tl::unexpected(done.error());
  return std::move(**found);
}

/// Opens a file of the server's with O_PATH: nothing of it is read, and whatever happens to its path later, the
/// descriptor leads to it (/proc/self/fd/N). `type`: S_IFSOCK or S_IFDIR.
[[nodiscard]] Result<std::shared_ptr<const UniqueFd>> open_place(const ForeignServer& server, const std::string& path,
                                                                 mode_t type, const Patience& patience);

/// "/proc/self/fd/7"
[[nodiscard]] std::string path_of_descriptor(const UniqueFd& fd);

/// Fails unless the process at the other end of a connection by socket is the server.
[[nodiscard]] Result<void> check_peer_is(const ForeignServer& server, int fd);

/// Connects to a socket that open_place opened, to see whether it is the server that listens, and hangs up.
[[nodiscard]] Result<void> check_listener_is(const ForeignServer& server, const UniqueFd& socket);

}  // namespace dlm_freeze
