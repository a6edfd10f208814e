// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "dlm_freeze/quiesce/quiescer.hpp"
#include "quiesce/mysql/appliers.hpp"
#include "quiesce/mysql/connection.hpp"
#include "quiesce/mysql/desync.hpp"
#include "quiesce/mysql/diagnosis.hpp"
#include "quiesce/mysql/dialect.hpp"
#include "quiesce/mysql/lock_session.hpp"
#include "quiesce/mysql/server.hpp"
#include "quiesce/mysql/settings.hpp"
#include "quiesce/mysql/statement_guard.hpp"

namespace dlm_freeze::mysql {

/// One server of MySQL, MariaDB or Percona. It has two sessions with it from `probe` to `release`: one takes the lock
/// and holds it; the other looks what would be in its way, and ends what the first one says if need be.
class MysqlQuiescer final : public Quiescer {
 public:
  explicit MysqlQuiescer(MysqlSettings settings)
      : settings_(std::move(settings)), diagnosis_(settings_), appliers_(diagnosis_), desync_(diagnosis_) {}

  Result<Presence> locate(StageContext& context) override;
  Result<void> probe(StageContext& context) override;
  Result<std::vector<Fact>> prepare(StageContext& context) override;
  Result<std::vector<Fact>> quiesce(StageContext& context) override;
  [[nodiscard]] int watch_fd() const override { return lock_ ? lock_->watch_fd() : -1; }
  Result<void> release(StageContext& context, Outcome outcome) override;
  Result<void> recover(StageContext& context, const std::vector<Fact>& facts) override;

 private:
  [[nodiscard]] Result<Presence> locate_in_container(const StageContext& context);
  [[nodiscard]] Result<bool> find_in_container();
  [[nodiscard]] Result<bool> has_gone();
  [[nodiscard]] std::string advice_for_container() const;
  Result<Connection> connect(const StageContext& context) const;
  Result<void> prepare_session(Connection& connection, const StageContext& context) const;
  [[nodiscard]] Result<void> check_socket() const;
  Result<void> check_lock(LockKind lock) const;
  Result<void> check_thread_pool(LockKind lock) const;
  Result<void> check_log() const;
  Result<void> check_options(LockKind lock, const StageContext& context);
  void note_coverage(StageContext& context);
  void note_cluster(StageContext& context);
  void warn_of_logs(StageContext& context, const ServerInfo& server) const;
  [[nodiscard]] Result<void> put_back_cluster(const StageContext& context);
  [[nodiscard]] Result<void> put_back_cluster(Connection& session, const ServerVersion& version,
                                              const StageContext& context) const;
  [[nodiscard]] std::string what_is_left() const;
  [[nodiscard]] Result<void> end_lost_statements(Connection& connection, const StageContext& context) const;
  Result<void> warn_of_unlocked_tables(StageContext& context);

  MysqlSettings settings_;
  Diagnosis diagnosis_;
  std::optional<ServerInfo> server_;
  std::optional<Connection> monitor_;
  std::optional<LockSession> lock_;  ///< Ends before the monitor, which it uses.
  std::optional<StatementGuard> guard_;
  std::vector<std::string> unfrozen_;  ///< Directories with data on filesystems that nobody freezes.
  Appliers appliers_;
  Desync desync_;
};

}  // namespace dlm_freeze::mysql
