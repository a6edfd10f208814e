// SPDX-License-Identifier: Apache-2.0
#include "quiesce/mysql/mysql_quiescer.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <iterator>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "base/wait.hpp"
#include "dlm_freeze/base/files.hpp"
#include "dlm_freeze/base/thread.hpp"
#include "dlm_freeze/base/unique_fd.hpp"
#include "quiesce/coverage.hpp"
#include "quiesce/mysql/server_process.hpp"
#include "quiesce/mysql/sockets.hpp"
#include "quiesce/server_socket.hpp"

namespace dlm_freeze::mysql {
namespace {

bool is_lost(const SqlError& error) {
  return error.code == kGivenUp || error.code == kServerGone || error.code == kServerLost;
}

/// The first error, with what the second one says.
Result<void> both(Result<void> first, Result<void> second) {
  if (first) return second;
  if (!second) first.error().message += "; " + second.error().message;
  return first;
}

Result<std::string> read_password(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return system_failure("cannot read " + path, errno);
  if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0)
    return failure(path + " can be read by others than its owner: chmod 600 " + path);
  auto text = read_file(path);
  if (!text) return text;
  return text->substr(0, text->find_first_of("\r\n"));
}

/// Opens a directory and makes what was written to its filesystem durable. An errno, or 0.
Result<int> sync_directory(const std::string& directory) {
  const UniqueFd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return system_failure("cannot open " + directory, errno);
  return ::syncfs(fd.get()) == 0 ? 0 : errno;
}

/// The same, left alone when it does not return in time.
Result<int> sync_directory_here(const std::string& directory, const Patience& patience) {
  struct Sync {
    UniqueFd ended;
    Result<int> error{0};
  };
  auto ended = new_event();
  if (!ended) return tl::unexpected(ended.error());
  const auto sync = std::make_shared<Sync>(Sync{std::move(*ended)});
  run_detached([sync, directory] {
    sync->error = sync_directory(directory);
    raise_event(sync->ended.get());
  });
  if (!wait_readable(sync->ended.get(), patience)) {
    return failure("writing back the filesystem of " + directory + " takes too long", ErrorKind::not_ready);
  }
  return sync->error;
}

/// Makes what was written to these directories' filesystems durable. Calls that do not return in time are left alone.
Result<void> sync_directories(const std::vector<std::string>& directories, const std::optional<ForeignServer>& server,
                              const Patience& patience) {
  for (const std::string& directory : directories) {
    auto error = Result<int>(0);
    if (server && directory.starts_with(server->root() + "/")) {
      const std::string path = directory.substr(server->root().size());
      const auto looked = look_in_root_of(
          *server, [path] { return sync_directory(path); }, patience);
      error = looked ? *looked : tl::unexpected(looked.error());
    } else {
      error = sync_directory_here(directory, patience);
    }
    if (!error) return tl::unexpected(error.error());
    if (*error != 0) return system_failure("what was written to the filesystem of " + directory + " is lost", *error);
  }
  return {};
}

}  // namespace

Result<Presence> MysqlQuiescer::locate(StageContext& context) {
  if (!settings_.container.empty()) return locate_in_container(context);
  Presence presence;
  if (settings_.address.socket.empty()) {
    presence.detail = "at " + settings_.address.text() + "; where its data lies is known after the login";
    // A required one is not ready then, which the log-in says better.
    if (const std::string refusal =
            settings_.required ? "" : refusal_of(settings_.address.host, settings_.address.port);
        !refusal.empty()) {
      presence.running = false;
      presence.detail = refusal;
      return presence;
    }
    if (auto prepared = prepare_library(); !prepared) return tl::unexpected(prepared.error());
    return presence;
  }
  if (auto trusted = check_socket(); !trusted) return Presence{false, trusted.error().message, {}};
  const Listener listener = find_listener(settings_.address.socket);
  presence.running = listener.listening;
  presence.detail = listener.detail;
  if (!presence.running) return presence;
  if (auto prepared = prepare_library(); !prepared) return tl::unexpected(prepared.error());
  const ProcessFiles files = files_of(listener.pid);
  if (!files.known) {
    presence.detail = "listens on " + settings_.address.socket + "; where its data lies is known after the login";
    return presence;
  }
  presence.locations = locations_of(files);
  return presence;
}

/// Whether it runs there. Then it is known from now on, and stays the same process.
Result<bool> MysqlQuiescer::find_in_container() {
  auto found = find_server_in(settings_.container, settings_.address.socket, {kPrograms.begin(), kPrograms.end()});
  if (!found) return tl::unexpected(found.error());
  settings_.address.server = std::move(*found);
  if (!settings_.address.server) return false;
  const ForeignServer& server = *settings_.address.server;
  // The libraries would take the name of the account that connects, and in a user namespace of its own that has none.
  if (settings_.address.user.empty() && settings_.address.defaults_file.empty()) settings_.address.user = "root";
  if (settings_.address.socket.empty()) settings_.address.socket = socket_of(server);
  if (!settings_.address.socket.empty()) return true;
  return failure(server.text() + " listens on no Unix socket" +
                     (server.ports.empty() ? ": it is starting, or shutting down"
                                           : ", only on port " + std::to_string(server.ports.front()) +
                                                 ": configure host and port, and an account"),
                 ErrorKind::not_ready);
}

Result<Presence> MysqlQuiescer::locate_in_container(const StageContext& context) {
  const auto found = find_in_container();
  if (!found) return tl::unexpected(found.error());
  Presence presence;
  presence.running = *found;
  presence.detail = nothing_in(settings_.container, {kPrograms.begin(), kPrograms.end()});
  if (!presence.running) return presence;
  if (auto prepared = prepare_library(); !prepared) return tl::unexpected(prepared.error());
  const ForeignServer& server = *settings_.address.server;
  presence.detail = "listens on " + settings_.address.text();
  auto locations = locations_of(server, context.patience().share(2));
  if (!locations) return tl::unexpected(locations.error());
  presence.locations = std::move(*locations);
  return presence;
}

/// What to do where the login is refused there.
std::string MysqlQuiescer::advice_for_container() const {
  if (!settings_.address.server || !settings_.password_file.empty() || !settings_.address.defaults_file.empty())
    return "";
  return R"(; or configure {"type": "mysql", "container": ")" + settings_.container +
         R"(", "password_file": "FILE"} (docs/containers.md))";
}

/// Whether nobody listens any more where it was.
Result<bool> MysqlQuiescer::has_gone() {
  if (settings_.container.empty()) {
    const std::string& socket = settings_.address.socket;
    return !socket.empty() && !find_listener(socket).listening;
  }
  const auto found = find_in_container();
  if (!found) return tl::unexpected(found.error());
  return !*found;
}

Result<Connection> MysqlQuiescer::connect(const StageContext& context) const {
  ServerAddress address = settings_.address;
  if (!settings_.password_file.empty()) {
    auto password = read_password(settings_.password_file);
    if (!password) return tl::unexpected(password.error());
    address.password = std::move(*password);
  }
  if (auto trusted = check_socket(); !trusted) return tl::unexpected(trusted.error());
  auto connection = Connection::open(address, context.patience());
  const std::string login = (address.user.empty() ? "" : " as " + address.user) + " at " + address.text();
  if (!connection) {
    Failure failed = diagnosis_.from("cannot log in" + login, connection.error());
    return failure(failed.value().message + advice_for_container(), failed.value().kind);
  }
  if (auto prepared = prepare_session(*connection, context); !prepared) return tl::unexpected(prepared.error());
  return std::move(*connection);
}

/// The first statements of a session. Nothing of it is changed before it is known to be ours.
Result<void> MysqlQuiescer::prepare_session(Connection& connection, const StageContext& context) const {
  // More than one column, so that no proxy answers it by itself.
  const auto id = connection.query("SELECT CONNECTION_ID(), 1", context.patience());
  // wsrep_sync_wait lets even this one wait, in vain where the node is cut off.
  if (!id && id.error().code == kLockWaitTimeout) return diagnosis_.cluster_not_ready(id.error().message);
  if (!id) return diagnosis_.from("cannot prepare a session", id.error());
  if (static_cast<std::uint32_t>(std::strtoull(id->rows.at(0).at(0).c_str(), nullptr, 10)) != connection.id()) {
    return diagnosis_.not_ready(
        "a proxy answers, whose sessions on the server are those of applications: give the server's own socket or "
        "port");
  }
  for (const SessionSetting& setting : session_settings(settings_.lock_wait)) {
    const auto set = connection.query(setting.statement, context.patience());
    if (set || (setting.is_optional && !is_lost(set.error()))) continue;
    return diagnosis_.from("cannot prepare a session", set.error());
  }
  return {};
}

/// That the socket belongs to the server: whoever owns it is sent a password.
Result<void> MysqlQuiescer::check_socket() const {
  if (settings_.address.socket.empty() || settings_.address.server) return {};
  return check_server_socket(settings_.address.socket, uids_of({"mysql", "mariadb"}));
}

Result<void> MysqlQuiescer::check_lock(LockKind lock) const {
  const ServerVersion& version = server_->version();
  if (!supports(lock, version)) {
    return failure(version.text + " does not know BACKUP STAGE: set lock to auto or flush_tables");
  }
  // For the lock alone MySQL's FLUSH_TABLES would do, and for none nothing; for FLUSH ENGINE LOGS it takes this.
  if (!server_->grants({"RELOAD"})) {
    return diagnosis_.from(
        lock == LockKind::none ? "cannot flush its redo log" : "cannot lock, nor flush its redo log",
        {kPrivilegeMissing, "the account " + server_->account() + " lacks RELOAD, or its role is not active"},
        "RELOAD");
  }
  if (StatementGuard::is_needed(lock, settings_) && !server_->grants({"PROCESS"})) {
    return diagnosis_.from(
        "cannot see which statements the lock would wait for, and every writer with it",
        {kPrivilegeMissing, "the account " + server_->account() + " lacks PROCESS, or its role is not active"},
        "PROCESS");
  }
  return {};
}

/// That the account may do what the options ask for.
Result<void> MysqlQuiescer::check_options(LockKind lock, const StageContext& context) {
  const auto lacks = [&](const std::string& what, const std::string& privilege) -> Result<void> {
    return diagnosis_.from(what,
                           {kPrivilegeMissing, "the account " + server_->account() + " lacks " + privilege +
                                                   ", or its role is not active"},
                           privilege);
  };
  const bool is_mariadb = server_->version().is_mariadb();
  if (settings_.kill_selects && StatementGuard::is_needed(lock, settings_) &&
      !server_->grants({"CONNECTION ADMIN", "CONNECTION_ADMIN", "SUPER"}))
    return lacks("cannot end long statements", is_mariadb ? "CONNECTION ADMIN" : "CONNECTION_ADMIN");
  if (!settings_.stop_applier) return {};
  if (auto found = appliers_.find(*monitor_, server_->version(), context); !found) return found;
  if (!appliers_.to_stop().empty() && !server_->grants({"REPLICATION SLAVE ADMIN", "REPLICATION_SLAVE_ADMIN", "SUPER"}))
    return lacks("cannot stop the replica's applier",
                 is_mariadb ? "REPLICATION SLAVE ADMIN" : "REPLICATION_SLAVE_ADMIN");
  return {};
}

/// With a pool of threads, each writer that waits for the lock takes one. When none is left, the server reads neither
/// the end of the lock nor that of its connection, and nobody gets in to kill it.
Result<void> MysqlQuiescer::check_thread_pool(LockKind lock) const {
  if (lock == LockKind::none || server_->variable("thread_handling") != "pool-of-threads") return {};
  const std::string extra_port = server_->variable("extra_port");  // Its connections have threads of their own.
  if (extra_port != "0" && extra_port == std::to_string(settings_.address.port)) return {};
  const auto number = [&](const char* name) { return std::strtoull(server_->variable(name).c_str(), nullptr, 10); };
  constexpr unsigned long long kOwn = 2;
  const unsigned long long needed = number("max_connections") + kOwn;
  if (number("thread_pool_max_threads") >= needed) return {};
  return diagnosis_.not_ready(
      "writers that wait for the lock could take all " + server_->variable("thread_pool_max_threads") +
      " threads of its pool, and then nothing could release it: set thread_pool_max_threads to " +
      std::to_string(needed) + " at least (max_connections and " + std::to_string(kOwn) +
      "), or give its extra_port as the port");
}

/// FLUSH ENGINE LOGS of MariaDB leaves out a log that is written by time alone.
Result<void> MysqlQuiescer::check_log() const {
  const std::chrono::seconds interval(
      std::strtoll(server_->variable("innodb_flush_log_at_timeout").c_str(), nullptr, 10));
  if (!server_->writes_log_by_time() || interval < settings_.lock_wait) return {};
  return diagnosis_.not_ready("InnoDB writes its log every " + std::to_string(interval.count()) +
                              " s alone, since innodb_flush_log_at_trx_commit is 0: set it to 2 or 1, or "
                              "innodb_flush_log_at_timeout to 1");
}

void MysqlQuiescer::note_coverage(StageContext& context) {
  if (!context.coverage) return;
  if (!server_->locations_known()) {
    context.notes.push_back({LogLevel::warn,
                             "it runs in a container or on another host: whether its directories are "
                             "going to be frozen cannot be told from here"});
    return;
  }
  CoverageReport report =
      report_coverage(server_->locations(), context.coverage,
                      lock_->kind() == LockKind::none ? "lock is none: nothing protects it"
                                                      : "the lock protects it, and it is written back");
  unfrozen_ = std::move(report.unfrozen);
  std::move(report.lines.begin(), report.lines.end(), std::back_inserter(context.notes));
  warn_of_logs(context, *server_);
}

/// What the servers that it works with have to do with it.
void MysqlQuiescer::note_cluster(StageContext& context) {
  std::optional<std::chrono::seconds> session;
  if (context.session_deadline)
    session = std::chrono::ceil<std::chrono::seconds>(context.session_deadline->remaining());
  // Of those who wait, not of what the snapshot is worth.
  for (LogLine& line : server_->cluster().notes(session))
    context.notes.push_back({line.level, std::move(line.text), false});
  if (lock_->kind() != LockKind::none) desync_.find(server_->cluster(), server_->grants({"SUPER"}), context);
}

void MysqlQuiescer::warn_of_logs(StageContext& context, const ServerInfo& server) const {
  const auto frozen = [&](const std::string& file) {
    return !file.empty() && context.coverage(server.resolve(file)).frozen;
  };
  const auto goes_to = [&](const char* output) {
    return server.variable("log_output").find(output) != std::string::npos;
  };
  const bool is_general_log_frozen =
      (goes_to("FILE") && frozen(server.variable("general_log_file"))) || (goes_to("TABLE") && frozen("mysql"));
  if (server.is_on("general_log") && is_general_log_frozen) {
    context.notes.push_back({LogLevel::warn,
                             "general_log is ON and lies on a filesystem that is going to be frozen: every statement, "
                             "also one that only reads, waits until it is thawed",
                             false});
  }
  const std::string error_log = server.variable("log_error");
  if (error_log != "stderr" && frozen(error_log)) {
    context.notes.push_back({LogLevel::warn,
                             "log_error (" + server.resolve(error_log) +
                                 ") lies on a filesystem that is going to be frozen: aborted connections block until "
                                 "the thaw",
                             false});
  }
}

Result<void> MysqlQuiescer::warn_of_unlocked_tables(StageContext& context) {
  if (lock_->kind() != LockKind::none) return {};
  const auto table = monitor_->query(
      "SELECT table_schema, table_name, engine FROM information_schema.tables WHERE table_type = "
      "'BASE TABLE' AND engine IN "
      "('MyISAM', 'Aria', 'CSV', 'ARCHIVE', 'MRG_MyISAM') AND table_schema NOT IN ('mysql', 'sys', "
      "'information_schema', "
      "'performance_schema') LIMIT 1",
      context.patience());
  if (!table) return diagnosis_.from("cannot look for tables that need a lock", table.error());
  if (!table->rows.empty()) {
    const auto& row = table->rows[0];
    context.notes.push_back({LogLevel::warn, "lock is none, and table " + row.at(0) + "." + row.at(1) + " is " +
                                                 row.at(2) +
                                                 ": tables without transactions may be corrupt in the snapshot"});
  }
  return {};
}

Result<void> MysqlQuiescer::probe(StageContext& context) {
  const LibraryThread thread;
  auto holder = connect(context);
  if (!holder) return tl::unexpected(holder.error());
  auto monitor = connect(context);
  if (!monitor) return tl::unexpected(monitor.error());
  monitor_.emplace(std::move(*monitor));
  auto server = ServerInfo::read(*monitor_, settings_.address.server, context.patience());
  if (!server) return diagnosis_.from("cannot read its settings", server.error());
  if (const std::string problem = server->cluster().problem(); !problem.empty())
    return diagnosis_.cluster_not_ready(problem);
  server_.emplace(std::move(*server));
  diagnosis_.set_account(server_->version().maker, server_->account());
  const auto id = holder->query("SELECT CONNECTION_ID()", context.patience());
  if (!id) return diagnosis_.from("cannot read its settings", id.error());
  const LockKind lock = choose_lock(settings_.lock, server_->version());
  if (auto checked = check_lock(lock); !checked) return checked;
  if (auto checked = check_thread_pool(lock); !checked) return checked;
  if (auto checked = check_log(); !checked) return checked;
  if (auto checked = check_options(lock, context); !checked) return checked;
  std::vector<std::string> missing;  // Told when it is quiesced.
  if (const auto positions = read_positions(*monitor_, *server_, context.patience(), missing); !positions)
    return diagnosis_.from("cannot read its position", positions.error());
  lock_.emplace(std::move(*holder), std::strtoull(id->rows.at(0).at(0).c_str(), nullptr, 10), lock, settings_.lock_wait,
                *monitor_, diagnosis_);
  note_coverage(context);
  note_cluster(context);
  if (auto warned = warn_of_unlocked_tables(context); !warned) return warned;
  guard_.emplace(*monitor_, server_->version(), lock, settings_, diagnosis_);
  return guard_->wait_for_gap(context, StatementGuard::Killing::not_now);
}

Result<std::vector<Fact>> MysqlQuiescer::prepare(StageContext& context) {
  const LibraryThread thread;
  if (lock_->kind() == LockKind::backup_stage) {
    if (auto started = lock_->start_stage(context); !started) return tl::unexpected(started.error());
  }
  if (auto synced = sync_directories(unfrozen_, server_->process(), context.patience()); !synced) {
    return tl::unexpected(synced.error());
  }
  std::vector<Fact> to_undo = appliers_.to_stop();
  for (Fact& fact : desync_.to_do()) to_undo.push_back(std::move(fact));
  return to_undo;
}

Result<std::vector<Fact>> MysqlQuiescer::quiesce(StageContext& context) {
  const LibraryThread thread;
  if (auto stopped = appliers_.stop(lock_->connection(), server_->version(), context); !stopped) {
    return tl::unexpected(stopped.error());
  }
  if (auto desynced = desync_.begin(lock_->connection(), context); !desynced) return tl::unexpected(desynced.error());
  if (auto gap = guard_->wait_for_gap(context, StatementGuard::Killing::allowed); !gap)
    return tl::unexpected(gap.error());
  const auto started = BootClock::now();
  if (lock_->kind() != LockKind::none) {
    if (auto locked = lock_->take(context); !locked) return tl::unexpected(locked.error());
  }
  const auto span = BootClock::now() - started;
  // The binary log is written to the filesystem by each commit; its position must not be ahead of what InnoDB keeps.
  if (auto flushed = lock_->flush_logs(context); !flushed) return tl::unexpected(flushed.error());

  std::vector<std::string> missing;
  // By the monitor: a statement that hangs must not keep the holder from releasing. MySQL's replica status can wait for
  // a receiver thread that waits for this very lock.
  auto facts = read_positions(*monitor_, *server_, context.patience(), missing);
  if (!facts) return diagnosis_.from("cannot read its position", facts.error());
  for (const std::string& privilege : missing) {
    context.notes.push_back({LogLevel::warn, "its position is not recorded in full: the account " + server_->account() +
                                                 " lacks " + privilege});
  }
  facts->push_back({"lock", std::string(name_of(lock_->kind()))});
  for (Fact& stopped : appliers_.facts()) facts->push_back(std::move(stopped));
  for (Fact& desynced : desync_.facts()) facts->push_back(std::move(desynced));
  std::set<std::string> told;
  for (const DataLocation& location : server_->locations()) {
    if (told.insert(location.what).second) facts->push_back({"directory of " + location.what, location.path});
  }
  // A freeze would write back what lies on other filesystems.
  if (auto synced = sync_directories(unfrozen_, server_->process(), context.patience()); !synced) {
    return tl::unexpected(synced.error());
  }

  std::string line = server_->version().text + ", " +
                     (lock_->kind() == LockKind::none ? "not locked" : "locked in " + format_seconds(span) + " s");
  for (const Fact& fact : *facts) {
    const bool is_told = fact.key.starts_with("binary_log") || fact.key.starts_with("gtid_executed") ||
                         fact.key == "gtid_binlog_pos" || fact.key.starts_with("replica");
    if (is_told) line += ", " + fact.key + " " + fact.value;
  }
  context.notes.push_back({LogLevel::info, line});
  return std::move(*facts);
}

Result<void> MysqlQuiescer::release(StageContext& context, Outcome outcome) {
  const LibraryThread thread;
  auto released = lock_ ? lock_->release(context, outcome) : Result<void>();
  return both(std::move(released), put_back_cluster(context));
}

/// Undoes what outlives the lock's session. By the monitor, if the server still has it: a server without a free
/// connection refuses another one.
Result<void> MysqlQuiescer::put_back_cluster(const StageContext& context) {
  if (!appliers_.any_stopped() && !desync_.is_begun()) return {};
  if (!monitor_->busy() && !monitor_->lost()) return put_back_cluster(*monitor_, server_->version(), context);
  // A server that has gone is not desynced when it comes back.
  if (!appliers_.any_stopped() && has_gone().value_or(false)) return {};
  auto connection = connect(context);
  if (!connection) return tl::unexpected(connection.error().with_context(what_is_left()));
  return put_back_cluster(*connection, server_->version(), context);
}

Result<void> MysqlQuiescer::put_back_cluster(Connection& session, const ServerVersion& version,
                                             const StageContext& context) const {
  auto resynced = desync_.end(session, context);
  auto started = appliers_.start(session, version, context);
  return both(std::move(resynced), std::move(started));
}

/// For an error before any of that could be undone.
std::string MysqlQuiescer::what_is_left() const {
  if (appliers_.any_stopped()) return "the replica's applier was stopped and cannot be started again";
  if (desync_.is_begun()) return "the node of Galera was desynced and cannot be put back";
  return "a statement of the lost session may still be waiting for the lock";
}

Result<void> MysqlQuiescer::recover(StageContext& context, const std::vector<Fact>& facts) {
  const LibraryThread thread;
  const auto gone = has_gone();
  if (!gone) return tl::unexpected(gone.error());
  if (*gone) return {};
  appliers_.recall(facts);
  desync_.recall(facts);
  auto connection = connect(context);
  if (!connection) return tl::unexpected(connection.error().with_context(what_is_left()));
  // First: what still waits for the lock would keep appliers from starting.
  auto ended = end_lost_statements(*connection, context);
  const auto version = read_version(*connection, context.patience());
  auto put_back = version ? put_back_cluster(*connection, *version, context)
                          : both(desync_.end(*connection, context),
                                 diagnosis_.from(what_is_left() + ": cannot ask its version", version.error()));
  return both(std::move(put_back), std::move(ended));
}

/// A lock that was granted has ended with its connection. MySQL does not notice the end of one that still waits.
Result<void> MysqlQuiescer::end_lost_statements(Connection& connection, const StageContext& context) const {
  const auto statements = read_statements(connection, context.patience().share(4));
  if (!statements) return diagnosis_.from("cannot list its statements", statements.error());
  Result<void> result;
  for (const Statement& statement : *statements) {
    if (statement.text.find(statement_tag(context.execution_id)) == std::string::npos) continue;
    auto killed = kill_session(connection, statement.session, context.deadline.or_earlier(Deadline::in(kUndoPatience)));
    if (!killed) result = tl::unexpected(killed.error());
  }
  return result;
}

}  // namespace dlm_freeze::mysql
