// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "dlm_freeze/quiesce/quiescer.hpp"
#include "quiesce/mysql/connection.hpp"
#include "quiesce/mysql/diagnosis.hpp"
#include "quiesce/mysql/dialect.hpp"

namespace dlm_freeze::mysql {

/// How long each step of undoing may take, whatever the deadline of the stage.
inline constexpr auto kUndoPatience = std::chrono::seconds(1);

/// Ends a session of this program and waits until it is gone.
Result<void> kill_session(Connection& connection, std::uint64_t session, Deadline deadline);

/// The session that takes the lock and holds it. Another one, the monitor, ends its statement if need be; that and the
/// diagnosis must outlive this.
class LockSession {
 public:
  /// `id` is the server's number of the session of `connection`. `lock_wait`: how long taking the lock may last.
  LockSession(Connection connection, std::uint64_t id, LockKind kind, std::chrono::seconds lock_wait,
              Connection& monitor, const Diagnosis& diagnosis)
      : connection_(std::move(connection)),
        id_(id),
        kind_(kind),
        lock_wait_(lock_wait),
        monitor_(monitor),
        diagnosis_(diagnosis) {}

  [[nodiscard]] LockKind kind() const { return kind_; }

  /// The session, for other statements before the lock is taken.
  [[nodiscard]] Connection& connection() { return *connection_; }

  /// See Quiescer::watch_fd.
  [[nodiscard]] int watch_fd() const { return kind_ != LockKind::none && connection_ ? connection_->fd() : -1; }

  /// BACKUP STAGE START, for that kind of lock.
  Result<void> start_stage(const StageContext& context);

  /// Not for LockKind::none. When it fails nothing is locked, and the session is gone.
  Result<void> take(const StageContext& context);

  /// Makes the engines write their redo logs to the filesystem: until then what was committed may be in memory alone
  /// (innodb_flush_log_at_trx_commit). When it fails nothing is locked, and the session is gone.
  Result<void> flush_logs(const StageContext& context);

  /// Ends the lock and the session. For Outcome::completed an error of kind `protection_lost`: the lock was lost.
  Result<void> release(const StageContext& context, Outcome outcome);

 private:
  std::string idle_sessions(const StageContext& context);
  std::string what_is_in_the_way();
  [[nodiscard]] SqlResult<bool> await_redo_log(const Patience& patience);
  void drop(std::string& message);
  [[nodiscard]] static Deadline until_undo(const StageContext& context);

  std::optional<Connection> connection_;
  std::uint64_t id_;
  LockKind kind_;
  std::chrono::seconds lock_wait_;
  Connection& monitor_;
  const Diagnosis& diagnosis_;
};

}  // namespace dlm_freeze::mysql
