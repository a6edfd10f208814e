// SPDX-License-Identifier: Apache-2.0
#include "quiesce/mysql/mysql_quiescer.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <iterator>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "dlm_freeze/base/files.hpp"
#include "dlm_freeze/base/thread.hpp"
#include "dlm_freeze/base/unique_fd.hpp"
#include "quiesce/coverage.hpp"
#include "quiesce/mysql/server_process.hpp"
#include "quiesce/server_socket.hpp"

namespace dlm_freeze::mysql {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// What a stage keeps of its time to undo a lock that was not granted.
constexpr auto kUndoReserve = milliseconds(300);
/// How long each step of undoing may take, whatever the deadline of the stage.
constexpr auto kUndoPatience = seconds(1);
constexpr auto kGapPause = milliseconds(50);
constexpr auto kStagePause = milliseconds(100);
constexpr const char* kStoppedApplier = "stopped_applier";  ///< The fact by which `recover` knows what to start.

/// Waits for a while; false when the stage is cancelled first.
bool pause(milliseconds span, int cancel_fd) {
  pollfd event = {cancel_fd, POLLIN, 0};
  return ::poll(&event, 1, static_cast<int>(span.count())) <= 0;
}

/// The beginning of a statement, for a message.
std::string shortened(const std::string& statement) {
  constexpr std::size_t kLongest = 100;
  return statement.size() <= kLongest ? statement : statement.substr(0, kLongest) + "…";
}

bool is_lost(const SqlError& error) {
  return error.code == kGivenUp || error.code == kServerGone || error.code == kServerLost;
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

/// Makes what was written to these directories' filesystems durable. Calls that do not return in
/// time are left alone.
Result<void> sync_directories(const std::vector<std::string>& directories, Deadline deadline, int cancel_fd) {
  for (const std::string& directory : directories) {
    auto fd = std::make_shared<UniqueFd>(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!*fd) return system_failure("cannot open " + directory, errno);
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return system_failure("cannot create a pipe", errno);
    const UniqueFd done(ends[0]);
    auto finished = std::make_shared<UniqueFd>(ends[1]);
    auto failed = std::make_shared<std::atomic<int>>(0);
    run_detached([fd, finished, failed] {
      if (::syncfs(fd->get()) != 0) failed->store(errno);
      finished->reset();
    });
    finished.reset();
    std::array<pollfd, 2> events = {pollfd{done.get(), POLLIN, 0}, pollfd{cancel_fd, POLLIN, 0}};
    if (::poll(events.data(), events.size(), deadline.poll_timeout()) <= 0 || events[0].revents == 0) {
      return failure("writing back the filesystem of " + directory + " takes too long", ErrorKind::not_ready);
    }
    if (const int error = failed->load(); error != 0) {
      return system_failure("what was written to the filesystem of " + directory + " is lost", error);
    }
  }
  return {};
}

}  // namespace

std::string MysqlQuiescer::user() const { return settings_.address.user.empty() ? "root" : settings_.address.user; }

std::string MysqlQuiescer::advice(unsigned code, std::string_view privilege) const {
  switch (code) {
    case kTooManyConnections:
    case kTooManyUserConnections:
    case kUserLimitReached:
      return "; two connections are needed: raise the limit, or end some that are idle (SHOW PROCESSLIST)";
    case kNodeNotReady:
      return "; the node is cut off from its cluster, or joining it: try again when it is synced";
    case kPrivilegeMissing:
      if (server_) {
        const Maker maker = server_->version().maker;
        const std::string& account = server_->account();
        const std::size_t at = account.rfind('@');
        return "; GRANT " + std::string(privilege) + " ON *.* TO " + quoted(account.substr(0, at)) + "@" +
               quoted(account.substr(at + 1)) +
               "; or all that is needed: " + account_statements(maker, account.substr(0, at));
      }
      [[fallthrough]];
    case kAccessDenied:
    case kAccessDeniedNoPassword:
    case kHostNotAllowed:
    case kPluginNotLoaded:
    case kPasswordExpired:
    case kPasswordExpiredLogin:
    case kAccountLocked:
      return "; an account that will do, MariaDB: " + account_statements(Maker::mariadb, user()) +
             " MySQL: " + account_statements(Maker::mysql, user());
    case kGivenUp:
    case kServerShutdown:
    case kServerGone:
    case kServerLost:
      return "; it is starting, shutting down or overloaded: see its error log, and try again";
    case kConnectionError:
    case kHostError:
      return "; start it, or correct the address in the configuration";
    default:
      return "";
  }
}

Failure MysqlQuiescer::from(const std::string& action, const SqlError& error, std::string_view privilege) const {
  const std::string number = error.code != kGivenUp ? " (error " + std::to_string(error.code) + ")" : "";
  return not_ready(action + ": " + error.message + number + advice(error.code, privilege));
}

Result<Presence> MysqlQuiescer::locate(StageContext& /*context*/) {
  Presence presence;
  if (settings_.address.socket.empty()) {
    presence.detail = "at " + settings_.address.text() + "; where it keeps its data is asked after the login";
    // A required one is not ready then, which the log-in says better.
    if (const std::string refusal =
            settings_.required ? "" : refusal_of(settings_.address.host, settings_.address.port);
        !refusal.empty()) {
      presence.running = false;
      presence.detail = refusal;
    }
    return presence;
  }
  if (auto trusted = check_socket(); !trusted) return Presence{false, trusted.error().message, {}};
  const Listener listener = find_listener(settings_.address.socket);
  presence.running = listener.listening;
  presence.detail = listener.detail;
  if (!presence.running) return presence;
  const ProcessFiles files = files_of(listener.pid);
  if (!files.known) {
    presence.detail = "listens on " + settings_.address.socket + "; where it keeps its data is asked after the login";
    return presence;
  }
  presence.locations = locations_of(files);
  return presence;
}

Result<Connection> MysqlQuiescer::connect(const StageContext& context) const {
  ServerAddress address = settings_.address;
  if (!settings_.password_file.empty()) {
    auto password = read_password(settings_.password_file);
    if (!password) return tl::unexpected(password.error().with_context(what()));
    address.password = std::move(*password);
  }
  if (auto trusted = check_socket(); !trusted) return tl::unexpected(trusted.error().with_context(what()));
  auto connection = Connection::open(address, context.deadline, context.cancel_fd);
  const std::string login = address.user.empty() ? "" : " as " + address.user;
  if (!connection) return from("cannot log in" + login, connection.error());
  if (auto prepared = prepare_session(*connection, context); !prepared) return tl::unexpected(prepared.error());
  return std::move(*connection);
}

/// The first statements of a session. Nothing of it is changed before it is known to be ours.
Result<void> MysqlQuiescer::prepare_session(Connection& connection, const StageContext& context) const {
  // More than one column, so that no proxy answers it by itself.
  const auto id = connection.query("SELECT CONNECTION_ID(), 1", context.deadline, context.cancel_fd);
  // wsrep_sync_wait lets even this one wait, in vain where the node is cut off.
  if (!id && id.error().code == kLockWaitTimeout) return cluster_not_ready(id.error().message);
  if (!id) return from("cannot prepare a session", id.error());
  if (static_cast<std::uint32_t>(std::strtoull(id->rows.at(0).at(0).c_str(), nullptr, 10)) != connection.id()) {
    return not_ready(
        "a proxy answers, whose sessions on the server are those of applications: give the server's own socket or "
        "port");
  }
  for (const SessionSetting& setting : session_settings(settings_.lock_wait)) {
    const auto set = connection.query(setting.statement, context.deadline, context.cancel_fd);
    if (set || (setting.is_optional && !is_lost(set.error()))) continue;
    return from("cannot prepare a session", set.error());
  }
  return {};
}

/// That the socket is not somebody else's, who would be sent a password.
Result<void> MysqlQuiescer::check_socket() const {
  if (settings_.address.socket.empty()) return {};
  return check_server_socket(settings_.address.socket, uids_of({"mysql", "mariadb"}));
}

Result<void> MysqlQuiescer::check_lock() const {
  const ServerVersion& version = server_->version();
  if (!supports(lock_, version)) {
    return failure(what() + ": " + version.text + " does not know BACKUP STAGE: set lock to auto or flush_tables");
  }
  if (lock_ == LockKind::none) return {};
  std::vector<std::string_view> privileges = {"RELOAD"};
  if (!version.is_mariadb()) privileges.emplace_back("FLUSH_TABLES");
  if (!server_->grants(privileges)) {
    return from("cannot lock",
                {kPrivilegeMissing, "the account " + server_->account() + " lacks RELOAD, or its role is not active"},
                "RELOAD");
  }
  const bool must_see_statements = lock_ == LockKind::flush_tables && settings_.long_query.count() > 0;
  if (must_see_statements && !server_->grants({"PROCESS"})) {
    return from("cannot see which statements the lock would wait for, and every writer with it",
                {kPrivilegeMissing, "the account " + server_->account() + " lacks PROCESS, or its role is not active"},
                "PROCESS");
  }
  return {};
}

void MysqlQuiescer::note_coverage(StageContext& context) {
  if (!context.coverage) return;
  if (!server_->locations_known()) {
    context.notes.push_back(
        {LogLevel::warn, what() + ": it runs in a container or on another host: whether its directories are "
                                  "going to be frozen cannot be told from here"});
    return;
  }
  CoverageReport report = report_coverage(
      what(), server_->locations(), context.coverage,
      lock_ == LockKind::none ? "lock is none: nothing protects it" : "the lock protects it, and it is written back");
  unfrozen_ = std::move(report.unfrozen);
  std::move(report.lines.begin(), report.lines.end(), std::back_inserter(context.notes));
  warn_of_logs(context, *server_);
}

void MysqlQuiescer::warn_of_logs(StageContext& context, const ServerInfo& server) const {
  const auto frozen = [&](const std::string& file) {
    return !file.empty() && context.coverage(server.resolve(file)).frozen;
  };
  const bool general_log_to_file =
      server.is_on("general_log") && server.variable("log_output").find("FILE") != std::string::npos;
  if (general_log_to_file && frozen(server.variable("general_log_file"))) {
    context.notes.push_back(
        {LogLevel::warn, what() + ": general_log is ON and lies on a filesystem that is going to be frozen: "
                                  "every statement, also one that only reads, waits until it is thawed"});
  }
  const std::string error_log = server.variable("log_error");
  if (error_log != "stderr" && frozen(error_log)) {
    context.notes.push_back(
        {LogLevel::warn, what() + ": log_error (" + server.resolve(error_log) +
                             ") lies on a filesystem that is "
                             "going to be frozen: a session that ends badly is not ended before it is thawed"});
  }
}

Result<void> MysqlQuiescer::warn_of_unlocked_tables(StageContext& context) {
  if (lock_ != LockKind::none) return {};
  const auto table = monitor_->query(
      "SELECT table_schema, table_name, engine FROM information_schema.tables WHERE table_type = "
      "'BASE TABLE' AND engine IN "
      "('MyISAM', 'Aria', 'CSV', 'ARCHIVE', 'MRG_MyISAM') AND table_schema NOT IN ('mysql', 'sys', "
      "'information_schema', "
      "'performance_schema') LIMIT 1",
      context.deadline, context.cancel_fd);
  if (!table) return from("cannot look for tables that need a lock", table.error());
  if (!table->rows.empty()) {
    const auto& row = table->rows[0];
    context.notes.push_back({LogLevel::warn, what() + ": lock is none, and table " + row.at(0) + "." + row.at(1) +
                                                 " is " + row.at(2) +
                                                 ": tables without transactions may be corrupt in the snapshot"});
  }
  return {};
}

Result<void> MysqlQuiescer::probe(StageContext& context) {
  const LibraryThread thread;
  for (auto* connection : {&holder_, &monitor_}) {
    auto opened = connect(context);
    if (!opened) return tl::unexpected(opened.error());
    connection->emplace(std::move(*opened));
  }
  auto server = ServerInfo::read(*monitor_, context.deadline, context.cancel_fd);
  if (!server) return from("cannot read its settings", server.error());
  if (!server->cluster_problem().empty()) {
    return cluster_not_ready(server->cluster_problem());
  }
  server_.emplace(std::move(*server));
  const auto id = holder_->query("SELECT CONNECTION_ID()", context.deadline, context.cancel_fd);
  if (!id) return from("cannot read its settings", id.error());
  holder_id_ = id->rows.at(0).at(0);
  lock_ = choose_lock(settings_.lock, server_->version());
  if (auto checked = check_lock(); !checked) return checked;
  note_coverage(context);
  return warn_of_unlocked_tables(context);
}

/// Keeps other backups out, blocks nobody else, and ends with the connection. A statement that waited for it would hold
/// up every schema change meanwhile, so it is tried again and again instead.
Result<void> MysqlQuiescer::start_backup_stage(const StageContext& context) {
  const Deadline until = context.deadline.or_earlier(Deadline::in(settings_.lock_wait));
  for (;;) {
    const auto started =
        holder_->query(backup_stage_start(statement_tag(context.execution_id)), context.deadline, context.cancel_fd);
    if (started) return {};
    if (started.error().code != kLockWaitTimeout) return from("BACKUP STAGE START failed", started.error(), "RELOAD");
    if (until.expired() || !pause(kStagePause, context.cancel_fd)) break;
  }
  return not_ready(
      "BACKUP STAGE START is refused: another backup of this server is under way, or a session holds LOCK TABLES … "
      "WRITE" +
      idle_sessions(context) + "; let it end, and try again");
}

/// Who could hold a lock without running a statement: those that have slept longest, for a person.
std::string MysqlQuiescer::idle_sessions(const StageContext& context) {
  constexpr std::size_t kMost = 3;
  auto statements = read_statements(*monitor_, context.deadline, context.cancel_fd);
  if (!statements) return "";
  std::erase_if(*statements, [this](const Statement& statement) {
    return statement.command != "Sleep" || std::to_string(statement.session) == holder_id_;
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

Result<void> MysqlQuiescer::prepare(StageContext& context) {
  const LibraryThread thread;
  if (lock_ == LockKind::backup_stage) {
    if (auto started = start_backup_stage(context); !started) return started;
  }
  if (auto found = find_appliers(context); !found) return found;
  auto synced = sync_directories(unfrozen_, context.deadline, context.cancel_fd);
  return synced ? synced : tl::unexpected(synced.error().with_context(what()));
}

std::vector<Fact> MysqlQuiescer::intent() const {
  std::vector<Fact> facts;
  for (const std::string& channel : running_channels_) facts.push_back({kStoppedApplier, channel});
  return facts;
}

/// Why nothing is locked while these statements run.
Failure MysqlQuiescer::refusal(const std::vector<Statement>& statements, bool could_be_killed) const {
  const Statement& oldest =
      *std::max_element(statements.begin(), statements.end(),
                        [](const Statement& a, const Statement& b) { return a.seconds < b.seconds; });
  const std::string id = std::to_string(oldest.session);
  return not_ready("statement " + id + " of " + oldest.user + " has been running for " +
                   std::to_string(oldest.seconds) + " s, and the lock and all writers would wait for its end (" +
                   shortened(oldest.text) + "); nothing was locked; try again when it has ended, or KILL QUERY " + id +
                   (could_be_killed ? ", or set kill_long_queries" : ""));
}

Result<void> MysqlQuiescer::kill_statements(const std::vector<Statement>& statements, const StageContext& context) {
  for (const Statement& statement : statements) {
    const std::string id = std::to_string(statement.session);
    const auto killed = monitor_->query("KILL QUERY " + id, context.deadline, context.cancel_fd);
    if (!killed && killed.error().code != kUnknownThread) {
      return from("cannot end statement " + id, killed.error(),
                  server_->version().is_mariadb() ? "CONNECTION ADMIN" : "CONNECTION_ADMIN");
    }
  }
  return {};
}

Result<void> MysqlQuiescer::wait_for_gap(const StageContext& context) {
  if (lock_ != LockKind::flush_tables || settings_.long_query.count() == 0) return {};
  Deadline until = context.deadline.or_earlier(Deadline::in(settings_.wait));
  bool may_kill = settings_.kill_selects;
  for (;;) {
    auto statements = read_statements(*monitor_, context.deadline, context.cancel_fd);
    if (!statements) return from("cannot list its statements", statements.error(), "PROCESS");
    std::erase_if(*statements, [this](const Statement& statement) {
      return !holds_up(statement, lock_, server_->version(), settings_.long_query);
    });
    if (statements->empty()) return {};
    if (until.expired()) {
      const bool only_selects = std::all_of(statements->begin(), statements->end(),
                                            [](const Statement& statement) { return only_reads(statement.text); });
      if (!may_kill || !only_selects) return refusal(*statements, only_selects);
      if (auto killed = kill_statements(*statements, context); !killed) return killed;
      may_kill = false;
      until = context.deadline.or_earlier(Deadline::in(kUndoPatience));
    }
    if (!pause(kGapPause, context.cancel_fd)) return not_ready("given up while waiting for long statements to end");
  }
}

Result<void> MysqlQuiescer::find_appliers(const StageContext& context) {
  if (!settings_.stop_applier) return {};
  const auto channels = read_channels(*monitor_, server_->version(), context.deadline, context.cancel_fd);
  if (!channels)
    return from("cannot read its replication", channels.error(),
                server_->version().is_mariadb() ? "SLAVE MONITOR" : "REPLICATION CLIENT");
  for (const Channel& channel : *channels) {
    if (channel.applier_running) running_channels_.push_back(channel.name);
  }
  return {};
}

Result<void> MysqlQuiescer::stop_appliers(const StageContext& context) {
  for (const std::string& channel : running_channels_) {
    stopped_channels_.push_back(channel);  // First: it has to be started again even if this is given up.
    const std::string statement = applier_statement(server_->version(), false, channel);
    const auto stopped = holder_->query(statement, context.deadline, context.cancel_fd);
    if (!stopped) {
      return from(statement + " failed", stopped.error(),
                  server_->version().is_mariadb() ? "REPLICATION SLAVE ADMIN" : "REPLICATION_SLAVE_ADMIN");
    }
  }
  return {};
}

Result<void> MysqlQuiescer::start_appliers(Connection& connection, const ServerVersion& version,
                                           const std::vector<std::string>& channels, Deadline deadline,
                                           int cancel_fd) const {
  for (const std::string& channel : channels) {
    const std::string statement = applier_statement(version, true, channel);
    // A STOP that was given up, or whose sender died, may not have taken effect yet. Another one ends after it.
    static_cast<void>(connection.query(applier_statement(version, false, channel), deadline, cancel_fd));
    if (auto started = connection.query(statement, deadline, cancel_fd); !started) {
      return failure(what() + ": the replica's applier was stopped and cannot be started again (" +
                     started.error().message + "): say " + statement);
    }
  }
  return {};
}

Result<void> MysqlQuiescer::kill_session(Connection& connection, std::uint64_t session, Deadline deadline) const {
  const std::string id = std::to_string(session);
  static_cast<void>(connection.query("KILL " + id, deadline, -1));
  for (;;) {
    const auto statements = read_statements(connection, deadline, -1);
    if (!statements) break;
    const bool there = std::any_of(statements->begin(), statements->end(),
                                   [&](const Statement& statement) { return statement.session == session; });
    if (!there) return {};
    if (deadline.expired()) break;
    pause(kGapPause, -1);
  }
  return failure("session " + id + " of dlm-freeze may still be there: say KILL " + id);
}

/// Ends a lock statement that was not granted, and what it holds all the same: MySQL keeps the
/// global read lock when FLUSH TABLES WITH READ LOCK fails in its second half, and goes on waiting
/// for a client that is gone.
void MysqlQuiescer::drop_lock(std::string& message) {
  const Deadline deadline = Deadline::in(kUndoPatience);
  if (holder_->busy()) {
    static_cast<void>(monitor_->query("KILL QUERY " + holder_id_, deadline, -1));
    static_cast<void>(holder_->wait(deadline, -1));
  }
  bool unlocked = false;
  if (!holder_->busy()) unlocked = holder_->query(unlock_statement(lock_), deadline, -1).has_value();
  if (!unlocked) {
    const auto killed =
        kill_session(*monitor_, std::strtoull(holder_id_.c_str(), nullptr, 10), Deadline::in(kUndoPatience));
    if (!killed) message += "; " + killed.error().message;
  }
  holder_.reset();
}

Result<void> MysqlQuiescer::take_lock(const StageContext& context) {
  const Deadline deadline =
      Deadline(context.deadline.at() - kUndoReserve).or_earlier(Deadline::in(settings_.lock_wait));
  const auto locked =
      holder_->query(lock_statement(lock_, statement_tag(context.execution_id)), deadline, context.cancel_fd);
  if (locked) return {};
  const bool waited = locked.error().code == kGivenUp || locked.error().code == kLockWaitTimeout;
  Failure error = waited ? not_ready(std::string(name_of(lock_)) +
                                     " was not granted in time: long statements or open schema changes are in its "
                                     "way; it was ended again; try again, or raise lock_wait_seconds and --timeout")
                         : from(std::string(name_of(lock_)) + " failed", locked.error(), "RELOAD");
  drop_lock(error.value().message);
  return error;
}

Result<std::vector<Fact>> MysqlQuiescer::quiesce(StageContext& context) {
  const LibraryThread thread;
  if (auto stopped = stop_appliers(context); !stopped) return tl::unexpected(stopped.error());
  if (auto gap = wait_for_gap(context); !gap) return tl::unexpected(gap.error());
  const auto started = BootClock::now();
  if (lock_ != LockKind::none) {
    if (auto locked = take_lock(context); !locked) return tl::unexpected(locked.error());
  }
  const auto span = BootClock::now() - started;

  std::vector<std::string> missing;
  // By the monitor: a statement that hangs must not keep the holder from releasing. MySQL's replica status can wait for
  // a receiver thread that waits for this very lock.
  auto facts = read_positions(*monitor_, *server_, context.deadline, context.cancel_fd, missing);
  if (!facts) return from("cannot read its position", facts.error());
  for (const std::string& privilege : missing) {
    context.notes.push_back({LogLevel::warn, what() + ": its position is not recorded in full: the account " +
                                                 server_->account() + " lacks " + privilege});
  }
  facts->push_back({"lock", std::string(name_of(lock_))});
  for (const std::string& channel : stopped_channels_) facts->push_back({kStoppedApplier, channel});
  std::set<std::string> told;
  for (const DataLocation& location : server_->locations()) {
    if (told.insert(location.what).second) facts->push_back({"directory of " + location.what, location.path});
  }
  // A freeze would write back what lies on other filesystems.
  if (auto synced = sync_directories(unfrozen_, context.deadline, context.cancel_fd); !synced) {
    return tl::unexpected(synced.error().with_context(what()));
  }

  std::string line = what() + ": " + server_->version().text + ", " +
                     (lock_ == LockKind::none ? "not locked" : "locked in " + format_seconds(span) + " s");
  for (const Fact& fact : *facts) {
    const bool is_told = fact.key.starts_with("binary_log") || fact.key.starts_with("gtid_executed") ||
                         fact.key == "gtid_binlog_pos" || fact.key.starts_with("replica");
    if (is_told) line += ", " + fact.key + " " + fact.value;
  }
  context.notes.push_back({LogLevel::info, line});
  return std::move(*facts);
}

Result<void> MysqlQuiescer::release_lock(const StageContext& context, Outcome outcome) {
  if (!holder_ || lock_ == LockKind::none) return {};
  SqlResult<Table> unlocked = holder_->lost()
                                  ? tl::unexpected(SqlError{kServerLost, "the session had ended"})
                                  : holder_->query(unlock_statement(lock_), context.deadline, context.cancel_fd);
  if (unlocked) {
    holder_.reset();
    return {};
  }
  if (holder_->busy()) {
    const auto killed =
        kill_session(*monitor_, std::strtoull(holder_id_.c_str(), nullptr, 10), Deadline::in(kUndoPatience));
    holder_.reset();
    if (!killed)
      return failure(what() + ": " + std::string(unlock_statement(lock_)) + " does not return, and " +
                     killed.error().message);
    return {};
  }
  holder_.reset();
  if (outcome != Outcome::completed) return {};
  return failure(what() + ": the lock was lost while it was held (" + unlocked.error().message +
                     "): the server was restarted, or session " + holder_id_ +
                     " was killed; the snapshot is not consistent",
                 ErrorKind::protection_lost);
}

Result<void> MysqlQuiescer::release(StageContext& context, Outcome outcome) {
  const LibraryThread thread;
  auto released = release_lock(context, outcome);
  if (stopped_channels_.empty()) return released;
  auto connection = connect(context);
  auto started =
      connection
          ? start_appliers(*connection, server_->version(), stopped_channels_, context.deadline, context.cancel_fd)
          : tl::unexpected(
                connection.error().with_context("the replica's applier was stopped and cannot be started again"));
  return released ? started : released;
}

Result<void> MysqlQuiescer::recover(StageContext& context, const std::vector<Fact>& facts) {
  const LibraryThread thread;
  if (!settings_.address.socket.empty() && !find_listener(settings_.address.socket).listening) return {};
  auto connection = connect(context);
  if (!connection) return tl::unexpected(connection.error());
  const auto server = ServerInfo::read(*connection, context.deadline, context.cancel_fd);
  if (!server) return from("cannot read its settings", server.error());

  // A lock that was granted has ended with its connection. MySQL does not notice the end of one
  // that still waits.
  const auto statements = read_statements(*connection, context.deadline, context.cancel_fd);
  if (!statements) return from("cannot list its statements", statements.error());
  Result<void> result;
  for (const Statement& statement : *statements) {
    if (statement.text.find(statement_tag(context.execution_id)) == std::string::npos) continue;
    auto killed =
        kill_session(*connection, statement.session, context.deadline.or_earlier(Deadline::in(kUndoPatience)));
    if (!killed) result = tl::unexpected(killed.error().with_context(what()));
  }
  std::vector<std::string> channels;
  for (const Fact& fact : facts) {
    if (fact.key == kStoppedApplier) channels.push_back(fact.value);
  }
  auto started = start_appliers(*connection, server->version(), channels, context.deadline, context.cancel_fd);
  return started ? result : started;
}

}  // namespace dlm_freeze::mysql
