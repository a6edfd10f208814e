// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <set>
#include <system_error>
#include <utility>

#include "base/directory.hpp"
#include "base/text.hpp"
#include "commands/verify/database_copy.hpp"
#include "commands/verify/postgresql_output.hpp"
#include "commands/verify/private_root.hpp"
#include "commands/verify/tools.hpp"
#include "dlm_freeze/base/files.hpp"

namespace dlm_freeze {
namespace {

namespace stdfs = std::filesystem;

/// Settings that a standby's have to reach (hot_standby in the documentation), as the control file names them.
struct StandbySetting {
  const char* label;
  const char* name;
};
constexpr StandbySetting kStandbySettings[] = {{"max_connections setting", "max_connections"},
                                               {"max_worker_processes setting", "max_worker_processes"},
                                               {"max_wal_senders setting", "max_wal_senders"},
                                               {"max_prepared_xacts setting", "max_prepared_transactions"},
                                               {"max_locks_per_xact setting", "max_locks_per_transaction"}};

/// What clients ask for. ALTER ROLE and ALTER DATABASE can have set that damage is passed over, or what makes a good
/// copy fail. "\\" escapes a blank (PGOPTIONS).
struct SessionSetting {
  int since;  ///< Version of the server.
  const char* name;
  const char* value;
};
constexpr SessionSetting kSessionSettings[] = {{0, "zero_damaged_pages", "off"},
                                               {0, "ignore_checksum_failure", "off"},
                                               {0, "ignore_system_indexes", "off"},
                                               {0, "default_transaction_read_only", "off"},
                                               {0, "default_transaction_isolation", "read\\ committed"},
                                               {0, "session_replication_role", "replica"},
                                               {0, "statement_timeout", "0"},
                                               {0, "lock_timeout", "0"},
                                               {0, "idle_in_transaction_session_timeout", "0"},
                                               {14, "idle_session_timeout", "0"},
                                               {17, "transaction_timeout", "0"},
                                               {17, "event_triggers", "off"},
                                               {0, "session_preload_libraries", ""},
                                               {0, "local_preload_libraries", ""},
                                               {0, "synchronous_commit", "off"},
                                               {0, "role", "none"},
                                               {0, "lc_messages", "C"},
                                               {0, "client_min_messages", "error"}};

/// Relations that have pages and outlast their session.
const std::string kRelations = " FROM pg_class c LEFT JOIN pg_am a ON a.oid = c.relam WHERE c.relpersistence <> 't'";
/// Those of an unlogged table are made anew on a standby.
const std::string kMissingFiles =
    "SELECT c.oid::regclass" + kRelations +
    " AND c.relkind IN ('r', 'm', 't', 'i', 'S') AND pg_relation_filepath(c.oid) IS NOT NULL"
    " AND NOT (c.relpersistence = 'u' AND pg_is_in_recovery())"
    " AND (pg_stat_file(pg_relation_filepath(c.oid), true)).size IS NULL LIMIT 10";
const std::string kReadSequences = "SELECT count(pg_sequence_last_value(c.oid::regclass))" + kRelations +
                                   " AND c.relkind = 'S' AND NOT (c.relpersistence = 'u' AND pg_is_in_recovery())";
/// What pg_amcheck leaves out.
const std::string kOtherMethods = "SELECT DISTINCT a.amname" + kRelations +
                                  " AND c.relkind IN ('r', 'm', 't', 'i') AND a.amname NOT IN ('heap', 'btree')";

/// A value in a connection string.
std::string connection_value(std::string_view text) {
  std::string value = "'";
  for (const char character : text) {
    if (character == '\'' || character == '\\') value += '\\';
    value += character;
  }
  return value + "'";
}

Result<void> write_file(const std::string& path, std::string_view text) {
  const auto file = open_regular(-1, path, O_WRONLY | O_CREAT | O_TRUNC);
  if (!file) return tl::unexpected(file.error());
  if (::write(file->get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()) ||
      ::fchmod(file->get(), 0644) != 0)
    return system_failure("cannot write " + path, errno);
  return {};
}

class PostgresqlCheck {
 public:
  explicit PostgresqlCheck(const DatabaseCopy& copy) : copy_(copy), checks_(copy.checks) {}

  void run() {
    data_ = copy_.fact("data_directory");
    if (checks_.run(copy_.name(), "server", [&] { return find(); }) != Proof::good) return;
    if (checks_.run(copy_.name(), "control file", [&] { return compare_control(); }) == Proof::bad) return;
    checks_.run(copy_.name(), "WAL", [&] { return check_wal(); });
    if (checks_.run(copy_.name(), "start", [&] { return start(); }) != Proof::good) return;
    checks_.run(copy_.name(), "relations", [&] { return look_at_relations(); });
    checks_.run(copy_.name(), "pg_amcheck", [&] { return check_relations(); });
    ask_canaries(copy_, [&](const Canary& canary) { return ask(canary.statement, canary.database); });
    if (copy_.fact("checksums") == "on") checks_.run(copy_.name(), "pg_checksums", [&] { return check_sums(); });
  }

 private:
  Finding find() {
    if (data_.empty()) return unchecked("its session did not say where its data lies");
    if (Finding placed = copy_.is_in_copy(data_); placed.proof != Proof::good) return placed;
    if (!copy_.fact("backup_files").empty()) {
      return unchecked("it was held in mode backup: without the files of " + copy_.fact("backup_files") +
                       " its server recovers from the wrong place");
    }
    const auto text = read_file(data_ + "/PG_VERSION");
    if (!text) return bad(text.error().message);
    const std::string version(trimmed(*text));
    if (version != major_version(copy_.fact("version")))
      return bad("its data directory is of version " + version + ", and its server was " + copy_.fact("version"));
    if (Finding linked = follow_links(); linked.proof != Proof::good) return linked;

    std::vector<std::string> directories = {"/usr/lib/postgresql/" + version + "/bin",
                                            "/usr/pgsql-" + version + "/bin"};
    if (!copy_.extra.server.empty()) directories = {copy_.extra.server};
    const std::string server = find_program({"postgres"}, directories);
    if (server.empty()) return missing_program("postgres");
    programs_ = server.substr(0, server.rfind('/'));
    const auto told = run_program(tool({server, "--version"}), checks_.patience());
    if (!told) return unchecked(told.error().message);
    const std::size_t digits = told->output.find_first_of("0123456789");
    const std::string here = digits == std::string::npos ? "" : told->output.substr(digits);
    if (major_version(here) != version) {
      return unchecked("its server was " + copy_.fact("version") + ", and " + server + " is " +
                       std::string(trimmed(here)) + ": name the directory of another one in the file of --databases");
    }
    auto account = prepare_account(data_);
    if (!account) return unchecked(account.error().message);
    account_ = std::move(*account);
    return copy_.has_space_for(directories_);
  }

  /// The WAL and the tablespaces may lie elsewhere.
  Finding follow_links() {
    directories_ = {data_};
    std::vector<std::string> links = {data_ + "/pg_wal"};
    for (const std::string& name : names_in(data_ + "/pg_tblspc")) links.push_back(data_ + "/pg_tblspc/" + name);
    for (const std::string& link : links) {
      std::error_code error;
      if (!stdfs::is_symlink(link, error)) continue;
      const std::string target = stdfs::read_symlink(link, error);
      if (Finding placed = copy_.is_in_copy(link); placed.proof != Proof::good)
        return unchecked(target + ", to which " + link +
                         " leads, does not lie on a filesystem of the session whose copy is good");
      directories_.push_back(link + "/");
    }
    return {};
  }

  [[nodiscard]] std::string program(const std::string& name) const { return find_program({name}, {programs_}); }

  /// Before the server writes a control file of its own.
  Finding compare_control() {
    const std::string reader = program("pg_controldata");
    if (reader.empty()) return missing_program("pg_controldata");
    const auto told = run_program(tool({reader, data_}, account_), checks_.patience());
    if (!told) return unchecked(told.error().message);
    if (told->exit_status != 0) return bad(exited(told->exit_status, told->output));
    control_ = read_control_data(told->output);
    if (told->output.find("WARNING") != std::string::npos) return bad("the control file is damaged");
    const auto differs = [&](const char* fact, const char* label) {
      const std::string before = copy_.fact(fact);
      return !before.empty() && control_[label] != before;
    };
    if (differs("system_identifier", "Database system identifier")) {
      return bad("it is another cluster: its system identifier is " + control_["Database system identifier"] +
                 ", not " + copy_.fact("system_identifier"));
    }
    if (differs("timeline", "Latest checkpoint's TimeLineID"))
      return bad("its timeline is " + control_["Latest checkpoint's TimeLineID"] + ", not " + copy_.fact("timeline"));
    // A checkpoint may have ended between what the server said and the freeze.
    const auto before = lsn_number(copy_.fact("redo_lsn"));
    const auto now = lsn_number(control_["Latest checkpoint's REDO location"]);
    if (!now) return bad("the control file names no checkpoint");
    if (before && *now < *before) {
      return bad("its last checkpoint begins at " + control_["Latest checkpoint's REDO location"] + ", before " +
                 copy_.fact("redo_lsn"));
    }
    return {};
  }

  /// Whether its WAL can be read from the checkpoint to where it ended when it was held.
  Finding check_wal() {
    const bool is_standby = copy_.fact("in_recovery") == "true";
    const std::string end = copy_.fact(is_standby ? "replay_lsn" : "current_lsn");
    const std::string begin = control_["Latest checkpoint's REDO location"];
    const auto from = lsn_number(begin);
    const auto to = lsn_number(end);
    if (!from || !to) return unchecked("its session did not say where its WAL ended");
    if (*to <= *from) return {};
    const std::string reader = program("pg_waldump");
    if (reader.empty()) return missing_program("pg_waldump");
    return first_error({reader, "--quiet", "--path=" + data_ + "/pg_wal", "--start=" + begin, "--end=" + end,
                        "--timeline=" + control_["Latest checkpoint's TimeLineID"]},
                       "its WAL cannot be read from " + begin + " to " + end);
  }

  /// Runs one of its server's programs; bad with `what` and the first error that it prints.
  [[nodiscard]] Finding first_error(std::vector<std::string> argv, const std::string& what) const {
    std::string error;
    const auto ended = run_by_line(tool(std::move(argv), account_), checks_.patience(), [&](std::string_view line) {
      if (error.empty() && (line.find("error:") != line.npos || line.find("FATAL:") != line.npos)) error = line;
    });
    if (!ended) return unchecked(ended.error().message);
    if (*ended == 0 && error.empty()) return {};
    return bad(what + ": " + (error.empty() ? exited(*ended, "") : error));
  }

  [[nodiscard]] std::vector<std::string> command() const {
    const std::string run = kRunDirectory;
    std::vector<std::string> argv = {program("postgres"), "-D", data_};
    const auto set = [&argv](const std::string& name, const std::string& value) {
      argv.insert(argv.end(), {"-c", name + "=" + value});
    };
    // What this host's configuration says is for its own server, and what the original's said for that.
    set("config_file", run + "/postgresql.conf");
    set("hba_file", run + "/hba.conf");
    set("ident_file", run + "/ident.conf");
    set("unix_socket_directories", run);
    set("port", "5432");
    for (const char* name : {"listen_addresses", "archive_command", "primary_conninfo", "restore_command",
                             "shared_preload_libraries", "session_preload_libraries", "external_pid_file"})
      set(name, "");
    for (const char* name : {"archive_mode", "autovacuum", "ssl", "logging_collector"}) set(name, "off");
    set("hot_standby", "on");
    set("max_logical_replication_workers", "0");
    // Slots are read at the start, whatever their number and kind.
    set("max_replication_slots", "1000");
    set("wal_level", "logical");
    set("log_destination", "stderr");
    set("lc_messages", "C");
    for (const auto& [label, name] : kStandbySettings) {
      const auto value = control_.find(label);
      if (value != control_.end()) set(name, value->second);
    }
    argv.insert(argv.end(), copy_.extra.options.begin(), copy_.extra.options.end());
    return argv;
  }

  Finding start() {
    const std::string run = kRunDirectory;
    for (const auto& [name, text] : {std::pair("postgresql.conf", ""), std::pair("hba.conf", "local all all trust\n"),
                                     std::pair("ident.conf", "")}) {
      if (auto written = write_file(run + "/" + name, text); !written) return unchecked(written.error().message);
    }
    // The one names a process of another host, the other has what ALTER SYSTEM has set, which may hide damage.
    for (const char* name : {"/postmaster.pid", "/postgresql.auto.conf"}) {
      if (::unlink((data_ + name).c_str()) != 0 && errno != ENOENT)
        return unchecked("cannot remove " + data_ + name + ": " + errno_text(errno));
    }
    if (program("psql").empty()) return missing_program("psql");
    auto server = CopyServer::start(command(), account_, run + "/postgresql.log");
    if (!server) return unchecked(server.error().message);
    const Patience patience = checks_.patience();
    std::string said;
    const auto seconds = server->await(
        [&] {
          const auto told = ask("SELECT 1", "");
          said = told ? told->output : "";
          return told && (told->exit_status == 0 || said.find(" does not exist") != std::string::npos);
        },
        patience);
    if (!seconds)
      return patience.deadline.expired() ? unchecked(seconds.error().message) : bad(seconds.error().message);
    if (said.find(" does not exist") != std::string::npos)
      return unchecked(last_line(said) + ": name a superuser in the file of --databases");
    server_running_.emplace(std::move(*server));
    // In the copy alone; look_at_relations says where it did not work.
    static_cast<void>(ask("UPDATE pg_database SET datallowconn = true WHERE NOT datallowconn", ""));
    return {Proof::good, "first query after " + format_seconds(*seconds) + " s"};
  }

  /// A client of its server.
  [[nodiscard]] Program client(std::vector<std::string> argv) const {
    const auto major = parse_decimal(major_version(copy_.fact("version")), 0, INT32_MAX).value_or(0);
    const auto& options = copy_.extra.options;
    std::string settings;
    for (const auto& [since, name, value] : kSessionSettings) {
      const std::string setting = std::string(name) + "=";
      const bool is_users = std::any_of(options.begin(), options.end(),
                                        [&](const std::string& option) { return option.find(setting) != option.npos; });
      if (major >= since && !is_users) settings += "-c " + setting + value + " ";
    }
    Program program = tool(std::move(argv), account_);
    program.environment.push_back("PGOPTIONS=" + settings);
    return program;
  }

  [[nodiscard]] std::string user() const { return copy_.extra.user.empty() ? "postgres" : copy_.extra.user; }

  [[nodiscard]] Result<ProgramResult> ask(const std::string& statement, const std::string& database) const {
    const std::string name = database.empty() ? "template1" : database;
    return run_program(
        client({program("psql"), "--no-psqlrc", "--no-align", "--tuples-only", "--quiet", "--no-password",
                "--set=ON_ERROR_STOP=1", "--host=" + std::string(kRunDirectory), "--port=5432", "--username=" + user(),
                "--dbname=dbname=" + connection_value(name), "--command=" + statement}),
        checks_.patience());
  }

  /// The lines of an answer; bad with the error.
  [[nodiscard]] tl::expected<std::vector<std::string>, Finding> lines_of(const std::string& statement,
                                                                         const std::string& database) const {
    const auto told = ask(statement, database);
    if (!told) return tl::unexpected(unchecked(told.error().message));
    if (told->exit_status != 0)
      return tl::unexpected(bad((database.empty() ? "" : database + ": ") + last_line(told->output)));
    std::vector<std::string> lines;
    for (const std::string_view line : split(told->output, '\n')) {
      if (!line.empty()) lines.emplace_back(line);
    }
    return lines;
  }

  /// What pg_amcheck leaves out: databases that let nobody in, files that are missing, sequences, other kinds of
  /// indexes.
  Finding look_at_relations() {
    // On a standby no database can be opened, and template0 is closed everywhere.
    const auto closed = lines_of(
        "SELECT datname FROM pg_database WHERE (NOT datallowconn OR datconnlimit = -2)"
        " AND NOT (pg_is_in_recovery() AND datname = 'template0')",
        "");
    const auto databases = lines_of(
        "SELECT encode(convert_to(datname, getdatabaseencoding()), 'hex') FROM pg_database"
        " WHERE datallowconn AND datconnlimit <> -2",
        "");
    if (!closed || !databases) return closed ? databases.error() : closed.error();
    std::set<std::string> methods;
    for (const std::string& digits : *databases) {
      const std::string database = text_of_hexadecimal(digits).value_or("");
      const auto missing = lines_of(kMissingFiles, database);
      if (!missing) return missing.error();
      if (!missing->empty()) return bad(database + ": files are missing of " + list_of(*missing));
      if (const auto read = lines_of(kReadSequences, database); !read) return read.error();
      const auto others = lines_of(kOtherMethods, database);
      if (!others) return others.error();
      methods.insert(others->begin(), others->end());
    }
    if (!closed->empty()) return unchecked("no connection is allowed to " + list_of(*closed));
    if (!methods.empty() && copy_.fact("checksums") != "on") {
      return unchecked("without data checksums nothing checks relations of the access method " +
                       list_of({methods.begin(), methods.end()}));
    }
    return {Proof::good, count_of(databases->size(), "database")};
  }

  Finding check_relations() {
    const std::string checker = program("pg_amcheck");
    if (checker.empty()) return missing_program("pg_amcheck");
    std::vector<std::string> argv = {checker,
                                     "--all",
                                     "--host=" + std::string(kRunDirectory),
                                     "--port=5432",
                                     "--username=" + user(),
                                     "--no-password",
                                     "--maintenance-db=template1"};
    if (copy_.fact("in_recovery") != "true") argv.emplace_back("--install-missing");
    // The first object and, on the next line, what is wrong with it.
    std::string first;
    const auto ended = run_by_line(client(std::move(argv)), checks_.patience(), [&](std::string_view line) {
      const std::string_view text = trimmed(line);
      const bool is_wanted = first.empty() || first.ends_with(':');
      if (is_wanted && !text.empty() && !text.starts_with("WARNING:"))
        first += (first.empty() ? "" : " ") + std::string(text);
    });
    if (!ended) return unchecked(ended.error().message);
    if (*ended == 0 && first.empty()) return {};
    for (const char* sign : {"is not available", "could not open extension control file", "is not installed"}) {
      if (first.find(sign) != std::string::npos) return unchecked("pg_amcheck: " + first);
    }
    return bad("pg_amcheck: " + (first.empty() ? exited(*ended, "") : first));
  }

  /// Of a server that was stopped.
  Finding check_sums() {
    const std::string checker = program("pg_checksums");
    const std::string control = program("pg_ctl");
    if (checker.empty()) return missing_program("pg_checksums");
    if (control.empty()) return missing_program("pg_ctl");
    const auto stopped = run_program(tool({control, "stop", "-D", data_, "-m", "fast", "-w", "-t", "3600"}, account_),
                                     checks_.patience());
    if (!stopped) return unchecked(stopped.error().message);
    if (stopped->exit_status != 0) return bad("it does not stop: " + server_running_->last_words());
    return first_error({checker, "--check", "-D", data_}, "its pages are damaged");
  }

  const DatabaseCopy& copy_;
  CheckList& checks_;
  std::string data_;
  std::vector<std::string> directories_;
  std::string programs_;  ///< Where its server's programs lie.
  std::string account_;
  ControlData control_;
  std::optional<CopyServer> server_running_;
};

}  // namespace

void check_postgresql(const DatabaseCopy& copy) { PostgresqlCheck(copy).run(); }

}  // namespace dlm_freeze
