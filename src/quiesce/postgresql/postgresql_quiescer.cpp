// SPDX-License-Identifier: Apache-2.0
#include "quiesce/postgresql/postgresql_quiescer.hpp"

#include <algorithm>
#include <charconv>
#include <map>

namespace dlm_freeze {
namespace {

using std::chrono::milliseconds;

constexpr int kOldestVersion = 100000;  // pg_current_wal_lsn, pg_control_checkpoint and non-exclusive backups
constexpr int kVersion14 = 140000;      // client_connection_check_interval, idle_session_timeout
constexpr int kVersion15 = 150000;      // pg_backup_start, pg_checkpoint

constexpr auto kLocateTimeout = std::chrono::seconds(1);
/// The checkpoint in `quiesce` is for what has become dirty since the one in `prepare`; other databases may be locked
/// meanwhile.
constexpr auto kSecondCheckpointLimit = std::chrono::seconds(2);
/// WAL to replay for which it is not worth while: recovery takes about a second for as much.
constexpr const char* kLittleWal = "67108864";  // bytes
/// What the server gets, beyond its own time-out, to say that it has stopped a statement.
constexpr auto kCancelGrace = milliseconds(200);

constexpr const char* kCancelled = "57014";

/// A literal of SQL. Standard: a quote is doubled, nothing else is special.
std::string quoted(const std::string& text) {
  std::string literal = "'";
  for (const char letter : text) {
    if (letter == '\'') literal += '\'';
    literal += letter;
  }
  return literal + "'";
}

/// "2026-11-23T16:40:02Z" without what is awkward in a path.
std::string timestamp() {
  std::string text = format_utc(std::chrono::system_clock::now());
  std::erase_if(text, [](char letter) { return letter == ':' || letter == '-'; });
  return text;
}

void add_note(std::vector<LogLine>& notes, LogLevel level, std::string text) {
  notes.push_back({level, std::move(text)});
}

}  // namespace

Failure PostgresqlQuiescer::refused(const std::string& what, const Reply& reply) const {
  return failure(settings_.name + ": " + what + ": " + reply.message);
}

Result<Presence> PostgresqlQuiescer::locate(StageContext& context) {
  const Patience patience{context.deadline.or_earlier(Deadline::in(kLocateTimeout)), context.cancel_fd};
  const auto reached = reach(settings_.options, settings_.account, patience);
  if (!reached) return tl::unexpected(about(reached.error()));
  if (!reached->problem.empty()) return Presence{false, reached->problem, {}};
  Presence presence;
  if (!reached->endpoint.is_socket()) {
    presence.detail = "listens on " + reached->endpoint.host + " port " + reached->endpoint.port +
                      "; where its data lies is asked after the login";
    return presence;
  }
  const std::string socket = reached->endpoint.socket();
  if (!settings_.account) {
    const auto owner = owner_of(socket);
    if (!owner) return tl::unexpected(about(owner.error()));
    settings_.account = *owner;
  }
  const auto lock = read_socket_lock(socket);
  if (!lock) {
    presence.detail =
        "listens on " + socket + "; where its data lies is asked after the login (" + lock.error().message + ")";
    return presence;
  }
  server_pid_ = lock->pid;
  data_directory_ = lock->data_directory;
  files_ = find_cluster_files(data_directory_, server_pid_);
  presence.detail = "listens on " + socket;
  presence.locations = files_->locations;
  return presence;
}

Result<void> PostgresqlQuiescer::connect(const Patience& patience) {
  if (connection_) return {};
  auto opened = Connection::open(settings_.options, settings_.account, patience);
  if (!opened) return tl::unexpected(about(opened.error()));
  connection_ = std::move(*opened);
  if (connection_->version() < kOldestVersion) {
    return failure(settings_.name +
                   ": the server is older than PostgreSQL 10: quiesce it by commands of your own (type command)");
  }
  if (connection_->version() < kVersion14) return {};
  // A statement of ours ends when we die, and the held session does not end because it says nothing.
  for (const char* setting : {"SET client_connection_check_interval = 250", "SET idle_session_timeout = 0"}) {
    const auto reply = connection_->run(setting, patience);
    if (!reply) return tl::unexpected(about(reply.error()));
    if (!reply->ok()) return refused("cannot set up the session", *reply);
  }
  return {};
}

Result<PostgresqlQuiescer::Server> PostgresqlQuiescer::ask_server(const Patience& patience) {
  const bool is_15 = connection_->version() >= kVersion15;
  const std::string statement =
      std::string(
          "SELECT pg_is_in_recovery(), (SELECT system_identifier FROM pg_control_system()),"
          " (SELECT setting FROM pg_settings WHERE name = 'data_directory'), current_user, ") +
      (is_15 ? "pg_has_role('pg_checkpoint', 'USAGE'),"
               " has_function_privilege('pg_backup_start(text,boolean)', 'EXECUTE')"
               " AND has_function_privilege('pg_backup_stop(boolean)', 'EXECUTE')"
             : "(SELECT rolsuper FROM pg_roles WHERE rolname = current_user),"
               " has_function_privilege('pg_start_backup(text,boolean,boolean)', 'EXECUTE')"
               " AND has_function_privilege('pg_stop_backup(boolean,boolean)', 'EXECUTE')");
  const auto row = connection_->row(statement, patience);
  if (!row) return tl::unexpected(about(row.error()));
  return Server{(*row)[0] == "t", (*row)[1], (*row)[2], (*row)[3], (*row)[4] == "t", (*row)[5] == "t"};
}

void PostgresqlQuiescer::find_files(const Server& server, std::vector<LogLine>& notes) {
  if (data_directory_.empty()) data_directory_ = server.data_directory;
  if (data_directory_.empty()) {
    files_.reset();
    add_note(notes, LogLevel::warn,
             settings_.name + ": where its data lies is not known: the login " + server.user +
                 " may not ask; GRANT pg_read_all_settings TO " + server.user);
    return;
  }
  if (system_identifier_of(data_directory_) != server.system_identifier) {
    files_.reset();
    add_note(notes, LogLevel::warn,
             settings_.name + ": where its data lies is not known: " + data_directory_ +
                 " is not this server's when seen from here; does it run in a container?");
    return;
  }
  files_ = find_cluster_files(data_directory_, server_pid_);
  for (const std::string& problem : files_->problems) {
    add_note(notes, LogLevel::warn, settings_.name + ": a part of it cannot be found: " + problem);
  }
}

/// Says which parts are not going to be frozen; whether all are.
bool PostgresqlQuiescer::check_coverage(StageContext& context) const {
  if (!files_) return false;
  bool all_frozen = files_->problems.empty();
  std::map<std::string, std::pair<std::string, std::string>> uncovered;  // by mount point: parts, why
  for (const DataLocation& location : files_->locations) {
    const Coverage coverage = context.coverage(location.path);
    if (location.what == kServerLog) {
      if (coverage.frozen) {
        add_note(context.notes, LogLevel::warn,
                 settings_.name + ": its log (" + location.path +
                     ") lies on a filesystem that is frozen: whoever logs then waits for the thaw");
      }
    } else if (!coverage.frozen) {
      all_frozen = false;
      auto& [parts, why] = uncovered[coverage.mount_point];
      parts += (parts.empty() ? "" : ", ") + location.what;
      why = coverage.why;
    }
  }
  for (const auto& [mount_point, found] : uncovered) {
    add_note(context.notes, LogLevel::warn,
             settings_.name + ": not frozen: " + found.first + " on " + mount_point + ": " + found.second);
  }
  return all_frozen;
}

Result<void> PostgresqlQuiescer::choose_mode(const Server& server, bool all_frozen, std::vector<LogLine>& notes) {
  mode_ = settings_.mode;
  if (mode_ == PostgresqlMode::automatic) {
    mode_ = all_frozen ? PostgresqlMode::checkpoint : PostgresqlMode::backup;
    if (!all_frozen)
      add_note(notes, LogLevel::info, settings_.name + ": mode backup, since not all of it is known to be frozen");
  } else if (mode_ == PostgresqlMode::checkpoint && !all_frozen) {
    add_note(notes, LogLevel::warn,
             settings_.name + ": mode checkpoint protects only what is frozen: mode backup is for the rest");
  }
  may_checkpoint_ = server.may_checkpoint;
  const bool is_15 = connection_->version() >= kVersion15;
  const std::string login = settings_.name + ": the login " + server.user;
  if (mode_ == PostgresqlMode::checkpoint && !server.may_checkpoint) {
    return failure(
        login + " may not run CHECKPOINT: " +
            (is_15 ? "GRANT pg_checkpoint TO " + server.user : "it must be a superuser before PostgreSQL 15"),
        ErrorKind::not_ready);
  }
  if (mode_ == PostgresqlMode::backup && !server.may_back_up) {
    const std::string functions = is_15 ? "pg_backup_start(text, boolean), pg_backup_stop(boolean)"
                                        : "pg_start_backup(text, boolean, boolean), pg_stop_backup(boolean, boolean)";
    return failure(login + " may not make a backup, which mode backup needs: GRANT EXECUTE ON FUNCTION " + functions +
                       " TO " + server.user,
                   ErrorKind::not_ready);
  }
  return {};
}

Result<void> PostgresqlQuiescer::probe(StageContext& context) {
  const Patience patience = patience_of(context);
  if (auto connected = connect(patience); !connected) return connected;
  const auto server = ask_server(patience);
  if (!server) return tl::unexpected(server.error());
  in_recovery_ = server->in_recovery;
  find_files(*server, context.notes);
  return choose_mode(*server, check_coverage(context), context.notes);
}

/// A statement with a time-out in the server as well, so that the session is still of use when it has run out, and the
/// statement does not go on for long if this process dies.
Result<Reply> PostgresqlQuiescer::run_bounded(const std::string& statement, BootClock::duration limit,
                                              const Patience& patience) {
  const auto whole = std::max<milliseconds::rep>(1, std::chrono::duration_cast<milliseconds>(limit).count());
  auto set = connection_->run("SET statement_timeout = " + std::to_string(whole), patience);
  if (!set || !set->ok()) return set;
  return connection_->run(statement,
                          {patience.deadline.or_earlier(Deadline::in(limit + kCancelGrace)), patience.cancel_fd});
}

/// A CHECKPOINT that may take `limit`. That it has not ended by then is a warning, or an error if one is required.
Result<void> PostgresqlQuiescer::checkpoint(StageContext& context, BootClock::duration limit, bool required) {
  const auto reply = run_bounded("CHECKPOINT", limit, patience_of(context));
  if (reply && reply->ok()) return {};
  if (reply && reply->sql_state != kCancelled) return refused("CHECKPOINT failed", *reply);
  if (!reply) {
    if (reply.error().kind != ErrorKind::not_ready) return tl::unexpected(about(reply.error()));
    connection_.reset();  // What it still says would be taken for the next answer.
  }
  const std::string what = settings_.name + ": CHECKPOINT has not ended within " + format_seconds(limit) + " s";
  if (required)
    return failure(what +
                   ", and require_checkpoint is set: raise the time-out, or lower max_wal_size or checkpoint_timeout "
                   "in the server");
  add_note(context.notes, LogLevel::warn,
           what + ": a copy of it is consistent all the same, but recovers from an older checkpoint");
  return {};
}

Result<void> PostgresqlQuiescer::prepare(StageContext& context) {
  if (mode_ == PostgresqlMode::backup) {
    std::string directory = settings_.backup_directory + "/" + directory_name(settings_.name);
    if (auto made = make_private_directory(directory); !made) return tl::unexpected(about(made.error()));
    saved_to_ = std::move(directory) + "/" + timestamp() + "-" + directory_name(context.execution_id);
  }
  // Not needed for a backup, which begins with one; there it only makes that one short.
  if (mode_ == PostgresqlMode::none || (mode_ == PostgresqlMode::backup && !may_checkpoint_)) return {};
  // The rest of the budget is for all that comes after.
  const bool required = settings_.require_checkpoint && mode_ == PostgresqlMode::checkpoint;
  const BootClock::duration left = context.deadline.remaining();
  const std::size_t notes_before = context.notes.size();
  auto done = checkpoint(context, required ? left * 3 / 4 : left / 2, required);
  first_checkpoint_done_ = done && context.notes.size() == notes_before;
  return done;
}

Result<void> PostgresqlQuiescer::start_backup(const StageContext& context) {
  const std::string label = quoted("dlm-freeze " + context.execution_id);
  const bool is_15 = connection_->version() >= kVersion15;
  const std::string statement =
      is_15 ? "SELECT pg_backup_start(" + label + ", true)" : "SELECT pg_start_backup(" + label + ", true, false)";
  const auto reply = run_bounded(statement, context.deadline.remaining(), patience_of(context));
  if (!reply) return tl::unexpected(about(reply.error()));
  if (reply->ok()) {
    backup_started_ = true;
    return {};
  }
  auto error = refused("the backup cannot be started", *reply);
  if (reply->sql_state == kCancelled) {
    error =
        failure(settings_.name +
                    ": the backup has not started within the time budget: its checkpoint takes longer; raise --timeout",
                ErrorKind::not_ready);
  }
  return error;
}

Result<std::vector<Fact>> PostgresqlQuiescer::facts(const Patience& patience) {
  const auto row = connection_->row(
      "SELECT current_setting('server_version'), (SELECT system_identifier FROM pg_control_system()), c.timeline_id,"
      " c.checkpoint_lsn, c.redo_lsn, to_char(c.checkpoint_time AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'),"
      " CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END,"
      " CASE WHEN pg_is_in_recovery() THEN c.redo_wal_file ELSE pg_walfile_name(pg_current_wal_lsn()) END,"
      " current_setting('data_checksums'), current_setting('archive_mode'), pg_is_in_recovery()"
      " FROM pg_control_checkpoint() AS c",
      patience);
  if (!row) return tl::unexpected(about(row.error()));
  const bool in_recovery = (*row)[10] == "t";
  archiving_ = (*row)[9] != "off";
  held_wal_file_ = in_recovery ? "" : (*row)[7];
  std::vector<Fact> facts = {
      {"version", (*row)[0]},
      {"system_identifier", (*row)[1]},
      {"timeline", (*row)[2]},
      {"checkpoint_lsn", (*row)[3]},
      {"redo_lsn", (*row)[4]},
      {"checkpoint_time", (*row)[5]},
      {in_recovery ? "replay_lsn" : "current_lsn", (*row)[6]},
      {"wal_file", (*row)[7]},
      {"checksums", (*row)[8]},
      {"archive_mode", (*row)[9]},
      {"in_recovery", in_recovery ? "true" : "false"},
  };
  if (!data_directory_.empty()) facts.push_back({"data_directory", data_directory_});
  return facts;
}

/// Not after a first one that was not done in time: it would only wait for that one.
Result<bool> PostgresqlQuiescer::needs_second_checkpoint(const Patience& patience) {
  if (mode_ != PostgresqlMode::checkpoint || !first_checkpoint_done_) return false;
  const auto row =
      connection_->row(std::string("SELECT pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()"
                                   " ELSE pg_current_wal_lsn() END, redo_lsn) > ") +
                           kLittleWal + " FROM pg_control_checkpoint()",
                       patience);
  if (!row) return tl::unexpected(about(row.error()));
  return (*row)[0] == "t";
}

Result<std::vector<Fact>> PostgresqlQuiescer::quiesce(StageContext& context) {
  const Patience patience = patience_of(context);
  if (auto connected = connect(patience); !connected) return tl::unexpected(connected.error());
  if (mode_ == PostgresqlMode::backup) {
    if (auto started = start_backup(context); !started) return tl::unexpected(started.error());
  } else if (const auto needed = needs_second_checkpoint(patience); !needed) {
    return tl::unexpected(needed.error());
  } else if (*needed) {
    const auto limit = std::min<BootClock::duration>(kSecondCheckpointLimit, context.deadline.remaining() / 2);
    if (auto done = checkpoint(context, limit, false); !done) return tl::unexpected(done.error());
    if (auto connected = connect(patience); !connected) return tl::unexpected(connected.error());
  }
  auto given = facts(patience);
  if (!given) return given;
  if (mode_ == PostgresqlMode::backup) {
    given->push_back({"mode", "backup"});
    given->push_back({"backup_files", saved_to_});
  } else {
    given->push_back({"mode", mode_ == PostgresqlMode::checkpoint ? "checkpoint" : "none"});
    connection_.reset();
  }
  return given;
}

/// Which WAL files a restore is going to need that the snapshot does not have whole: those from the one that was being
/// written when the hold began. With an archive they are in there.
void PostgresqlQuiescer::list_wal(BackupFiles& files, const std::string& last, std::uint64_t segment_size,
                                  std::vector<LogLine>& notes) const {
  if (archiving_ || held_wal_file_.empty()) return;
  const auto wal = files_ ? std::find_if(files_->locations.begin(), files_->locations.end(),
                                         [](const DataLocation& location) { return location.what == "WAL"; })
                          : std::vector<DataLocation>::const_iterator();
  std::vector<std::string> names = wal_files_between(held_wal_file_, last, segment_size);
  if (!files_ || wal == files_->locations.end() || names.empty()) {
    add_note(notes, LogLevel::warn,
             settings_.name + ": a restore needs the WAL files " + held_wal_file_ + " to " + last +
                 ", and they are not saved: set archive_mode in the server, or copy them now");
    return;
  }
  files.wal_directory = wal->path;
  files.wal = std::move(names);
}

Result<void> PostgresqlQuiescer::finish_backup(StageContext& context) {
  const Patience patience = patience_of(context);
  const auto lost = [&](const std::string& why) {
    return failure(settings_.name + ": the backup did not last until post-script (" + why +
                       "): this snapshot is not to be restored with it",
                   ErrorKind::protection_lost);
  };
  if (!connection_) return lost("its session was lost");
  const std::string stop =
      connection_->version() >= kVersion15 ? "pg_backup_stop(false)" : "pg_stop_backup(false, false)";
  const std::string name_of_file = in_recovery_ ? "''" : "pg_walfile_name(lsn)";
  const auto reply = run_bounded("SELECT lsn, labelfile, spcmapfile, " + name_of_file +
                                     ", pg_size_bytes(current_setting('wal_segment_size')) FROM " + stop,
                                 context.deadline.remaining(), patience);
  if (!reply) return lost(reply.error().message);
  if (!reply->ok() || reply->rows.size() != 1) return lost(reply->message);
  connection_.reset();
  const std::vector<std::string>& row = reply->rows[0];
  BackupFiles files{row[1], row[2], "", {}};
  std::uint64_t segment_size = 0;
  std::from_chars(row[4].data(), row[4].data() + row[4].size(), segment_size);
  list_wal(files, row[3], segment_size, context.notes);
  if (auto saved = save_backup_files(saved_to_, files, context.deadline); !saved) {
    return tl::unexpected(about(saved.error().with_context("the files of the backup are not all saved")));
  }
  add_note(context.notes, LogLevel::info,
           settings_.name + ": the backup ended at " + row[0] + "; to restore the snapshot put the files in " +
               saved_to_ + " into its data directory");
  return {};
}

Result<void> PostgresqlQuiescer::release(StageContext& context, Outcome outcome) {
  Result<void> released;
  if (backup_started_ && outcome == Outcome::completed) released = finish_backup(context);
  // Without a pg_backup_stop the server forgets the backup with its session.
  backup_started_ = false;
  connection_.reset();
  return released;
}

}  // namespace dlm_freeze
