// SPDX-License-Identifier: Apache-2.0
#include "quiesce/postgresql/postgresql_quiescer.hpp"

#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <system_error>

#include "base/text.hpp"
#include "dlm_freeze/base/files.hpp"
#include "quiesce/coverage.hpp"
#include "quiesce/literal.hpp"
#include "quiesce/postgresql/session_settings.hpp"
#include "quiesce/server_socket.hpp"

namespace dlm_freeze::postgresql {
namespace {

using std::chrono::milliseconds;

constexpr int kOldestVersion = 100000;  // pg_current_wal_lsn, pg_control_checkpoint and non-exclusive backups
constexpr int kVersion15 = 150000;      // pg_backup_start, pg_checkpoint
constexpr int kMajorWithLoginTriggers = 17;

constexpr auto kLocateTimeout = std::chrono::seconds(1);
/// The checkpoint in `quiesce` is for what has become dirty since the one in `prepare`; other databases may be locked
/// meanwhile.
constexpr auto kSecondCheckpointLimit = std::chrono::seconds(2);
/// WAL to replay for which it is not worth while: recovery takes about a second for as much.
constexpr std::uint64_t kLittleWal = std::uint64_t{64} << 20;
/// WAL that is saved with a backup although the archive has it.
constexpr std::uint64_t kMostArchivedWal = std::uint64_t{1} << 30;
/// Space that is left free where backups are kept.
constexpr std::uint64_t kSpaceToLeave = std::uint64_t{64} << 20;
/// WAL files that wait for an archiver which keeps pace.
constexpr std::size_t kMostUnarchived = 16;
constexpr const char* kBackupFiles = "backup_files";  ///< The fact by which `recover` knows the directory.
/// What the server gets, beyond its own time-out, to say that it has stopped a statement.
constexpr auto kCancelGrace = milliseconds(200);

constexpr const char* kCancelled = "57014";

/// "2026-11-23T16:40:02Z" without what is awkward in a path.
std::string timestamp() {
  std::string text = format_utc(std::chrono::system_clock::now());
  std::erase_if(text, [](char letter) { return letter == ':' || letter == '-'; });
  return text;
}

/// The bytes between two positions in the WAL as the server writes them; none when they are no such.
std::optional<std::uint64_t> distance(const std::string& from, const std::string& to) {
  const auto begin = parse_lsn(from);
  const auto end = parse_lsn(to);
  if (!begin || !end) return std::nullopt;
  return *end > *begin ? *end - *begin : 0;
}

/// The version of the server whose data directory it is; 0 when that cannot be read.
int major_version(const std::string& data_directory) {
  const auto text = read_file(data_directory + "/PG_VERSION", 64);
  return text ? std::atoi(text->c_str()) : 0;
}

/// A command that succeeds without storing anything.
bool stores_nothing(std::string_view command) {
  constexpr std::array<std::string_view, 5> kNothing = {"true", "/bin/true", "/usr/bin/true", ":", "exit 0"};
  return std::find(kNothing.begin(), kNothing.end(), trimmed(command)) != kNothing.end();
}

std::uint64_t free_space(const std::string& directory) {
  struct statvfs status {};
  return ::statvfs(directory.c_str(), &status) == 0 ? std::uint64_t{status.f_bavail} * status.f_frsize : 0;
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
  const std::string socket = reached->endpoint.is_socket() ? reached->endpoint.socket() : "";
  if (!socket.empty()) {
    if (auto trusted = check_server_socket(socket, server_accounts(settings_.account)); !trusted) {
      return Presence{false, trusted.error().message + ", or name its account as os_user", {}};
    }
  }
  if (!reached->problem.empty()) return Presence{false, reached->problem, {}};
  Presence presence;
  if (!reached->endpoint.is_socket()) {
    presence.detail = "listens on " + reached->endpoint.host + " port " + reached->endpoint.port +
                      "; where its data lies is asked after the login";
    return presence;
  }
  const auto owner = owner_ids(reached->endpoint.socket());
  if (!owner) return tl::unexpected(about(owner.error()));
  server_user_ = owner->uid;
  if (!settings_.account) settings_.account = *owner;
  presence.detail = "listens on " + socket;
  auto lock = read_socket_lock(socket);
  if (lock) {
    if (auto checked = check_data_directory(lock->data_directory, owner->uid, lock->pid); !checked) {
      lock = tl::unexpected(checked.error());
    }
  }
  if (!lock) {
    presence.detail += "; where its data lies is asked after the login (" + lock.error().message + ")";
    return presence;
  }
  server_pid_ = lock->pid;
  data_directory_ = lock->data_directory;
  files_ = find_cluster_files(data_directory_, server_pid_);
  presence.locations = files_->locations;
  return presence;
}

Result<void> PostgresqlQuiescer::connect(const Patience& patience) {
  if (connection_) return {};
  auto opened = Result<Connection>(failure(""));
  const bool has_login_triggers = !data_directory_.empty() && major_version(data_directory_) >= kMajorWithLoginTriggers;
  if (has_login_triggers) {
    ConnectionOptions options = settings_.options;
    options.add_startup_settings(without_login_triggers());
    opened = Connection::open(options, settings_.account, server_user_, patience);
  }
  // A role that may not turn them off runs them with its own few rights.
  if (!has_login_triggers || (!opened && opened.error().message.find(kLoginTriggers) != std::string::npos)) {
    opened = Connection::open(settings_.options, settings_.account, server_user_, patience);
  }
  if (!opened) return tl::unexpected(about(opened.error()));
  connection_ = std::move(*opened);
  if (connection_->version() < kOldestVersion) {
    return failure(settings_.name +
                   ": the server is older than PostgreSQL 10: quiesce it by commands of your own (type command)");
  }
  return {};
}

// In all statements: names of the catalog in full, no operator without its schema, and comparisons here instead where
// that is as easy. The search path alone would do (session_settings.hpp), and so would this.

Result<PostgresqlQuiescer::Server> PostgresqlQuiescer::ask_server(const Patience& patience) {
  const bool is_15 = connection_->version() >= kVersion15;
  const auto may_execute = [](const std::string& function) {
    return "pg_catalog.has_function_privilege('pg_catalog." + function + "', 'EXECUTE')";
  };
  const std::string statement =
      std::string(
          "SELECT pg_catalog.pg_is_in_recovery(), (SELECT system_identifier FROM pg_catalog.pg_control_system()),"
          " (SELECT setting FROM pg_catalog.pg_settings WHERE name OPERATOR(pg_catalog.=) 'data_directory'),"
          " current_user, pg_catalog.current_setting('wal_level'), ") +
      (is_15 ? "pg_catalog.pg_has_role('pg_checkpoint', 'USAGE'), " + may_execute("pg_backup_start(text,boolean)") +
                   " AND " + may_execute("pg_backup_stop(boolean)")
             : "pg_catalog.current_setting('is_superuser'), " + may_execute("pg_start_backup(text,boolean,boolean)") +
                   " AND " + may_execute("pg_stop_backup(boolean,boolean)"));
  const auto row = connection_->row(statement, patience);
  if (!row) return tl::unexpected(about(row.error()));
  Server server;
  server.in_recovery = (*row)[0] == "t";
  server.system_identifier = (*row)[1];
  server.data_directory = (*row)[2];
  server.user = (*row)[3];
  server.wal_level = (*row)[4];
  server.may_checkpoint = (*row)[5] == "t" || (*row)[5] == "on";
  server.may_back_up = (*row)[6] == "t";
  return server;
}

Result<PostgresqlQuiescer::Archive> PostgresqlQuiescer::ask_archive(const Patience& patience) {
  const auto row = connection_->row(
      "SELECT pg_catalog.current_setting('archive_mode'), pg_catalog.current_setting('archive_command'),"
      " pg_catalog.current_setting('archive_library', true), last_failed_wal,"
      " pg_catalog.timestamptz_gt(last_failed_time, COALESCE(last_archived_time, TIMESTAMPTZ '-infinity'))"
      " FROM pg_catalog.pg_stat_archiver",
      patience);
  if (!row) return tl::unexpected(about(row.error()));
  const std::string& mode = (*row)[0];
  const std::string& command = (*row)[1];
  const std::string& library = (*row)[2];
  Archive archive;
  archive.on = mode == "always" || (mode == "on" && !in_recovery_);
  archive.name = library.empty() ? "archive_command = " + command : "archive_library = " + library;
  if (!archive.on) return archive;
  const DataLocation* const wal = wal_location();
  const std::size_t waiting = wal != nullptr ? unarchived_files(wal->path) : 0;
  if ((*row)[4] == "t") {
    archive.problem = "its last attempt failed, at " + (*row)[3];
  } else if (library.empty() && (trimmed(command).empty() || command == "(disabled)")) {
    archive.problem = "it has no command";
  } else if (library.empty() && stores_nothing(command)) {
    archive.problem = "its command stores nothing";
  } else if (waiting > kMostUnarchived) {
    archive.problem = "it is " + std::to_string(waiting) + " files behind";
  }
  return archive;
}

const DataLocation* PostgresqlQuiescer::wal_location() const {
  if (!files_) return nullptr;
  const auto found = std::find_if(files_->locations.begin(), files_->locations.end(),
                                  [](const DataLocation& location) { return location.what == kWal; });
  return found == files_->locations.end() ? nullptr : &*found;
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
  CoverageReport report = report_coverage(settings_.name, files_->locations, context.coverage, "");
  std::move(report.lines.begin(), report.lines.end(), std::back_inserter(context.notes));
  return report.all_frozen() && files_->problems.empty();
}

Result<void> PostgresqlQuiescer::choose_mode(const Server& server, bool all_frozen, std::vector<LogLine>& notes) {
  mode_ = settings_.mode;
  if (mode_ == PostgresqlMode::automatic) {
    mode_ = all_frozen ? PostgresqlMode::checkpoint : PostgresqlMode::backup;
    if (!all_frozen)
      add_note(notes, LogLevel::info, settings_.name + ": mode backup, since not all of it is known to be frozen");
  } else if (!all_frozen && mode_ != PostgresqlMode::backup) {
    add_note(notes, LogLevel::warn,
             settings_.name + ": mode " + (mode_ == PostgresqlMode::none ? "none" : "checkpoint") +
                 " protects only what is frozen: mode backup is for the rest");
  }
  may_checkpoint_ = server.may_checkpoint;
  return check_mode(server);
}

Result<void> PostgresqlQuiescer::check_mode(const Server& server) const {
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

/// Whether a backup of this server can be restored with what is saved of it.
Result<void> PostgresqlQuiescer::check_backup(const Server& server, StageContext& context) {
  if (mode_ != PostgresqlMode::backup) return {};
  if (server.wal_level == "minimal" && !server.in_recovery) {
    return failure(
        settings_.name + ": mode backup needs a server with wal_level replica or logical, and it has minimal",
        ErrorKind::not_ready);
  }
  if (auto checked = check_private_directory(settings_.backup_directory); !checked) {
    return tl::unexpected(about(checked.error().with_context("backup_directory")));
  }
  const auto archive = ask_archive(patience_of(context));
  if (!archive) return tl::unexpected(archive.error());
  if (archive->on && !archive->is_good()) {
    add_note(context.notes, LogLevel::warn,
             settings_.name + ": its archiver is not to be relied on (" + archive->problem + "; " + archive->name +
                 "): all WAL that the backup needs is saved with it");
  }
  if (wal_location() != nullptr || archive->is_good() || server.in_recovery) return {};
  return failure(settings_.name +
                     ": mode backup has to save the WAL that a restore needs, and cannot see it from here, nor is it "
                     "archived: set archive_mode in the server, or mode checkpoint if all of it lies on one volume",
                 ErrorKind::not_ready);
}

Result<void> PostgresqlQuiescer::probe(StageContext& context) {
  const Patience patience = patience_of(context);
  if (auto connected = connect(patience); !connected) return connected;
  const auto server = ask_server(patience);
  if (!server) return tl::unexpected(server.error());
  in_recovery_ = server->in_recovery;
  find_files(*server, context.notes);
  if (auto chosen = choose_mode(*server, check_coverage(context), context.notes); !chosen) return chosen;
  return check_backup(*server, context);
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
    auto made = make_new_directory(settings_.backup_directory + "/" + directory_name(settings_.name),
                                   timestamp() + "-" + directory_name(context.execution_id));
    if (!made) return tl::unexpected(about(made.error()));
    saved_to_ = std::move(*made);
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
  const std::string label = sql_literal("dlm-freeze " + context.execution_id);
  const bool is_15 = connection_->version() >= kVersion15;
  const std::string statement = is_15 ? "SELECT pg_catalog.pg_backup_start(" + label + ", true)"
                                      : "SELECT pg_catalog.pg_start_backup(" + label + ", true, false)";
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
      "SELECT pg_catalog.current_setting('server_version'),"
      " (SELECT system_identifier FROM pg_catalog.pg_control_system()), c.timeline_id, c.checkpoint_lsn, c.redo_lsn,"
      " pg_catalog.to_char(pg_catalog.timezone('UTC', c.checkpoint_time), 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'),"
      " CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()"
      " ELSE pg_catalog.pg_current_wal_lsn() END,"
      " CASE WHEN pg_catalog.pg_is_in_recovery() THEN c.redo_wal_file"
      " ELSE pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()) END,"
      " pg_catalog.current_setting('data_checksums'), pg_catalog.current_setting('archive_mode'),"
      " pg_catalog.pg_is_in_recovery() FROM pg_catalog.pg_control_checkpoint() AS c",
      patience);
  if (!row) return tl::unexpected(about(row.error()));
  const bool in_recovery = (*row)[10] == "t";
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
  const auto row = connection_->row(
      "SELECT redo_lsn, CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()"
      " ELSE pg_catalog.pg_current_wal_lsn() END FROM pg_catalog.pg_control_checkpoint()",
      patience);
  if (!row) return tl::unexpected(about(row.error()));
  return distance((*row)[0], (*row)[1]).value_or(0) > kLittleWal;
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
    given->push_back({kBackupFiles, saved_to_});
  } else {
    given->push_back({"mode", mode_ == PostgresqlMode::checkpoint ? "checkpoint" : "none"});
    connection_.reset();
  }
  return given;
}

/// Saves what a restore needs besides the snapshot: the label, and the WAL from the start of the backup to its end,
/// also where there is an archive: the archive may be late, or go with the host.
Result<void> PostgresqlQuiescer::save_backup(BackupFiles files, const std::string& end, std::uint64_t segment_size,
                                             const Archive& archive, StageContext& context) const {
  const std::string first = first_wal_file(files.label);
  const std::string last = wal_file_before(parse_lsn(end).value_or(0), first, segment_size);
  const std::string needed = "WAL files " + first + " to " + last;
  const std::string elsewhere =
      archive.on ? archive.name : (in_recovery_ ? "the primary or its archive" : "no archive");
  const DataLocation* const wal = wal_location();
  files.wal = wal_files_between(first, last, segment_size);
  if (files.wal.empty()) return failure("the backup's label makes no sense: " + files.label.substr(0, 100));

  // What cannot or need not be saved has to come from somewhere else.
  const std::uint64_t size = files.wal.size() * segment_size;
  const bool is_too_much = size > kMostArchivedWal || size + kSpaceToLeave > free_space(saved_to_);
  std::vector<std::string> gone;
  if (wal == nullptr || (archive.is_good() && is_too_much)) {
    gone = std::exchange(files.wal, {});
  } else {
    files.wal_directory = wal->path;
    std::error_code error;
    for (const std::string& name : files.wal) {
      if (!std::filesystem::exists(wal->path + "/" + name, error)) gone.push_back(name);
    }
    std::erase_if(files.wal,
                  [&](const std::string& name) { return std::find(gone.begin(), gone.end(), name) != gone.end(); });
  }
  if (!gone.empty() && !archive.is_good() && !in_recovery_) {
    return failure("a restore needs the " + needed + ", and " + gone.front() + " is gone from the server, which has " +
                   elsewhere + " to be relied on: this snapshot cannot be restored with the backup");
  }
  if (!gone.empty()) {
    files.note = "a restore needs the " + needed + " (" + format_size(size) + "), of which " +
                 std::to_string(gone.size()) + " are not saved with the backup: they have to come from " + elsewhere;
    add_note(context.notes, LogLevel::warn, settings_.name + ": " + files.note);
  }
  auto saved = save_backup_files(saved_to_, files, context.deadline);
  return saved ? saved : tl::unexpected(saved.error().with_context("the files of the backup are not all saved"));
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
  const auto reply = run_bounded(
      "SELECT lsn, labelfile, spcmapfile, pg_catalog.pg_size_bytes(pg_catalog.current_setting('wal_segment_size'))"
      " FROM pg_catalog." +
          stop,
      context.deadline.remaining(), patience);
  if (!reply) return lost(reply.error().message);
  if (!reply->ok() || reply->rows.size() != 1) return lost(reply->message);
  // Asked again: it may have begun to fail meanwhile.
  auto archive = ask_archive(patience);
  if (!archive) archive = Archive{false, "", "it cannot be asked"};
  connection_.reset();
  const std::vector<std::string>& row = reply->rows[0];
  const std::uint64_t segment_size = std::strtoull(row[3].c_str(), nullptr, 10);
  if (auto saved = save_backup({row[1], row[2], "", {}, ""}, row[0], segment_size, *archive, context); !saved) {
    return tl::unexpected(about(saved.error()));
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
  if (!saved_to_.empty()) ::rmdir(saved_to_.c_str());  // Only if nothing came to be in it.
  return released;
}

std::vector<Fact> PostgresqlQuiescer::intent() const {
  return saved_to_.empty() ? std::vector<Fact>() : std::vector<Fact>{{kBackupFiles, saved_to_}};
}

/// The server forgets a backup with its session. What is left is the directory for its files.
Result<void> PostgresqlQuiescer::recover(StageContext& /*context*/, const std::vector<Fact>& facts) {
  for (const Fact& fact : facts) {
    if (fact.key == kBackupFiles) ::rmdir(fact.value.c_str());
  }
  return {};
}

}  // namespace dlm_freeze::postgresql
