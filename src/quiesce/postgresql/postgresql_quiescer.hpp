// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "dlm_freeze/quiesce/quiescer.hpp"
#include "quiesce/postgresql/account.hpp"
#include "quiesce/postgresql/backup_files.hpp"
#include "quiesce/postgresql/cluster_files.hpp"
#include "quiesce/postgresql/connection.hpp"
#include "quiesce/postgresql/connection_options.hpp"

namespace dlm_freeze::postgresql {

/// What is done to a cluster so that a snapshot of it is worth having.
enum class PostgresqlMode {
  automatic,   ///< `checkpoint` where all of the cluster is going to be frozen, else `backup`.
  checkpoint,  ///< Nothing is held: frozen in one moment, the cluster is consistent, and the checkpoint makes recovery
               ///< short.
  backup,      ///< A backup is under way while it is held: the parts of the cluster need not be of one moment.
  none,        ///< Only where it stands is recorded.
};

struct PostgresqlSettings {
  std::string name;
  ConnectionOptions options;
  std::optional<Account> account;  ///< None: the owner of the socket.
  PostgresqlMode mode = PostgresqlMode::automatic;
  bool require_checkpoint = false;
  std::string backup_directory;  ///< Where the files of finished backups are kept.
};

/// One PostgreSQL cluster. It has a session with the server from `probe` on, in mode checkpoint until the end of
/// `quiesce`, so that none is left while anything is frozen; in mode backup until `release`, without a statement in
/// between.
class PostgresqlQuiescer final : public Quiescer {
 public:
  explicit PostgresqlQuiescer(PostgresqlSettings settings) : settings_(std::move(settings)) {}

  Result<Presence> locate(StageContext& context) override;
  Result<void> probe(StageContext& context) override;
  Result<void> prepare(StageContext& context) override;
  Result<std::vector<Fact>> quiesce(StageContext& context) override;
  [[nodiscard]] int watch_fd() const override { return backup_started_ && connection_ ? connection_->loss_fd() : -1; }
  Result<void> release(StageContext& context, Outcome outcome) override;
  [[nodiscard]] std::vector<Fact> intent() const override;
  Result<void> recover(StageContext& context, const std::vector<Fact>& facts) override;

 private:
  /// What the server says of itself and of what the login may do.
  struct Server {
    bool in_recovery = false;
    std::string system_identifier;
    std::string data_directory;  ///< Empty when the login may not know it.
    std::string user;
    bool may_checkpoint = false;
    bool may_back_up = false;
    std::string wal_level;
  };

  /// What becomes of the WAL that the server does not need any more.
  struct Archive {
    bool on = false;
    std::string name;     ///< The setting that says where: "archive_command = cp %p /archive/%f".
    std::string problem;  ///< Why nothing can be relied on to be in there.

    [[nodiscard]] bool is_good() const { return on && problem.empty(); }
  };

  Result<void> connect(const Patience& patience);
  Result<Server> ask_server(const Patience& patience);
  Result<Archive> ask_archive(const Patience& patience);
  void find_files(const Server& server, std::vector<LogLine>& notes);
  bool check_coverage(StageContext& context) const;
  Result<void> choose_mode(const Server& server, bool all_frozen, std::vector<LogLine>& notes);
  Result<void> check_mode(const Server& server) const;
  Result<void> check_backup(const Server& server, StageContext& context);
  Result<void> checkpoint(StageContext& context, BootClock::duration limit, bool required);
  Result<Reply> run_bounded(const std::string& statement, BootClock::duration limit, const Patience& patience);
  Result<bool> needs_second_checkpoint(const Patience& patience);
  Result<void> start_backup(const StageContext& context);
  Result<std::vector<Fact>> facts(const Patience& patience);
  Result<void> finish_backup(StageContext& context);
  Result<void> save_backup(BackupFiles files, const std::string& end, std::uint64_t segment_size,
                           const Archive& archive, StageContext& context) const;
  [[nodiscard]] const DataLocation* wal_location() const;

  [[nodiscard]] Error about(const Error& error) const { return error.with_context(settings_.name); }
  [[nodiscard]] Failure refused(const std::string& what, const Reply& reply) const;
  static Patience patience_of(const StageContext& context) { return {context.deadline, context.cancel_fd}; }

  PostgresqlSettings settings_;
  std::optional<Connection> connection_;
  std::string data_directory_;        ///< As far as it is known.
  pid_t server_pid_ = 0;              ///< 0: not known.
  std::optional<uid_t> server_user_;  ///< Whose process has to listen at the socket.
  std::optional<ClusterFiles> files_;
  PostgresqlMode mode_ = PostgresqlMode::automatic;  ///< The one that was chosen.
  bool may_checkpoint_ = false;
  bool first_checkpoint_done_ = false;
  bool in_recovery_ = false;
  bool backup_started_ = false;
  std::string saved_to_;  ///< The directory for the files of this backup.
};

}  // namespace dlm_freeze::postgresql
