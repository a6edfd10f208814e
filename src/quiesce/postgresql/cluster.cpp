// SPDX-License-Identifier: Apache-2.0
#include "quiesce/postgresql/cluster.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <string_view>

#include "base/text.hpp"
#include "dlm_freeze/base/files.hpp"
#include "quiesce/postgresql/account.hpp"
#include "quiesce/postgresql/backup_files.hpp"
#include "quiesce/postgresql/patroni.hpp"
#include "quiesce/postgresql/programs.hpp"
#include "quiesce/postgresql/session_settings.hpp"
#include "quiesce/server_socket.hpp"

namespace dlm_freeze::postgresql {
namespace {

using std::chrono::milliseconds;

constexpr int kOldestVersion = 100000;  // pg_current_wal_lsn, pg_control_checkpoint and non-exclusive backups
constexpr int kMajorWithLoginTriggers = 17;

/// In a container nobody is sent a password that was meant for others: libpq looks for none where there is no file.
constexpr const char* kNoPasswordFile = "/nonexistent";

constexpr auto kLocateTimeout = std::chrono::seconds(1);
/// WAL files that wait for an archiver which keeps pace.
constexpr std::size_t kMostUnarchived = 16;
/// What the server gets, beyond its own time-out, to say that it has stopped a statement.
constexpr auto kCancelGrace = milliseconds(200);

/// The bytes between two positions in the WAL as the server writes them; none when they are no such.
std::optional<std::uint64_t> distance(const std::string& from, const std::string& to) {
  const auto begin = parse_lsn(from);
  const auto end = parse_lsn(to);
  if (!begin || !end) return std::nullopt;
  return *end > *begin ? *end - *begin : 0;
}

/// A command that succeeds without storing anything.
bool stores_nothing(std::string_view command) {
  constexpr std::array<std::string_view, 5> kNothing = {"true", "/bin/true", "/usr/bin/true", ":", "exit 0"};
  return std::find(kNothing.begin(), kNothing.end(), trimmed(command)) != kNothing.end();
}

}  // namespace

Result<Presence> Cluster::locate(const StageContext& context) {
  if (!settings_.container.empty()) return locate_in_container(context);
  const Patience patience{context.deadline.or_earlier(Deadline::in(kLocateTimeout)), context.cancel_fd};
  const auto reached = reach(settings_.options, settings_.account, patience);
  if (!reached) return tl::unexpected(reached.error());
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
                      "; where its data lies is known after the login";
    return presence;
  }
  const auto owner = owner_ids(reached->endpoint.socket());
  if (!owner) return tl::unexpected(owner.error());
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
    presence.detail += "; where its data lies is known after the login (" + lock.error().message + ")";
    return presence;
  }
  server_pid_ = lock->pid;
  data_directory_ = lock->data_directory;
  files_ = find_cluster_files(data_directory_, server_pid_);
  presence.locations = files_->locations;
  return presence;
}

/// Whether it runs there. Then it is known from now on, and stays the same process.
Result<bool> Cluster::find_in_container() {
  const std::string directory = settings_.options.value_of("host");
  const std::string port = settings_.options.value_of("port");
  const std::string wanted = directory.empty() ? "" : directory + "/.s.PGSQL." + (port.empty() ? "5432" : port);
  auto found = find_server_in(settings_.container, wanted, {kPrograms.begin(), kPrograms.end()});
  if (!found) return tl::unexpected(found.error());
  server_ = std::move(*found);
  if (!server_) return false;
  socket_ = wanted.empty() ? socket_of(*server_, port) : wanted;
  if (!socket_.empty()) return true;
  return failure(server_->text() + " listens on no Unix socket" +
                     (server_->ports.empty() ? ": it is starting, or shutting down"
                                             : ", only on port " + std::to_string(server_->ports.front()) +
                                                   ": configure conninfo with host and port"),
                 ErrorKind::not_ready);
}

Result<Presence> Cluster::locate_in_container(const StageContext& context) {
  const auto found = find_in_container();
  if (!found) return tl::unexpected(found.error());
  Presence presence;
  presence.running = *found;
  presence.detail = nothing_in(settings_.container, {kPrograms.begin(), kPrograms.end()});
  if (!presence.running) return presence;
  presence.detail = "listens on " + socket_ + " of " + server_->where;
  // A password is read by root, from a file of root's.
  if (!settings_.options.has("passfile")) {
    auto account = account_of(*server_);
    if (!account) return tl::unexpected(account.error());
    settings_.account = std::move(*account);
    settings_.options.set("passfile", kNoPasswordFile);
  }
  if (auto surveyed = survey(context.patience().share(2)); !surveyed) return tl::unexpected(surveyed.error());
  presence.locations = files_->locations;
  return presence;
}

Result<void> Cluster::survey(const Patience& patience) {
  auto cluster = survey_cluster(*server_, patience);
  if (!cluster) return tl::unexpected(cluster.error());
  foreign_ = std::move(*cluster);
  data_directory_ = foreign_->data_directory;
  files_ = foreign_->files;
  return {};
}

int Cluster::major_version() const {
  if (server_) return foreign_ ? foreign_->major_version : 0;
  return data_directory_.empty() ? 0 : major_version_of(data_directory_);
}

bool Cluster::has_patroni() const {
  if (server_) return foreign_ && foreign_->has_patroni;
  return files_ && postgresql::has_patroni(data_directory_);
}

Result<Connection> Cluster::open_session(const ConnectionOptions& options, const Patience& patience) {
  if (!server_) return Connection::open(options, settings_.account, server_user_, patience);
  auto opened = Connection::open(options, settings_.account, *server_, socket_, patience);
  if (opened || settings_.account == std::nullopt) return opened;
  return failure(opened.error().message + R"(; or configure {"type": "postgresql", "container": ")" +
                     settings_.container + R"(", "conninfo": "user=ROLE passfile=FILE"} (docs/containers.md))",
                 opened.error().kind);
}

Result<void> Cluster::connect(const Patience& patience) {
  if (connection_) return {};
  auto opened = Result<Connection>(failure(""));
  const bool has_login_triggers = major_version() >= kMajorWithLoginTriggers;
  if (has_login_triggers) {
    ConnectionOptions options = settings_.options;
    options.add_startup_settings(without_login_triggers());
    opened = open_session(options, patience);
  }
  // A role that may not turn them off runs them with its own few rights.
  if (!has_login_triggers || (!opened && opened.error().message.find(kLoginTriggers) != std::string::npos)) {
    opened = open_session(settings_.options, patience);
  }
  if (!opened) return tl::unexpected(opened.error());
  connection_ = std::move(*opened);
  if (connection_->version() < kOldestVersion) {
    return failure("the server is older than PostgreSQL 10: quiesce it by commands of your own (type command)");
  }
  return {};
}

// In all statements: nothing on which PUBLIC has more than SELECT, such as pg_settings: whoever may write may lock.
// Names of the catalog in full, no operator without its schema, and comparisons here instead where that is as easy. The
// search path alone would do (session_settings.hpp), and so would this.

Result<Server> Cluster::ask_server(const Patience& patience) {
  const bool is_15 = connection_->version() >= kVersion15;
  const auto may_execute = [](const std::string& function) {
    return "pg_catalog.has_function_privilege('pg_catalog." + function + "', 'EXECUTE')";
  };
  const std::string statement =
      std::string(
          "SELECT pg_catalog.pg_is_in_recovery(), (SELECT system_identifier FROM pg_catalog.pg_control_system()),"
          " CASE WHEN pg_catalog.pg_has_role('pg_read_all_settings', 'USAGE')"
          " THEN pg_catalog.current_setting('data_directory') END,"
          " current_user, pg_catalog.current_setting('wal_level'), ") +
      (is_15 ? "pg_catalog.pg_has_role('pg_checkpoint', 'USAGE'), " + may_execute("pg_backup_start(text,boolean)") +
                   " AND " + may_execute("pg_backup_stop(boolean)")
             : "pg_catalog.current_setting('is_superuser'), " + may_execute("pg_start_backup(text,boolean,boolean)") +
                   " AND " + may_execute("pg_stop_backup(boolean,boolean)")) +
      ", (SELECT rolsuper OR rolreplication FROM pg_catalog.pg_roles WHERE rolname OPERATOR(pg_catalog.=) current_user)"
      " AND pg_catalog.int8gt(pg_catalog.current_setting('max_replication_slots')::pg_catalog.int8,"
      " (SELECT pg_catalog.count(*) FROM pg_catalog.pg_replication_slots))";
  const auto row = connection_->row(statement, patience);
  if (!row) return tl::unexpected(row.error());
  Server server;
  server.in_recovery = in_recovery_ = (*row)[0] == "t";
  server.system_identifier = (*row)[1];
  server.data_directory = (*row)[2];
  server.user = (*row)[3];
  server.wal_level = (*row)[4];
  server.may_checkpoint = (*row)[5] == "t" || (*row)[5] == "on";
  server.may_back_up = (*row)[6] == "t";
  server.may_keep_wal = (*row)[7] == "t";
  return server;
}

Result<Archive> Cluster::ask_archive(const Patience& patience) {
  const auto row = connection_->row(
      "SELECT pg_catalog.current_setting('archive_mode'), pg_catalog.current_setting('archive_command'),"
      " pg_catalog.current_setting('archive_library', true), last_failed_wal,"
      " pg_catalog.timestamptz_gt(last_failed_time, COALESCE(last_archived_time, TIMESTAMPTZ '-infinity'))"
      " FROM pg_catalog.pg_stat_archiver",
      patience);
  if (!row) return tl::unexpected(row.error());
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

const DataLocation* Cluster::wal_location() const {
  if (!files_) return nullptr;
  const auto found = std::find_if(files_->locations.begin(), files_->locations.end(),
                                  [](const DataLocation& location) { return location.what == kWal; });
  return found == files_->locations.end() ? nullptr : &*found;
}

void Cluster::find_files(const Server& server, StageContext& context) {
  std::vector<LogLine>& notes = context.notes;
  if (server_) {
    const auto surveyed = survey(context.patience().share(2));
    if (!surveyed || foreign_->system_identifier != server.system_identifier) {
      files_.reset();
      notes.push_back(
          {LogLevel::warn, "where its data lies is not known: " +
                               (surveyed ? data_directory_ + " is not this server's" : surveyed.error().message)});
      return;
    }
    for (const std::string& problem : files_->problems)
      notes.push_back({LogLevel::warn, "a part of it cannot be found: " + problem});
    return;
  }
  if (data_directory_.empty()) data_directory_ = server.data_directory;
  if (data_directory_.empty()) {
    files_.reset();
    notes.push_back({LogLevel::warn, "where its data lies is not known: the login " + server.user +
                                         " may not ask; GRANT pg_read_all_settings TO " + server.user});
    return;
  }
  if (system_identifier_of(data_directory_) != server.system_identifier) {
    files_.reset();
    notes.push_back({LogLevel::warn, "where its data lies is not known: " + data_directory_ +
                                         " is not this server's when seen from here; does it run in a container?"});
    return;
  }
  files_ = find_cluster_files(data_directory_, server_pid_);
  for (const std::string& problem : files_->problems) {
    notes.push_back({LogLevel::warn, "a part of it cannot be found: " + problem});
  }
}

Result<Reply> Cluster::run_bounded(const std::string& statement, BootClock::duration limit, const Patience& patience) {
  const auto whole = std::max<milliseconds::rep>(1, std::chrono::duration_cast<milliseconds>(limit).count());
  auto set = connection_->run("SET statement_timeout = " + std::to_string(whole), patience);
  if (!set || !set->ok()) return set;
  return connection_->run(statement,
                          {patience.deadline.or_earlier(Deadline::in(limit + kCancelGrace)), patience.cancel_fd});
}

Result<bool> Cluster::checkpoint(StageContext& context, BootClock::duration limit, bool required) {
  const auto reply = run_bounded("CHECKPOINT", limit, context.patience());
  if (reply && reply->ok()) return true;
  if (reply && reply->sql_state != kCancelled) return failure("CHECKPOINT failed: " + reply->message);
  if (!reply) {
    if (reply.error().kind != ErrorKind::not_ready) return tl::unexpected(reply.error());
    connection_.reset();  // What it still says would be taken for the next answer.
  }
  const std::string what = "CHECKPOINT has not ended within " + format_seconds(limit) + " s";
  if (required)
    return failure(what +
                   ", and require_checkpoint is set: raise the time-out, or lower max_wal_size or checkpoint_timeout "
                   "in the server");
  context.notes.push_back(
      {LogLevel::warn, what + ": a copy of it is consistent all the same, but recovers from an older checkpoint"});
  return false;
}

Result<std::vector<Fact>> Cluster::facts(const Patience& patience) {
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
  if (!row) return tl::unexpected(row.error());
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

Result<std::optional<std::uint64_t>> Cluster::wal_since_checkpoint(const Patience& patience) {
  const auto row = connection_->row(
      "SELECT redo_lsn, CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()"
      " ELSE pg_catalog.pg_current_wal_lsn() END FROM pg_catalog.pg_control_checkpoint()",
      patience);
  if (!row) return tl::unexpected(row.error());
  return distance((*row)[0], (*row)[1]);
}

}  // namespace dlm_freeze::postgresql
