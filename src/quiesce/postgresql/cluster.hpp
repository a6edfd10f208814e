// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "dlm_freeze/quiesce/quiescer.hpp"
#include "quiesce/postgresql/cluster_files.hpp"
#include "quiesce/postgresql/connection.hpp"
#include "quiesce/postgresql/foreign_cluster.hpp"
#include "quiesce/postgresql/settings.hpp"

namespace dlm_freeze::postgresql {

/// The first version with pg_backup_start and pg_checkpoint.
inline constexpr int kVersion15 = 150000;

/// The state of a statement that its time-out has ended.
inline constexpr const char* kCancelled = "57014";

/// What the server says of itself and of what the login may do.
struct Server {
  bool in_recovery = false;
  std::string system_identifier;
  std::string data_directory;  ///< Empty when the login may not know it.
  std::string user;
  bool may_checkpoint = false;
  bool may_back_up = false;
  bool may_keep_wal = false;  ///< Make a replication slot: the login may, and there is one left.
  std::string wal_level;
};

/// What becomes of the WAL that the server does not need any more.
struct Archive {
  bool on = false;
  std::string name;     ///< The setting that says where: "archive_command = cp %p /archive/%f".
  std::string problem;  ///< Why nothing can be relied on to be in there.

  [[nodiscard]] bool is_good() const { return on && problem.empty(); }
};

/// One PostgreSQL cluster: the session with its server, where it lies, and what it says of itself.
class Cluster {
 public:
  explicit Cluster(PostgresqlSettings settings) : settings_(std::move(settings)) {}

  [[nodiscard]] const PostgresqlSettings& settings() const { return settings_; }

  /// As Quiescer::locate.
  Result<Presence> locate(const StageContext& context);

  /// Logs in, unless there is a session. The functions below that take a patience or a context need one.
  Result<void> connect(const Patience& patience);
  void disconnect() { connection_.reset(); }
  [[nodiscard]] bool is_connected() const { return connection_.has_value(); }
  [[nodiscard]] int version() const { return connection_->version(); }
  /// Connection::loss_fd; -1 without a session.
  [[nodiscard]] int loss_fd() const { return connection_ ? connection_->loss_fd() : -1; }

  Result<Server> ask_server(const Patience& patience);
  Result<Archive> ask_archive(const Patience& patience);

  /// Where it stands.
  Result<std::vector<Fact>> facts(const Patience& patience);

  /// The WAL that has been written since the last checkpoint; none when that cannot be told.
  Result<std::optional<std::uint64_t>> wal_since_checkpoint(const Patience& patience);

  /// A statement with a time-out in the server as well, so that the session is still of use when it has run out, and
  /// the statement does not go on for long if this process dies.
  Result<Reply> run_bounded(const std::string& statement, BootClock::duration limit, const Patience& patience);

  /// A CHECKPOINT that may take `limit`; whether it has ended by then. That it has not is a warning, or an error if one
  /// is required. The session may be gone then.
  Result<bool> checkpoint(StageContext& context, BootClock::duration limit, bool required);

  /// Looks where its parts lie; what cannot be found is noted.
  void find_files(const Server& server, StageContext& context);
  [[nodiscard]] const std::optional<ClusterFiles>& files() const { return files_; }
  [[nodiscard]] const DataLocation* wal_location() const;

  [[nodiscard]] const std::string& data_directory() const { return data_directory_; }

  [[nodiscard]] bool in_recovery() const { return in_recovery_; }

  /// Whether it runs in another mount namespace.
  [[nodiscard]] bool is_foreign() const { return server_.has_value(); }

  /// Whether Patroni has run it.
  [[nodiscard]] bool has_patroni() const;

 private:
  [[nodiscard]] Result<Presence> locate_in_container(const StageContext& context);
  [[nodiscard]] Result<bool> find_in_container();
  [[nodiscard]] Result<void> survey(const Patience& patience);
  [[nodiscard]] Result<Connection> open_session(const ConnectionOptions& options, const Patience& patience);
  [[nodiscard]] int major_version() const;

  PostgresqlSettings settings_;
  std::optional<Connection> connection_;
  std::string data_directory_;           ///< As far as it is known.
  pid_t server_pid_ = 0;                 ///< 0: not known.
  std::optional<uid_t> server_user_;     ///< Whose process has to listen at the socket.
  std::optional<ForeignServer> server_;  ///< Where it runs in another mount namespace.
  std::string socket_;                   ///< Of that, as it names it.
  std::optional<ForeignCluster> foreign_;
  std::optional<ClusterFiles> files_;
  bool in_recovery_ = false;
};

}  // namespace dlm_freeze::postgresql
