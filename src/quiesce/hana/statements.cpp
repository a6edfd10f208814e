// SPDX-License-Identifier: Apache-2.0
#include "quiesce/hana/statements.hpp"

#include <algorithm>
#include <charconv>

#include "base/text.hpp"
#include "quiesce/literal.hpp"

namespace dlm_freeze::hana {
namespace {

constexpr std::string_view kCatalog = "SELECT BACKUP_ID, STATE_NAME FROM M_BACKUP_CATALOG WHERE ";
constexpr std::size_t kLongestId = 20;

bool is_number(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char letter) { return letter >= '0' && letter <= '9'; });
}

std::optional<int> number(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// The columns of a line, without the quotes around text.
std::vector<std::string> columns(std::string_view line) {
  std::vector<std::string> found(1);
  bool quoted = false;
  for (const char letter : trimmed(line)) {
    if (letter == '"') {
      quoted = !quoted;
    } else if (letter == ',' && !quoted) {
      found.emplace_back();
    } else {
      found.back() += letter;
    }
  }
  for (std::string& column : found) column = trimmed(column);
  return found;
}

std::string_view scope(const HanaVersion& version) {
  return version.has_system_database() ? "BACKUP DATA FOR FULL SYSTEM " : "BACKUP DATA ";
}

}  // namespace

std::string version_query() { return "SELECT VERSION FROM M_DATABASE"; }

std::string other_databases_query() {
  return "SELECT DATABASE_NAME, ACTIVE_STATUS FROM M_DATABASES WHERE ACTIVE_STATUS <> 'YES'";
}

std::string hosts_query() { return "SELECT HOST, HOST_CONFIG_ROLES FROM M_LANDSCAPE_HOST_CONFIGURATION"; }

std::string open_snapshots_query(const std::optional<std::string>& comment) {
  std::string query =
      std::string(kCatalog) + "ENTRY_TYPE_NAME = 'data snapshot' AND STATE_NAME IN ('running', 'prepared')";
  if (comment) query += " AND COMMENT = " + sql_literal(*comment);
  return query;
}

std::string snapshot_query(const std::string& backup_id) {
  return std::string(kCatalog) + "ENTRY_TYPE_NAME = 'data snapshot' AND BACKUP_ID = " + backup_id;
}

std::string create_snapshot_statement(const HanaVersion& version, const std::string& comment) {
  return std::string(scope(version)) + "CREATE SNAPSHOT COMMENT " + sql_literal(comment);
}

std::string close_snapshot_statement(const HanaVersion& version, const std::string& backup_id, bool successful,
                                     const std::string& text) {
  return std::string(scope(version)) + "CLOSE SNAPSHOT BACKUP_ID " + backup_id +
         (successful ? " SUCCESSFUL " : " UNSUCCESSFUL ") + sql_literal(text);
}

std::optional<HanaVersion> parse_version(std::string_view output) {
  for (const std::string_view line : split(output, '\n')) {
    const std::string text = columns(line)[0];
    const std::vector<std::string_view> parts = split(text, '.');
    if (parts.size() < 3 || !std::all_of(parts.begin(), parts.end(), is_number)) continue;
    const auto major = number(parts[0]);
    const auto revision = number(parts[2]);
    if (major && revision) return HanaVersion{*major, *revision};
  }
  return std::nullopt;
}

std::vector<HanaSnapshot> parse_snapshots(std::string_view output) {
  std::vector<HanaSnapshot> snapshots;
  for (const std::string_view line : split(output, '\n')) {
    std::vector<std::string> found = columns(line);
    if (found.size() != 2 || !is_number(found[0]) || found[0].size() > kLongestId || found[1].empty()) continue;
    snapshots.push_back({std::move(found[0]), std::move(found[1])});
  }
  return snapshots;
}

std::vector<HanaPart> parse_parts(std::string_view output) {
  std::vector<HanaPart> parts;
  for (const std::string_view line : split(output, '\n')) {
    std::vector<std::string> found = columns(line);
    const bool is_row = trimmed(line).starts_with('"') && found.size() == 2 && !found[0].empty() && !found[1].empty();
    if (is_row) parts.push_back({std::move(found[0]), std::move(found[1])});
  }
  return parts;
}

std::optional<HanaError> parse_error(std::string_view output) {
  for (const std::string_view line : split(output, '\n')) {
    std::string_view text = trimmed(line);
    if (!text.starts_with("* ")) continue;
    text.remove_prefix(2);
    const auto code = number(text.substr(0, text.find(':')));
    if (code) return HanaError{*code, std::string(text)};
  }
  return std::nullopt;
}

}  // namespace dlm_freeze::hana
