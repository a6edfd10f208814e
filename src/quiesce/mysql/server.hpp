// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "dlm_freeze/quiesce/quiescer.hpp"
#include "quiesce/foreign_server.hpp"
#include "quiesce/mysql/cluster_state.hpp"
#include "quiesce/mysql/connection.hpp"
#include "quiesce/mysql/dialect.hpp"

namespace dlm_freeze::mysql {

/// What a server says of itself: its version, its variables, and where it keeps its files.
class ServerInfo {
 public:
  /// `server`: where it runs, if that is known to be another mount namespace.
  [[nodiscard]] static SqlResult<ServerInfo> read(Connection& connection, std::optional<ForeignServer> server,
                                                  const Patience& patience);

  [[nodiscard]] const ServerVersion& version() const { return version_; }
  [[nodiscard]] const std::string& account() const { return account_; }  ///< "dlm-freeze@localhost"

  /// Whether the account has one of these global privileges in this session, by a role too.
  [[nodiscard]] bool grants(const std::vector<std::string_view>& privileges) const {
    return skips_grants_ || grants_any(grants_, privileges, roles_active_);
  }

  /// Nothing else is known of a node of a cluster that takes no statements now.
  [[nodiscard]] const ClusterState& cluster() const { return cluster_; }

  /// A global variable; empty when this version has none of that name.
  [[nodiscard]] std::string variable(const std::string& name) const;
  [[nodiscard]] bool is_on(const std::string& name) const;

  /// Whether commits reach InnoDB's log files at intervals alone, and no statement makes them do so.
  [[nodiscard]] bool writes_log_by_time() const;

  /// The directories it writes in and those of its tables, each with its first use. None when that is
  /// not known: it runs on another host, or its files do not answer.
  [[nodiscard]] const std::vector<DataLocation>& locations() const { return locations_; }
  /// Set where it runs in another mount namespace.
  [[nodiscard]] const std::optional<ForeignServer>& process() const { return server_; }
  [[nodiscard]] bool locations_known() const { return locations_known_; }

  /// The absolute path on this host of a path that the server names.
  [[nodiscard]] std::string resolve(const std::string& path) const;

 private:
  [[nodiscard]] SqlResult<void> read_grants(Connection& connection, const Patience& patience);
  void find_locations(Connection& connection, const Patience& patience);
  [[nodiscard]] std::vector<DataLocation> settings_of_data(Connection& connection, const Patience& patience) const;
  [[nodiscard]] std::vector<DataLocation> settings_of_temporary_files() const;
  void add_location(DataLocation location);
  void add_settings(const std::vector<DataLocation>& settings);
  void add_foreign(const std::vector<DataLocation>& data, const std::vector<DataLocation>& temporary,
                   const Patience& patience);
  [[nodiscard]] std::string absolute(const std::string& path) const;

  ServerVersion version_;
  std::string account_;
  std::vector<std::string> grants_;
  bool roles_active_ = false;
  bool skips_grants_ = false;  ///< The server runs with --skip-grant-tables.
  ClusterState cluster_;
  std::map<std::string, std::string> variables_;
  std::vector<DataLocation> locations_;
  bool locations_known_ = true;
  int process_ = 0;
  std::optional<ForeignServer> server_;
  std::string root_;  ///< Before each of its paths, in a chroot or another mount namespace.
};

[[nodiscard]] SqlResult<ServerVersion> read_version(Connection& connection, const Patience& patience);

[[nodiscard]] SqlResult<ClusterState> read_cluster_state(Connection& connection, const Patience& patience);

/// A connection from which a replica replicates.
struct Channel {
  std::string name;
  bool applier_running = false;
  std::string source;
  std::string file;
  std::string position;
  std::string gtid;
};

/// The channels of a replica; none when it is not one.
[[nodiscard]] SqlResult<std::vector<Channel>> read_channels(Connection& connection, const ServerVersion& version,
                                                            const Patience& patience);

/// Where the server stands: versions, identity, binary log, GTIDs, replica coordinates. What the
/// account may not ask is left out and named in `missing`.
[[nodiscard]] SqlResult<std::vector<Fact>> read_positions(Connection& connection, const ServerInfo& server,
                                                          const Patience& patience, std::vector<std::string>& missing);

/// The statements that other sessions run.
[[nodiscard]] SqlResult<std::vector<Statement>> read_statements(Connection& connection, const Patience& patience);

}  // namespace dlm_freeze::mysql
