// SPDX-License-Identifier: Apache-2.0
#include "quiesce/mysql/dialect.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <tuple>

#include "quiesce/literal.hpp"

namespace dlm_freeze::mysql {
namespace {

char lower(char letter) { return static_cast<char>(std::tolower(static_cast<unsigned char>(letter))); }

/// A word of a statement in lower case, and whether a bracket follows: then it is a function's name, or a keyword.
struct Word {
  std::string text;
  bool called = false;
};

bool is_word_letter(char letter) {
  return std::isalnum(static_cast<unsigned char>(letter)) != 0 || letter == '_' || letter == '$' || letter == '`' ||
         letter == '.' || (static_cast<unsigned char>(letter) & 0x80U) != 0;
}

/// Where the comment or literal that begins at `at` ends; `at` itself when none does. What is in /*! … */ is executed.
std::size_t skipped(std::string_view text, std::size_t at) {
  const auto past = [&](std::string_view end) {
    const std::size_t found = text.find(end, at + 1);
    return found == std::string_view::npos ? text.size() : found + end.size();
  };
  const std::string_view rest = text.substr(at);
  if (rest.starts_with("/*!") || rest.starts_with("/*M!")) return at + 3;
  if (rest.starts_with("/*")) return past("*/");
  if (rest.starts_with("-- ") || rest.starts_with('#')) return past("\n");
  if (rest[0] != '\'' && rest[0] != '"') return at;
  for (std::size_t i = 1; i < rest.size(); ++i) {
    if (rest[i] == '\\') {
      ++i;
    } else if (rest[i] == rest[0]) {
      return at + i + 1;
    }
  }
  return text.size();
}

std::vector<Word> words_of(std::string_view text) {
  std::vector<Word> words;
  bool after_word = false;  // Blanks and comments may be between a word and its bracket.
  for (std::size_t at = 0; at < text.size();) {
    if (const std::size_t next = skipped(text, at); next != at) {
      after_word = after_word && text[at] != '\'' && text[at] != '"';
      at = next;
    } else if (is_word_letter(text[at])) {
      Word& word = words.emplace_back();
      for (; at < text.size() && is_word_letter(text[at]); ++at) word.text += lower(text[at]);
      after_word = true;
    } else {
      if (text[at] == '(' && after_word) words.back().called = true;
      if (std::isspace(static_cast<unsigned char>(text[at])) == 0) after_word = false;
      ++at;
    }
  }
  return words;
}

/// MariaDB since 10.4 takes FLUSH TABLES WITH READ LOCK without waiting for statements that read.
bool waits_for_readers(const ServerVersion& version) { return !(version.is_mariadb() && version.at_least(10, 4)); }

}  // namespace

ServerVersion ServerVersion::parse(std::string_view text) {
  ServerVersion version;
  version.text = text;
  std::string lowered;
  std::transform(text.begin(), text.end(), std::back_inserter(lowered), lower);
  if (lowered.find("mariadb") != std::string::npos) version.maker = Maker::mariadb;
  const char* at = text.data();
  const char* const end = text.data() + text.size();
  for (int* part : {&version.major, &version.minor, &version.patch}) {
    const auto [next, error] = std::from_chars(at, end, *part);
    if (error != std::errc() || next == end) break;
    at = next + 1;
  }
  return version;
}

bool ServerVersion::at_least(int wanted_major, int wanted_minor, int wanted_patch) const {
  return std::tie(major, minor, patch) >= std::tie(wanted_major, wanted_minor, wanted_patch);
}

bool supports(LockKind lock, const ServerVersion& version) {
  return lock != LockKind::backup_stage || (version.is_mariadb() && version.at_least(10, 4, 1));
}

LockKind choose_lock(std::string_view choice, const ServerVersion& version) {
  if (choice == "none") return LockKind::none;
  if (choice == "flush_tables") return LockKind::flush_tables;
  if (choice == "backup_stage") return LockKind::backup_stage;
  return supports(LockKind::backup_stage, version) ? LockKind::backup_stage : LockKind::flush_tables;
}

std::string lock_statement(LockKind lock, std::string_view tag) {
  const std::string_view statement =
      lock == LockKind::backup_stage ? "BACKUP STAGE BLOCK_COMMIT" : "FLUSH TABLES WITH READ LOCK";
  return std::string(statement) + " " + std::string(tag);
}

std::string flush_logs_statement(std::string_view tag) {
  return "FLUSH NO_WRITE_TO_BINLOG ENGINE LOGS " + std::string(tag);
}

std::string backup_stage_start(std::string_view tag) {
  return "SET STATEMENT lock_wait_timeout = 0 FOR BACKUP STAGE START " + std::string(tag);
}

std::string_view unlock_statement(LockKind lock) {
  return lock == LockKind::backup_stage ? "BACKUP STAGE END" : "UNLOCK TABLES";
}

std::string_view name_of(LockKind lock) {
  switch (lock) {
    case LockKind::none:
      return "none";
    case LockKind::flush_tables:
      return "FLUSH TABLES WITH READ LOCK";
    case LockKind::backup_stage:
      return "BACKUP STAGE BLOCK_COMMIT";
  }
  return "";
}

std::string statement_tag(std::string_view execution_id) {
  return "/* dlm-freeze " + std::string(execution_id) + " */";
}

std::string_view binary_log_status_statement(const ServerVersion& version) {
  const bool renamed = !version.is_mariadb() && version.at_least(8, 2);
  return renamed ? "SHOW BINARY LOG STATUS" : "SHOW MASTER STATUS";
}

std::string_view replica_status_statement(const ServerVersion& version) {
  if (version.is_mariadb()) return "SHOW ALL SLAVES STATUS";
  return version.at_least(8, 0, 22) ? "SHOW REPLICA STATUS" : "SHOW SLAVE STATUS";
}

std::string applier_statement(const ServerVersion& version, bool start, std::string_view channel) {
  const std::string verb = start ? "START " : "STOP ";
  if (version.is_mariadb()) return verb + "SLAVE " + string_literal(channel) + " SQL_THREAD";
  const std::string noun = version.at_least(8, 0, 22) ? "REPLICA" : "SLAVE";
  return verb + noun + " SQL_THREAD FOR CHANNEL " + string_literal(channel);
}

std::string string_literal(std::string_view text) { return literal(text, '\'', "\\"); }

bool only_reads(std::string_view statement) {
  constexpr std::array<std::string_view, 8> kFirst = {"select", "with", "table",    "values",
                                                      "show",   "desc", "describe", "explain"};
  // Of what changes something or locks rows one of these is a part.
  constexpr std::array<std::string_view, 12> kWriting = {"into", "update",  "insert", "delete", "call", "share",
                                                         "next", "nextval", "setval", "set",    "do",   "procedure"};
  // What may stand before a bracket: words of the language and functions of the server's own. Any other may be a
  // function that somebody has written.
  constexpr std::array<std::string_view, 78> kHarmless = {"select",
                                                          "with",
                                                          "from",
                                                          "join",
                                                          "on",
                                                          "using",
                                                          "where",
                                                          "and",
                                                          "or",
                                                          "not",
                                                          "in",
                                                          "exists",
                                                          "as",
                                                          "all",
                                                          "any",
                                                          "some",
                                                          "having",
                                                          "by",
                                                          "when",
                                                          "then",
                                                          "else",
                                                          "case",
                                                          "between",
                                                          "like",
                                                          "union",
                                                          "except",
                                                          "intersect",
                                                          "distinct",
                                                          "values",
                                                          "over",
                                                          "partition",
                                                          "interval",
                                                          "limit",
                                                          "recursive",
                                                          "count",
                                                          "sum",
                                                          "avg",
                                                          "min",
                                                          "max",
                                                          "group_concat",
                                                          "concat",
                                                          "concat_ws",
                                                          "coalesce",
                                                          "ifnull",
                                                          "nullif",
                                                          "if",
                                                          "cast",
                                                          "convert",
                                                          "date",
                                                          "now",
                                                          "year",
                                                          "month",
                                                          "day",
                                                          "hour",
                                                          "date_add",
                                                          "date_sub",
                                                          "date_format",
                                                          "datediff",
                                                          "timestampdiff",
                                                          "unix_timestamp",
                                                          "from_unixtime",
                                                          "length",
                                                          "char_length",
                                                          "lower",
                                                          "upper",
                                                          "trim",
                                                          "substring",
                                                          "substr",
                                                          "left",
                                                          "right",
                                                          "replace",
                                                          "round",
                                                          "floor",
                                                          "ceil",
                                                          "abs",
                                                          "md5",
                                                          "sleep",
                                                          "row_number"};
  const auto is_one_of = [](const auto& list, const std::string& word) {
    return std::find(list.begin(), list.end(), word) != list.end();
  };
  const std::vector<Word> words = words_of(statement);
  return !words.empty() && is_one_of(kFirst, words[0].text) &&
         std::all_of(words.begin(), words.end(), [&](const Word& word) {
           return !is_one_of(kWriting, word.text) && (!word.called || is_one_of(kHarmless, word.text));
         });
}

bool is_system_thread(const Statement& statement) {
  // Accounts may have these names, but no connection is without a host, nor a daemon.
  const bool is_applier =
      statement.user == "system user" && (statement.host.empty() || statement.host == "connecting host");
  const bool is_scheduler = statement.user == "event_scheduler" && statement.command == "Daemon";
  return is_applier || is_scheduler || statement.command.starts_with("Slave") ||
         statement.command.starts_with("Replica");
}

bool holds_up(const Statement& statement, LockKind lock, const ServerVersion& version,
              std::chrono::seconds longer_than) {
  // BACKUP STAGE waits for no reader and for no transactional write, and holds up nobody but the
  // writers of non-transactional tables while it waits for one of those.
  if (lock != LockKind::flush_tables) return false;
  constexpr std::array<std::string_view, 6> kIdle = {"Sleep",  "Daemon", "Binlog Dump", "Binlog Dump GTID",
                                                     "Killed", "Ping"};
  const bool idle = std::find(kIdle.begin(), kIdle.end(), statement.command) != kIdle.end();
  if (idle || is_system_thread(statement) || statement.text.empty() || statement.seconds < longer_than.count())
    return false;
  return waits_for_readers(version) || !only_reads(statement.text);
}

std::vector<SessionSetting> session_settings(std::chrono::seconds lock_wait) {
  // Longer than any session, in case the server's default is short.
  const std::string idle = std::to_string(std::chrono::seconds(std::chrono::hours(24)).count());
  return {
      {"SET SESSION sql_mode = '', autocommit = 1, wait_timeout = " + idle + ", interactive_timeout = " + idle +
           ", net_read_timeout = " + idle + ", net_write_timeout = " + idle +
           ", lock_wait_timeout = " + std::to_string(std::max<std::int64_t>(lock_wait.count(), 1)) +
           ", sql_select_limit = 18446744073709551615, sql_big_selects = 1, sql_safe_updates = 0, completion_type = 0",
       false},
      {"SET NAMES utf8mb4", true},
      {"SET SESSION TRANSACTION READ WRITE", true},
      {"SET SESSION max_statement_time = 0", true},
      {"SET SESSION max_execution_time = 0", true},
      {"SET SESSION idle_transaction_timeout = 0", true},
      // Both wait for other nodes before every statement.
      {"SET SESSION wsrep_sync_wait = 0", true},
      {"SET SESSION group_replication_consistency = 'EVENTUAL'", true},
  };
}

bool grants_any(const std::vector<std::string>& grants, const std::vector<std::string_view>& privileges,
                bool roles_active) {
  return std::any_of(grants.begin(), grants.end(), [&](const std::string& line) {
    const std::size_t on = line.find(" ON ");
    if (on == std::string::npos) return roles_active && line.find(" TO ") != std::string::npos;
    if (!line.substr(on).starts_with(" ON *.* ")) return false;
    // "GRANT A, B C, D ON": whole privileges only, so that no name is taken for a longer one.
    const std::string listed =
        ", " + line.substr(std::min(on, std::string_view("GRANT ").size()), on - std::string_view("GRANT ").size()) +
        ",";
    return listed == ", ALL PRIVILEGES," ||
           std::any_of(privileges.begin(), privileges.end(), [&](std::string_view privilege) {
             return listed.find(", " + std::string(privilege) + ",") != std::string::npos;
           });
  });
}

std::string account_statements(Maker maker, std::string_view user) {
  const std::string account = string_literal(user) + "@'localhost'";
  if (maker == Maker::mariadb) {
    return "CREATE USER IF NOT EXISTS " + account +
           " IDENTIFIED VIA unix_socket; GRANT RELOAD, PROCESS, BINLOG MONITOR, SLAVE MONITOR, "
           "CONNECTION ADMIN ON *.* TO " +
           account + ";";
  }
  return "CREATE USER IF NOT EXISTS " + account +
         " IDENTIFIED WITH auth_socket AS 'root'; GRANT RELOAD, PROCESS, REPLICATION CLIENT, "
         "CONNECTION_ADMIN ON *.* TO " +
         account + ";";
}

}  // namespace dlm_freeze::mysql
