// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "client.hpp"
#include "harness/container.hpp"

namespace dlm_freeze::integration {

/// Which server this host has: MariaDB's, or Oracle's.
enum class ServerKind { none, mariadb, mysql };
[[nodiscard]] ServerKind installed_server();

struct ServerSpec {
  std::string name = "main";
  std::string data = "/srv/mysql";              ///< The data directory, made and filled if it is not there.
  std::string binary_log = {};                  ///< A directory for it; empty: in the data directory.
  std::string socket = {};                      ///< Empty: /srv/run/<name>.sock
  std::vector<std::string> options = {};        ///< Further ones.
  std::optional<ContainerSpec> container = {};  ///< Where it runs; its socket is then in the container's own directory.
};

/// A server of the test's own, in a session of its own. It dies with the test.
class Server {
 public:
  explicit Server(ServerSpec spec);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server();

  /// Starts it and waits until it answers.
  void start();
  void launch();  ///< Starts it, and does not wait.
  void stop();    ///< SIGTERM, and waits for its end.
  void kill();    ///< SIGKILL, and waits for its end.
  void signal(int number) const;

  /// Root is the container's, if it runs in one.
  [[nodiscard]] Client connect(const std::string& user = "root", const std::string& password = "") const;
  [[nodiscard]] std::string socket() const;
  [[nodiscard]] pid_t pid() const { return process_; }
  [[nodiscard]] std::string error_log() const { return "/srv/run/" + spec_.name + ".err"; }
  [[nodiscard]] bool is_mariadb() const { return installed_server() == ServerKind::mariadb; }

  /// The sessions on it, but for the one that asks.
  [[nodiscard]] std::vector<std::string> sessions() const;

  /// Sessions that wait for a lock, and statements of dlm-freeze.
  [[nodiscard]] std::vector<std::string> statements_of_ours() const;

 private:
  /// Its own: a server that starts removes the temporary tables of others.
  [[nodiscard]] std::string temporary_directory() const { return "/srv/run/" + spec_.name + ".tmp"; }
  /// An empty data directory of this server, made once for all tests: it takes MySQL seconds. Copied into each
  /// server's.
  [[nodiscard]] std::string data_template() const;
  void make_data_directory(const std::string& path) const;
  void give_to_server(const std::string& path) const;
  [[nodiscard]] std::string own_socket() const;  ///< As it names it.
  [[nodiscard]] std::vector<std::string> command() const;

  ServerSpec spec_;
  pid_t process_ = -1;
};

}  // namespace dlm_freeze::integration
