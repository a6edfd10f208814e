// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace dlm_freeze::mysql {

/// Who made the server. Percona Server speaks as MySQL does.
enum class Maker { mysql, mariadb };

/// What `SELECT VERSION()` says. Not what the client library says: Oracle's takes every MariaDB for
/// a 5.5.5.
struct ServerVersion {
  Maker maker = Maker::mysql;
  int major = 0;
  int minor = 0;
  int patch = 0;
  std::string text;

  [[nodiscard]] static ServerVersion parse(std::string_view text);
  [[nodiscard]] bool is_mariadb() const { return maker == Maker::mariadb; }
  [[nodiscard]] bool at_least(int wanted_major, int wanted_minor, int wanted_patch = 0) const;
};

/// How a server is kept from committing.
enum class LockKind {
  none,
  flush_tables,  ///< FLUSH TABLES WITH READ LOCK
  backup_stage,  ///< BACKUP STAGE, MariaDB's own, which waits for less
};

/// The lock for `choice`, the option `lock`: "auto" is the one that waits for least.
[[nodiscard]] LockKind choose_lock(std::string_view choice, const ServerVersion& version);

/// Whether the server knows that lock.
[[nodiscard]] bool supports(LockKind lock, const ServerVersion& version);

/// What to say first for BACKUP STAGE. It does not wait, so that nobody else's schema change waits behind it.
[[nodiscard]] std::string backup_stage_start(std::string_view tag);

/// What to say for it, `tag` being put into the statement as a comment, by which the process list
/// shows whose it is.
[[nodiscard]] std::string lock_statement(LockKind lock, std::string_view tag);
[[nodiscard]] std::string_view unlock_statement(LockKind lock);

/// Makes the engines write their redo logs to the filesystem; passes either lock.
[[nodiscard]] std::string flush_logs_statement(std::string_view tag);

[[nodiscard]] std::string_view name_of(LockKind lock);

/// The comment in our statements.
[[nodiscard]] std::string statement_tag(std::string_view execution_id);

/// The statement that gives the position in the binary log.
[[nodiscard]] std::string_view binary_log_status_statement(const ServerVersion& version);

/// The statement that lists the channels of a replica, a row each.
[[nodiscard]] std::string_view replica_status_statement(const ServerVersion& version);

/// START or STOP of one channel's applier.
[[nodiscard]] std::string applier_statement(const ServerVersion& version, bool start, std::string_view channel);

/// `text` as a string literal of SQL.
[[nodiscard]] std::string string_literal(std::string_view text);

/// A row of SHOW PROCESSLIST.
struct Statement {
  std::uint64_t session = 0;
  std::string user;
  std::string host;
  std::string command;
  std::int64_t seconds = 0;
  std::string text;  ///< Empty when the session is idle.
};

/// Whether a statement certainly only reads, so that it may be ended without harm: no locking reads, and no function
/// but the server's own, since others may write.
[[nodiscard]] bool only_reads(std::string_view statement);

/// Whether it is a thread of the server itself, such as a replica's applier: never to be killed, and its age is that of
/// the event that it applies, not of its statement.
[[nodiscard]] bool is_system_thread(const Statement& statement);

/// Whether `lock` would wait for the end of this statement, and every writer would wait with it. Everything that is not
/// known to be idle counts. Threads of the server do not: how long they are at it cannot be told.
[[nodiscard]] bool holds_up(const Statement& statement, LockKind lock, const ServerVersion& version,
                            std::chrono::seconds longer_than);

/// Whether SHOW GRANTS, a line each, gives one of the global `privileges`. `roles_active`: also true where a role is
/// granted, of which it does not tell on every server what it holds.
[[nodiscard]] bool grants_any(const std::vector<std::string>& grants, const std::vector<std::string_view>& privileges,
                              bool roles_active);

/// What a session of ours has, whatever the server's defaults, init_connect or an option file say. An optional one is
/// not known to every version.
struct SessionSetting {
  std::string statement;
  bool is_optional = false;
};
[[nodiscard]] std::vector<SessionSetting> session_settings(std::chrono::seconds lock_wait);

/// The statements that make an account which can do all that is needed, to be copied.
[[nodiscard]] std::string account_statements(Maker maker, std::string_view user);

}  // namespace dlm_freeze::mysql
