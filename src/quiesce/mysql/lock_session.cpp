// SPDX-License-Identifier: Apache-2.0
#include "quiesce/mysql/lock_session.hpp"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <vector>

#include "base/text.hpp"
#include "base/wait.hpp"
#include "quiesce/mysql/server.hpp"

namespace dlm_freeze::mysql {
namespace {

using std::chrono::milliseconds;

/// What a stage keeps of its time to undo a lock that was not granted.
constexpr auto kUndoReserve = milliseconds(300);
constexpr auto kStagePause = milliseconds(100);
constexpr auto kGonePause = milliseconds(50);
constexpr auto kLogPause = milliseconds(20);

/// How far InnoDB's redo log has come, in memory and on disk.
struct RedoLog {
  std::uint64_t current = 0;
  std::uint64_t flushed = 0;
};

/// Both are 0 where the server does not say, or where a FLUSH ENGINE LOGS has done all that is needed.
SqlResult<RedoLog> read_unflushed_log(Connection& connection, const Patience& patience) {
  const auto values = [&](const std::string& statement) -> SqlResult<std::map<std::string, std::string>> {
    const auto table = connection.query(statement, patience);
    if (!table) return tl::unexpected(table.error());
    std::map<std::string, std::string> all;
    for (const auto& row : table->rows) all.emplace(row.at(0), row.at(1));
    return all;
  };
  auto settings = values("SHOW GLOBAL VARIABLES WHERE Variable_name = 'innodb_flush_log_at_trx_commit'");
  if (!settings) return tl::unexpected(settings.error());
  if ((*settings)["innodb_flush_log_at_trx_commit"] != "0") return RedoLog();
  auto status = values("SHOW GLOBAL STATUS WHERE Variable_name IN ('Innodb_lsn_current', 'Innodb_lsn_flushed')");
  if (!status) return tl::unexpected(status.error());
  const auto number = [&](const char* name) { return std::strtoull((*status)[name].c_str(), nullptr, 10); };
  return RedoLog{number("Innodb_lsn_current"), number("Innodb_lsn_flushed")};
}

}  // namespace

Result<void> kill_session(Connection& connection, std::uint64_t session, Deadline deadline) {
  const std::string id = std::to_string(session);
  static_cast<void>(connection.query("KILL " + id, {deadline}));
  for (;;) {
    const auto statements = read_statements(connection, {deadline});
    if (!statements) break;
    const bool there = std::any_of(statements->begin(), statements->end(),
                                   [&](const Statement& statement) { return statement.session == session; });
    if (!there) return {};
    if (deadline.expired()) break;
    static_cast<void>(wait_readable(-1, Deadline::in(kGonePause)));
  }
  return failure("session " + id + " of dlm-freeze may still be there: run KILL " + id);
}

/// Keeps other backups out, blocks nobody else, and ends with the connection. A statement that waited for it would hold
/// up every schema change meanwhile, so it is tried again and again instead.
Result<void> LockSession::start_stage(const StageContext& context) {
  const Deadline until = context.deadline.or_earlier(Deadline::in(lock_wait_));
  for (;;) {
    const auto started =
        connection_->query(backup_stage_start(statement_tag(context.execution_id)), context.patience());
    if (started) return {};
    if (started.error().code != kLockWaitTimeout)
      return diagnosis_.from("BACKUP STAGE START failed", started.error(), "RELOAD");
    if (until.expired() || !pause_for(kStagePause, context.patience())) break;
  }
  return diagnosis_.not_ready(
      "BACKUP STAGE START is refused: another backup of this server is under way, or a session holds LOCK TABLES … "
      "WRITE" +
      idle_sessions(context) + "; let it end, and try again");
}

/// Who could hold a lock without running a statement: those that have slept longest, for a person.
std::string LockSession::idle_sessions(const StageContext& context) {
  constexpr std::size_t kMost = 3;
  auto statements = read_statements(monitor_, context.patience());
  if (!statements) return "";
  std::erase_if(*statements, [this](const Statement& statement) {
    return statement.command != "Sleep" || statement.session == id_;
  });
  std::sort(statements->begin(), statements->end(),
            [](const Statement& a, const Statement& b) { return a.seconds > b.seconds; });
  std::string text;
  for (std::size_t i = 0; i < std::min(kMost, statements->size()); ++i) {
    const Statement& statement = (*statements)[i];
    text += (text.empty() ? " (asleep: session " : ", session ") + std::to_string(statement.session) + " of " +
            statement.user + " for " + std::to_string(statement.seconds) + " s";
  }
  return text.empty() ? "" : text + ")";
}

/// Asked for once nobody waits for the lock any more.
std::string LockSession::what_is_in_the_way() {
  const auto cluster = read_cluster_state(monitor_, {Deadline::in(kUndoPatience)});
  if (!cluster || cluster->unacknowledged_commits() == 0)
    return "long statements or open schema changes are in its way";
  return "no semi-synchronous replica acknowledges (" + count_of(cluster->unacknowledged_commits(), "commit") +
         " waiting, each for " +
         count_of(static_cast<std::size_t>(cluster->acknowledgement_timeout().count()), "second") + " at most)";
}

/// Ends a lock statement that was not granted, and what it holds all the same: MySQL keeps the
/// global read lock when FLUSH TABLES WITH READ LOCK fails in its second half, and goes on waiting
/// for a client that is gone.
void LockSession::drop(std::string& message) {
  const Deadline deadline = Deadline::in(kUndoPatience);
  if (connection_->busy()) {
    static_cast<void>(monitor_.query("KILL QUERY " + std::to_string(id_), {deadline}));
    static_cast<void>(connection_->wait({deadline}));
  }
  bool unlocked = false;
  if (!connection_->busy()) unlocked = connection_->query(unlock_statement(kind_), {deadline}).has_value();
  if (!unlocked) {
    const auto killed = kill_session(monitor_, id_, Deadline::in(kUndoPatience));
    if (!killed) message += "; " + killed.error().message;
  }
  connection_.reset();
}

Deadline LockSession::until_undo(const StageContext& context) { return Deadline(context.deadline.at() - kUndoReserve); }

Result<void> LockSession::take(const StageContext& context) {
  const Deadline deadline = until_undo(context).or_earlier(Deadline::in(lock_wait_));
  const auto locked =
      connection_->query(lock_statement(kind_, statement_tag(context.execution_id)), {deadline, context.cancel_fd});
  if (locked) return {};
  const bool waited = locked.error().code == kGivenUp || locked.error().code == kLockWaitTimeout;
  std::string dropped;
  drop(dropped);
  if (!waited) return diagnosis_.from(std::string(name_of(kind_)) + " failed" + dropped, locked.error(), "RELOAD");
  return diagnosis_.not_ready(std::string(name_of(kind_)) + " was not granted in time: " + what_is_in_the_way() +
                              "; nothing is locked now; try again, or raise lock_wait_seconds and --timeout" + dropped);
}

Result<void> LockSession::flush_logs(const StageContext& context) {
  const Patience patience{until_undo(context).or_earlier(Deadline::in(lock_wait_)), context.cancel_fd};
  const auto flushed = connection_->query(flush_logs_statement(statement_tag(context.execution_id)), patience);
  const auto written = flushed ? await_redo_log(patience) : SqlResult<bool>(false);
  if (written && *written) return {};
  std::string dropped;
  drop(dropped);
  if (!flushed) return diagnosis_.from("FLUSH ENGINE LOGS failed" + dropped, flushed.error(), "RELOAD");
  if (!written) return diagnosis_.from("cannot tell how far its redo log is flushed" + dropped, written.error());
  return diagnosis_.not_ready(
      "its redo log was not flushed in time, since innodb_flush_log_at_trx_commit is 0: set it to 2 or 1, or "
      "innodb_flush_log_at_timeout to 1" +
      dropped);
}

/// MariaDB leaves the log to its own next flush where innodb_flush_log_at_trx_commit is 0, within a second by default.
SqlResult<bool> LockSession::await_redo_log(const Patience& patience) {
  const auto first = read_unflushed_log(*connection_, patience);
  if (!first) return tl::unexpected(first.error());
  for (RedoLog log = *first; log.flushed < first->current;) {
    if (!pause_for(kLogPause, patience)) return false;
    const auto next = read_unflushed_log(*connection_, patience);
    if (!next) return tl::unexpected(next.error());
    if (next->current == 0) break;
    log = *next;
  }
  return true;
}

Result<void> LockSession::release(const StageContext& context, Outcome outcome) {
  if (!connection_ || kind_ == LockKind::none) return {};
  SqlResult<Table> unlocked = connection_->lost()
                                  ? tl::unexpected(SqlError{kServerLost, "the session had ended"})
                                  : connection_->query(unlock_statement(kind_), context.patience().share(2));
  if (unlocked) {
    connection_.reset();
    return {};
  }
  if (connection_->busy()) {
    const auto killed = kill_session(monitor_, id_, Deadline::in(kUndoPatience));
    connection_.reset();
    if (!killed)
      return failure(std::string(unlock_statement(kind_)) + " does not return, and " + killed.error().message);
    return {};
  }
  connection_.reset();
  if (outcome != Outcome::completed) return {};
  return failure("the lock was lost while it was held (" + unlocked.error().message +
                     "): the server was restarted, or session " + std::to_string(id_) +
                     " was killed; the snapshot is not consistent",
                 ErrorKind::protection_lost);
}

}  // namespace dlm_freeze::mysql
