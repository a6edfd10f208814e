// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "dlm_freeze/quiesce/quiescer.hpp"
#include "quiesce/mysql/connection.hpp"
#include "quiesce/mysql/diagnosis.hpp"
#include "quiesce/mysql/dialect.hpp"
#include "quiesce/mysql/settings.hpp"

namespace dlm_freeze::mysql {

/// Keeps the lock from being asked for while it would have to wait for long statements, and every writer with it.
/// Everything that it is given must outlive it.
class StatementGuard {
 public:
  StatementGuard(Connection& monitor, const ServerVersion& version, LockKind lock, const MysqlSettings& settings,
                 const Diagnosis& diagnosis)
      : monitor_(monitor),
        version_(version),
        lock_(lock),
        settings_(settings),
        diagnosis_(diagnosis),
        patience_(settings.wait) {}

  /// Whether that lock waits for statements that somebody wants to be looked at before.
  [[nodiscard]] static bool is_needed(LockKind lock, const MysqlSettings& settings) {
    return lock == LockKind::flush_tables && settings.long_query.count() > 0;
  }

  /// Waits until no such statement runs, in all calls together for as long as is configured. If those that are left
  /// only read, and that is configured, they are killed, or with Killing::not_now left for a later call. An error names
  /// the oldest one.
  enum class Killing { allowed, not_now };
  Result<void> wait_for_gap(const StageContext& context, Killing killing);

 private:
  [[nodiscard]] Failure refusal(const std::vector<Statement>& statements, bool could_be_killed) const;
  Result<std::vector<Statement>> wait_until(Deadline until, const StageContext& context) const;
  Result<void> kill_statements(const std::vector<Statement>& statements, const StageContext& context) const;

  Connection& monitor_;
  const ServerVersion& version_;
  LockKind lock_;
  const MysqlSettings& settings_;
  const Diagnosis& diagnosis_;
  BootClock::duration patience_;  ///< What is left of the time to wait.
};

}  // namespace dlm_freeze::mysql
