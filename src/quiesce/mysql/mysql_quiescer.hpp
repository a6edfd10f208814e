// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dlm_freeze/quiesce/quiescer.hpp"
#include "quiesce/mysql/connection.hpp"
#include "quiesce/mysql/dialect.hpp"
#include "quiesce/mysql/server.hpp"

namespace dlm_freeze::mysql {

struct MysqlSettings {
  std::string name;
  ServerAddress address;
  std::string password_file;
  std::string lock;                   ///< The option of that name; see choose_lock.
  std::chrono::seconds long_query{};  ///< Statements older than that are waited for; 0: none.
  std::chrono::seconds wait{};        ///< How long.
  std::chrono::seconds lock_wait{};   ///< How long the lock may take.
  bool kill_selects = false;          ///< Whether statements that only read are ended when waiting did not help.
  bool stop_applier = false;
  bool required = true;
};

/// One server of MySQL, MariaDB or Percona. It has two sessions with it from `probe` to `release`: one takes the lock
/// and holds it; the other looks what would be in its way, and ends what the first one says if need be.
class MysqlQuiescer final : public Quiescer {
 public:
  explicit MysqlQuiescer(MysqlSettings settings) : settings_(std::move(settings)) {}

  Result<Presence> locate(StageContext& context) override;
  Result<void> probe(StageContext& context) override;
  Result<void> prepare(StageContext& context) override;
  [[nodiscard]] std::vector<Fact> intent() const override;
  Result<std::vector<Fact>> quiesce(StageContext& context) override;
  [[nodiscard]] int watch_fd() const override { return lock_ != LockKind::none && holder_ ? holder_->fd() : -1; }
  Result<void> release(StageContext& context, Outcome outcome) override;
  Result<void> recover(StageContext& context, const std::vector<Fact>& facts) override;

 private:
  [[nodiscard]] std::string what() const { return settings_.name + " (" + settings_.address.text() + ")"; }
  [[nodiscard]] Failure not_ready(const std::string& message) const {
    return failure(what() + ": " + message, ErrorKind::not_ready);
  }
  [[nodiscard]] Failure cluster_not_ready(const std::string& why) const {
    return not_ready("its cluster is not ready for statements (" + why + "): try again when the node is synced");
  }
  [[nodiscard]] Failure from(const std::string& action, const SqlError& error, std::string_view privilege = "") const;
  [[nodiscard]] std::string advice(unsigned code, std::string_view privilege) const;
  [[nodiscard]] std::string user() const;

  Result<Connection> connect(const StageContext& context) const;
  Result<void> prepare_session(Connection& connection, const StageContext& context) const;
  [[nodiscard]] Result<void> check_socket() const;
  Result<void> check_lock() const;
  void note_coverage(StageContext& context);
  void warn_of_logs(StageContext& context, const ServerInfo& server) const;
  Result<void> warn_of_unlocked_tables(StageContext& context);

  Result<void> start_backup_stage(const StageContext& context);
  std::string idle_sessions(const StageContext& context);
  [[nodiscard]] Failure refusal(const std::vector<Statement>& statements, bool could_be_killed) const;
  Result<void> kill_statements(const std::vector<Statement>& statements, const StageContext& context);
  Result<void> wait_for_gap(const StageContext& context);
  Result<void> find_appliers(const StageContext& context);
  Result<void> stop_appliers(const StageContext& context);
  Result<void> start_appliers(Connection& connection, const ServerVersion& version,
                              const std::vector<std::string>& channels, Deadline deadline, int cancel_fd) const;
  Result<void> take_lock(const StageContext& context);
  void drop_lock(std::string& message);
  Result<void> kill_session(Connection& connection, std::uint64_t session, Deadline deadline) const;
  Result<void> release_lock(const StageContext& context, Outcome outcome);

  MysqlSettings settings_;
  std::optional<ServerInfo> server_;
  std::optional<Connection> holder_;   ///< Holds the lock.
  std::optional<Connection> monitor_;  ///< Ends the holder's statement if need be.
  std::string holder_id_;
  LockKind lock_ = LockKind::none;
  std::vector<std::string> unfrozen_;          ///< Directories with data on filesystems that nobody freezes.
  std::vector<std::string> running_channels_;  ///< Whose appliers are to be stopped.
  std::vector<std::string> stopped_channels_;
};

}  // namespace dlm_freeze::mysql
