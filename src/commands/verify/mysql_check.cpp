// SPDX-License-Identifier: Apache-2.0
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <set>
#include <system_error>
#include <utility>

#include "base/directory.hpp"
#include "base/text.hpp"
#include "commands/verify/database_copy.hpp"
#include "commands/verify/innodb_files.hpp"
#include "commands/verify/mysql_output.hpp"
#include "commands/verify/private_root.hpp"
#include "commands/verify/tools.hpp"

namespace dlm_freeze {
namespace {

const std::string kSocket = std::string(kRunDirectory) + "/mysql.sock";
const std::string kStatements = std::string(kRunDirectory) + "/check.sql";

/// Facts of directories, and the option that tells the server.
struct DirectoryOption {
  const char* what;
  const char* option;
};
constexpr DirectoryOption kDirectoryOptions[] = {{"InnoDB data", "--innodb-data-home-dir="},
                                                 {"redo log", "--innodb-log-group-home-dir="},
                                                 {"undo log", "--innodb-undo-directory="},
                                                 {"Aria log", "--aria-log-dir-path="},
                                                 {"doublewrite", "--innodb-doublewrite-dir="}};

/// Everything but views, whatever kinds of tables there will be; hexadecimal, since a name may have anything in it. A
/// sequence cannot be checked: its row is read. Tables of the engines named have no data on disk.
constexpr const char* kListTables =
    "SELECT HEX(IF(TABLE_TYPE = 'SEQUENCE',"
    " CONCAT('SELECT CONVERT(0x', HEX(CONCAT(TABLE_SCHEMA, '.', TABLE_NAME)), ' USING utf8mb4), ''check'', ''status'',"
    " IF(COUNT(next_not_cached_value) = 1, ''OK'', ''it has no row'') FROM ', name, ';'),"
    " CONCAT('CHECK TABLE ', name, ';')))"
    " FROM (SELECT *, CONCAT('`', REPLACE(TABLE_SCHEMA, '`', '``'), '`.`', REPLACE(TABLE_NAME, '`', '``'), '`') AS name"
    " FROM information_schema.TABLES) AS tables"
    " WHERE TABLE_TYPE NOT IN ('VIEW', 'SYSTEM VIEW')"
    " AND TABLE_SCHEMA NOT IN ('information_schema', 'performance_schema') AND TABLE_SCHEMA NOT LIKE '#mysql50#%'"
    " AND (ENGINE IS NULL OR ENGINE NOT IN ('MEMORY', 'BLACKHOLE', 'PERFORMANCE_SCHEMA', 'FEDERATED'))";

/// InnoDB's own list of tables, where the server has another one: MariaDB, MySQL before 8.0. Not its own, and not what
/// belongs to a full-text index or to a statement that did not end.
constexpr const char* kListInnodbTables =
    "SELECT NAME FROM information_schema.INNODB_SYS_TABLES WHERE NAME LIKE '%/%' AND NAME NOT LIKE '%/#sql%'"
    " AND NAME NOT LIKE '%/FTS\\_0%' AND NAME NOT LIKE '#mysql50#%'";

/// What a copy can do without; see ServerInfo::find_locations.
bool is_temporary(std::string_view fact) {
  return fact == "directory of temporary files" || fact == "directory of open files";
}

/// The paths below `directory` that end with `end`.
std::vector<std::string> files_below(const std::string& directory, std::string_view end) {
  std::vector<std::string> paths;
  std::error_code error;
  for (std::filesystem::recursive_directory_iterator entry(directory, error), last; !error && entry != last;
       entry.increment(error)) {
    if (entry->path().string().ends_with(end)) paths.push_back(entry->path());
  }
  return paths;
}

class MysqlCheck {
 public:
  explicit MysqlCheck(const DatabaseCopy& copy) : copy_(copy), checks_(copy.checks) {}

  void run() {
    data_ = copy_.fact("directory of data");
    is_mariadb_ = copy_.fact("version").find("MariaDB") != std::string::npos;
    if (checks_.run(copy_.name(), "server", [&] { return find(); }) != Proof::good) return;
    check_log_file();
    // Since MySQL 8.0 there are always two, in files of these names.
    if (is_mysql_8() && checks_.run(copy_.name(), "undo tablespaces", [&] { return look_for_undo(); }) == Proof::bad)
      return;
    if (checks_.run(copy_.name(), "start", [&] { return start(); }) == Proof::good) {
      checks_.run(copy_.name(), "identity and GTIDs", [&] { return compare(); });
      const Proof tables = checks_.run(copy_.name(), "CHECK TABLE", [&] { return check_tables(); });
      checks_.run(copy_.name(), "tables that are missing", [&] { return look_for_missing_tables(); });
      ask_canaries(copy_, [&](const Canary& canary) { return ask(canary.statement, canary.database); });
      // One whose server ended because of damage has not written its pages.
      if (tables != Proof::bad) checks_.run(copy_.name(), "InnoDB pages", [&] { return check_pages(); });
    }
  }

 private:
  Finding find() {
    if (data_.empty()) return unchecked("its session did not say where its data lies");
    for (const Fact& fact : copy_.session.facts) {
      if (!fact.key.starts_with("directory of ") || is_temporary(fact.key)) continue;
      if (Finding placed = copy_.is_in_copy(fact.value); placed.proof != Proof::good) return placed;
    }
    server_ = copy_.extra.server;
    if (server_.empty()) server_ = find_program({is_mariadb_ ? "mariadbd" : "mysqld", "mysqld"});
    if (server_.empty()) return missing_program(is_mariadb_ ? "mariadbd" : "mysqld");
    client_ = find_program({is_mariadb_ ? "mariadb" : "mysql", "mysql", "mariadb"});
    if (client_.empty()) return missing_program(is_mariadb_ ? "mariadb" : "mysql");
    const auto told = run_program(tool({server_, "--no-defaults", "--version"}), checks_.patience());
    if (!told) return unchecked(told.error().message);
    here_ = version_told(told->output);
    if (is_other_series(copy_.fact("version"), here_)) {
      return unchecked("its server was " + copy_.fact("version") + ", and " + server_ + " is " + here_ +
                       ": name another one in the file of --databases");
    }
    auto account = prepare_account(data_);
    if (!account) return unchecked(account.error().message);
    account_ = std::move(*account);
    return copy_.has_space_for({data_});
  }

  [[nodiscard]] bool is_mysql_8() const {
    const std::string version = copy_.fact("version");
    const auto major = parse_decimal(version.substr(0, version.find('.')), 0, INT32_MAX);
    return !is_mariadb_ && major && *major >= 8;
  }

  /// Without them the server starts, makes new ones, and takes what was not committed for committed; nothing tells.
  [[nodiscard]] Finding look_for_undo() const {
    const std::string directory = copy_.fact("directory of undo log");
    for (const char* name : {"/undo_001", "/undo_002"}) {
      const std::string path = (directory.empty() ? data_ : directory) + name;
      if (::access(path.c_str(), F_OK) != 0) return bad(path + " is missing");
    }
    return {};
  }

  [[nodiscard]] std::string binary_log() const {
    const std::string file = is_log_unknown() ? log_by_its_index() : copy_.fact("binary_log_file");
    if (file.empty()) return "";
    const std::string directory = copy_.fact("directory of binary log");
    return (directory.empty() ? data_ : directory) + "/" + file;
  }

  /// The file, of whatever number, of the one log in its directory that has an index; empty when that cannot be told.
  [[nodiscard]] std::string log_by_its_index() const {
    std::set<std::string> logs;
    for (const std::string& name : names_in(copy_.fact("directory of binary log"))) {
      if (name.ends_with(".index") && name.find("relay") == name.npos)
        logs.insert(name.substr(0, name.rfind('.')) + ".000001");
    }
    return logs.size() == 1 ? *logs.begin() : "";
  }

  /// It had one, and its session could not ask for the position.
  [[nodiscard]] bool is_log_unknown() const {
    return copy_.fact("binary_log_file").empty() && !copy_.fact("directory of binary log").empty();
  }

  /// Before the server starts, which may cut it off or begin another one.
  void check_log_file() {
    const std::string path = binary_log();
    if (is_log_unknown()) {
      return checks_.add_unchecked(copy_.name(), "end of binary log",
                                   "its session did not say where it ended: its account lacked a privilege");
    }
    if (path.empty()) return;
    checks_.run(copy_.name(), "end of binary log", [&]() -> Finding {
      struct stat info {};
      if (::stat(path.c_str(), &info) != 0) return bad(path + " is missing");
      const auto position = parse_decimal(copy_.fact("binary_log_position"), 0, INT64_MAX);
      if (!position) return unchecked("its session did not say where it ended");
      const bool may_be_longer = copy_.fact("lock") == "none";
      if (info.st_size == *position || (may_be_longer && info.st_size > *position)) return {};
      return bad(path + " ends at " + std::to_string(info.st_size) + ", not at " + std::to_string(*position));
    });
    checks_.run(copy_.name(), "events of binary log", [&]() -> Finding {
      const std::string reader =
          find_program({is_mariadb_ ? "mariadb-binlog" : "mysqlbinlog", "mysqlbinlog", "mariadb-binlog"});
      if (reader.empty()) return missing_program(is_mariadb_ ? "mariadb-binlog" : "mysqlbinlog");
      std::string error;
      const auto ended = run_by_line(tool({reader, "--no-defaults", "--verify-binlog-checksum", path}, account_),
                                     checks_.patience(), [&](std::string_view line) {
                                       if (line.starts_with("ERROR")) error = line;
                                     });
      if (!ended) return unchecked(ended.error().message);
      if (*ended != 0 || !error.empty()) return bad(path + ": " + (error.empty() ? exited(*ended, "") : error));
      return {};
    });
  }

  [[nodiscard]] std::vector<std::string> command() const {
    // What this host's configuration says is for its own server.
    std::vector<std::string> argv = {server_};
    const auto& options = copy_.extra.options;
    const bool has_defaults = std::any_of(options.begin(), options.end(), [](const std::string& option) {
      return option.starts_with("--defaults-file=");
    });
    if (!has_defaults) argv.emplace_back("--no-defaults");
    argv.insert(argv.end(), options.begin(), options.end());
    argv.insert(argv.end(), {"--datadir=" + data_, "--socket=" + kSocket,
                             "--pid-file=" + std::string(kRunDirectory) + "/mysql.pid", "--tmpdir=/tmp",
                             "--skip-networking", "--skip-grant-tables", "--skip-name-resolve", "--event-scheduler=OFF",
                             // Overlays and tmpfs have no direct or asynchronous I/O on all kernels.
                             "--innodb-flush-method=fsync", "--innodb-use-native-aio=0", "--performance-schema=OFF"});
    argv.emplace_back(is_mariadb_ ? "--skip-slave-start" : "--loose-skip-replica-start");
    // What SET PERSIST has written comes after the options.
    if (is_mysql_8()) argv.emplace_back("--persisted-globals-load=OFF");
    // The default directory of secure-file-priv is only there where the package was installed.
    if (!is_mariadb_)
      argv.insert(argv.end(), {"--loose-skip-slave-start", "--loose-mysqlx=OFF", "--secure-file-priv=NULL"});
    for (const auto& [what, option] : kDirectoryOptions) {
      const std::string directory = copy_.fact(std::string("directory of ") + what);
      if (!directory.empty()) argv.push_back(option + directory);
    }
    // Recovery asks it which prepared transactions to commit.
    std::string log = binary_log();
    if (log.empty()) {
      argv.emplace_back("--skip-log-bin");
    } else {
      argv.push_back("--log-bin=" + log.substr(0, log.rfind('.')));
      argv.emplace_back("--server-id=" + (copy_.fact("server_id").empty() ? "1" : copy_.fact("server_id")));
    }
    return argv;
  }

  Finding start() {
    if (is_log_unknown() && binary_log().empty())
      return unchecked("recovery needs its binary log, and its session did not say which that is");
    auto server = CopyServer::start(command(), account_, std::string(kRunDirectory) + "/mysql.log");
    if (!server) return unchecked(server.error().message);
    const Patience patience = checks_.patience();
    const auto seconds = server->await([&] { return answers_queries(); }, patience);
    if (!seconds)
      return patience.deadline.expired() ? unchecked(seconds.error().message) : bad(seconds.error().message);
    server_running_.emplace(std::move(*server));
    return {Proof::good, "first query after " + format_seconds(*seconds) + " s"};
  }

  /// It reads its statements from a file: MySQL 9's takes `source` from a terminal alone.
  [[nodiscard]] Program client(std::vector<std::string> arguments, const std::string& statements = "/dev/null") const {
    arguments.insert(arguments.begin(), {"/bin/sh", "-c", R"(file=$1; shift; exec "$@" <"$file")", "sh", statements,
                                         client_, "--no-defaults", "--user=root", "--protocol=socket",
                                         "--socket=" + kSocket, "--batch", "--skip-column-names"});
    return tool(std::move(arguments), account_);
  }

  [[nodiscard]] Result<ProgramResult> ask(const std::string& statement, const std::string& database) const {
    return run_program(client({"--raw", "--execute=" + statement, "--database=" + database}), checks_.patience());
  }

  [[nodiscard]] bool answers_queries() const {
    const auto told = ask("SELECT 1", "");
    return told && told->exit_status == 0;
  }

  Finding compare() {
    for (const char* name : {"server_uuid", "gtid_executed", "gtid_binlog_pos"}) {
      const std::string before = copy_.fact(name);
      const bool is_of_log = name != std::string_view("server_uuid");
      if (before.empty() || (is_mariadb_ && !is_of_log) || (is_of_log && is_log_unknown())) continue;
      const auto told = ask(std::string("SELECT @@GLOBAL.") + name, "");
      if (!told || told->exit_status != 0) return unchecked("cannot ask for " + std::string(name));
      std::string now(trimmed(told->output));
      std::erase(now, '\n');
      const bool may_be_more = copy_.fact("lock") == "none" && is_of_log;
      if (now != before && !may_be_more)
        return bad(std::string(name) + " is " + without_middle(now, 120) + ", not " + without_middle(before, 120));
    }
    return {};
  }

  Finding check_tables() {
    std::size_t tables = 0;
    {
      std::ofstream statements(kStatements);
      const auto listed = run_by_line(client({std::string("--execute=") + kListTables}), checks_.patience(),
                                      [&](std::string_view line) {
                                        const auto statement = text_of_hexadecimal(line);
                                        if (!statement) return;
                                        statements << *statement << '\n';
                                        ++tables;
                                      });
      if (!listed || *listed != 0) return bad("its tables cannot be listed: " + server_running_->last_words());
      if (!statements.flush() || ::chmod(kStatements.c_str(), 0644) != 0)
        return unchecked("there is no space for the list of its tables");
    }
    TableAnswers answers;
    // A name may end with a backslash, which escapes nothing then.
    const auto ended =
        run_by_line(client({"--force", "--init-command=SET SESSION sql_mode = 'NO_BACKSLASH_ESCAPES'"}, kStatements),
                    checks_.patience(), [&](std::string_view line) { answers.take(line); });
    if (!ended) return unchecked(ended.error().message);
    // MySQL's ends itself where it reads a damaged page.
    if (!answers_queries()) return bad("its server ended: " + server_running_->last_words());
    return answers.finding(tables);
  }

  /// What the server does not know, it does not list. MySQL 8.0 and newer have one dictionary.
  Finding look_for_missing_tables() {
    std::vector<std::string> missing;
    if (!is_mysql_8()) {
      const auto listed = run_by_line(client({std::string("--execute=") + kListInnodbTables}), checks_.patience(),
                                      [&](std::string_view name) {
                                        const std::string definition = definition_of(name);
                                        if (::access((data_ + "/" + definition).c_str(), F_OK) != 0)
                                          missing.push_back(definition);
                                      });
      if (!listed || *listed != 0) return unchecked("InnoDB's tables cannot be listed");
    }
    if (!missing.empty()) return bad("InnoDB has tables without " + list_of(missing));
    const auto archive = ask("SELECT 1 FROM information_schema.ENGINES WHERE ENGINE = 'ARCHIVE'", "");
    if (archive && trimmed(archive->output) == "1") return {};
    const auto tables = files_below(data_, ".ARZ");
    return tables.empty() ? Finding{} : unchecked("its server has no engine for " + list_of(tables));
  }

  /// Its server writes all pages when it stops.
  Finding check_pages() {
    const std::string directory = server_.substr(0, server_.rfind('/'));
    const std::string program = find_program({"innochecksum"}, {directory, directory + "/../bin"});
    if (program.empty()) return missing_program("innochecksum");
    const auto told = run_program(tool({program, "--version"}), checks_.patience());
    if (!told) return unchecked(told.error().message);
    const std::string version = version_told(told->output);
    if (release_series(version) != release_series(here_))
      return unchecked(program + " is of " + version + ", and its server of " + here_);
    const auto size = ask("SELECT @@GLOBAL.innodb_page_size", "");
    const auto page_size = size ? parse_decimal(trimmed(size->output), 1, INT32_MAX) : std::nullopt;
    if (!page_size) return unchecked("cannot ask for the size of its pages");
    const Patience patience = checks_.patience();
    const auto stopped = ask("SHUTDOWN", "");
    if (!stopped || !server_running_->ends(patience))
      return unchecked("it does not stop: " + server_running_->last_words());
    std::vector<std::string> directories = {data_};
    for (const Fact& fact : copy_.session.facts) {
      if (fact.key.starts_with("directory of ") && !is_temporary(fact.key)) directories.push_back(fact.value);
    }
    return check_innodb_files(directories, {program, account_, static_cast<std::uint64_t>(*page_size)}, patience);
  }

  const DatabaseCopy& copy_;
  CheckList& checks_;
  std::string data_;
  bool is_mariadb_ = false;
  std::string server_;
  std::string here_;  ///< The version of that.
  std::string client_;
  std::string account_;
  std::optional<CopyServer> server_running_;
};

}  // namespace

void check_mysql(const DatabaseCopy& copy) { MysqlCheck(copy).run(); }

}  // namespace dlm_freeze
