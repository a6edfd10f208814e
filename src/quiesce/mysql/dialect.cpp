// SPDX-License-Identifier: Apache-2.0
#include "quiesce/mysql/dialect.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <tuple>

namespace dlm_freeze::mysql {
namespace {

char lower(char letter) { return static_cast<char>(std::tolower(static_cast<unsigned char>(letter))); }

/// The first word of a statement in lower case, without the comments and brackets before it.
std::string first_word(std::string_view text) {
  for (;;) {
    const std::size_t begin = text.find_first_not_of(" \t\r\n(");
    if (begin == std::string_view::npos) return "";
    text.remove_prefix(begin);
    const bool block = text.starts_with("/*");
    if (!block && !text.starts_with("--") && !text.starts_with('#')) break;
    const std::size_t end = block ? text.find("*/") : text.find('\n');
    if (end == std::string_view::npos) return "";
    text.remove_prefix(end + (block ? 2 : 1));
  }
  std::string word;
  for (const char letter : text) {
    if (std::isalpha(static_cast<unsigned char>(letter)) == 0) break;
    word += lower(letter);
  }
  return word;
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
  if (version.is_mariadb()) return verb + "SLAVE " + quoted(channel) + " SQL_THREAD";
  const std::string noun = version.at_least(8, 0, 22) ? "REPLICA" : "SLAVE";
  return verb + noun + " SQL_THREAD FOR CHANNEL " + quoted(channel);
}

std::string quoted(std::string_view text) {
  std::string literal = "'";
  for (const char letter : text) {
    if (letter == '\'' || letter == '\\') literal += letter;
    literal += letter;
  }
  return literal + "'";
}

bool is_select(std::string_view statement) {
  constexpr std::array kReading = {"select", "show", "explain", "describe", "desc", "do"};
  const std::string word = first_word(statement);
  return std::any_of(kReading.begin(), kReading.end(), [&](const char* reading) { return word == reading; });
}

bool holds_up(const Statement& statement, LockKind lock, const ServerVersion& version,
              std::chrono::seconds longer_than) {
  // BACKUP STAGE waits for no reader and for no transactional write, and holds up nobody but the
  // writers of non-transactional tables while it waits for one of those.
  if (lock != LockKind::flush_tables) return false;
  const bool running =
      statement.command == "Query" || statement.command == "Execute" || statement.user == "system user";
  if (!running || statement.text.empty() || statement.seconds < longer_than.count()) return false;
  return waits_for_readers(version) || !is_select(statement.text);
}

bool grants_any(const std::vector<std::string>& grants, const std::vector<std::string_view>& privileges) {
  return std::any_of(grants.begin(), grants.end(), [&](const std::string& line) {
    const std::size_t on = line.find(" ON ");
    if (on == std::string::npos) return line.find(" TO ") != std::string::npos;  // A role.
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
  const std::string account = quoted(user) + "@'localhost'";
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
