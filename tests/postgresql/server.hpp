// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "integration/harness/container.hpp"
#include "integration/harness/system.hpp"

namespace dlm_freeze::integration {

/// A version of PostgreSQL on this host: Debian's own, one in a directory to chroot into, or unpacked programs.
struct Installation {
  std::string root = "/";  ///< What to chroot into.
  std::string programs;    ///< "/usr/lib/postgresql/15/bin", seen from there.
  int version = 0;         ///< 15
  uid_t user = 0;          ///< The account postgres, which may have another number in there.
  gid_t group = 0;
};

/// The version that the tests run on: that of DLM_FREEZE_POSTGRESQL_ROOT if it is set (a root, or a directory that has
/// the programs in native/bin), else the host's 15. None: it is
/// not installed.
[[nodiscard]] std::optional<Installation> find_installation();

/// Where a cluster lies and how it is reached.
struct ClusterSpec {
  std::string data = "/srv/data/main";
  std::string wal = {};  ///< Empty: in the data directory.
  std::string sockets = "/run/postgresql";
  int port = 5432;
  std::vector<std::string> settings = {};  ///< "name=value"
  std::string log = {};                    ///< Empty: /srv/log/<port>.log
  std::optional<uid_t> user = {};          ///< Instead of postgres; the group is then nogroup.
  std::optional<ContainerSpec> container =
      {};  ///< Where it runs; its sockets are then in the container's own directory.
};

/// A PostgreSQL server of the test's own. Logins of the operating system's owner are by peer authentication, as on
/// Debian; the roles that tests make need no password.
class Server {
 public:
  Server(Installation installation, ClusterSpec spec);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Kills it, if it runs.
  ~Server();

  /// What initdb makes, with checksums. The clusters of one build's tests are copies of one, of the same system
  /// identifier.
  void create();

  /// Starts it and waits until it accepts connections; with `wait` false only until its socket is there.
  void start(bool wait = true);
  void launch();  ///< Starts it, and does not wait.

  /// SIGINT, a fast shutdown, and waits for the end.
  void stop();
  void signal(int number) const;
  void kill();
  /// Kills the first process of its container, and so all.
  void kill_container();

  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] const ClusterSpec& spec() const { return spec_; }

  /// The directory of its socket, as root of this host names it.
  [[nodiscard]] std::string sockets() const;
  [[nodiscard]] std::string log() const;

  /// What psql prints for a statement of the superuser; throws when it fails.
  std::string sql(const std::string& statement) const;  // NOLINT(modernize-use-nodiscard)

  /// The same as `role` in `database`; one transaction, unless `statement` says otherwise.
  std::string sql_as(const std::string& role, const std::string& database,
                     const std::string& statement) const;  // NOLINT(modernize-use-nodiscard)

  /// Runs one of PostgreSQL's programs as the cluster's owner, with host and port in its environment.
  std::string tool(const std::string& name,
                   const std::vector<std::string>& arguments) const;  // NOLINT(modernize-use-nodiscard)

  /// Tables and indexes agree with each other and are whole, and so are all pages once it is stopped: else throws. Less
  /// is looked at where unpacked programs lack the tools: the host's know neither tables before PostgreSQL 14 nor
  /// another version's files.
  void check_and_stop();

  /// The command line of a program that `tool` runs.
  [[nodiscard]] std::vector<std::string> command(const std::string& name,
                                                 const std::vector<std::string>& arguments) const;

  /// The process id of a backend by its backend_type.
  [[nodiscard]] pid_t process(const std::string& backend_type) const;

  /// How many sessions of dlm-freeze there are.
  [[nodiscard]] int our_sessions() const;

 private:
  [[nodiscard]] bool accepts() const;
  void own(const std::string& directory) const;
  /// A data directory as initdb made it once, for this build's tests; there may be none yet.
  [[nodiscard]] std::string data_template() const;
  void make_data_directory() const;
  void start_in_container(const std::vector<std::string>& arguments);
  void show_to_chroot() const;

  Installation installation_;
  ClusterSpec spec_;
  pid_t pid_ = -1;
};

}  // namespace dlm_freeze::integration
