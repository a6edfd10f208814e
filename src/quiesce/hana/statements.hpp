// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dlm_freeze::hana {

/// The first two words of a version, "2.00.059.00.1636471": major release and revision.
struct HanaVersion {
  int major = 0;
  int revision = 0;

  /// Whether one snapshot is made of the whole system, in its system database; before there was one database alone.
  [[nodiscard]] bool has_system_database() const { return major > 2 || (major == 2 && revision >= 10); }
};

/// An entry of the backup catalog.
struct HanaSnapshot {
  std::string backup_id;  ///< Digits.
  std::string state;      ///< "running", "prepared", "successful", "failed"...
};

/// A database of the system, or a host of it.
struct HanaPart {
  std::string name;
  std::string state;  ///< Of a database: "YES", "NO" when it is stopped, "STARTING"... Of a host: what it is for.
};

// Statements.

[[nodiscard]] std::string version_query();
[[nodiscard]] std::string other_databases_query();  ///< Those that are not up.
[[nodiscard]] std::string hosts_query();

/// Snapshots that are being made or wait to be closed; with a comment: those alone.
[[nodiscard]] std::string open_snapshots_query(const std::optional<std::string>& comment);
[[nodiscard]] std::string snapshot_query(const std::string& backup_id);

[[nodiscard]] std::string create_snapshot_statement(const HanaVersion& version, const std::string& comment);
[[nodiscard]] std::string close_snapshot_statement(const HanaVersion& version, const std::string& backup_id,
                                                   bool successful, const std::string& text);

// What hdbsql -a -x -j prints. Lines that are nothing of the kind, such as those of a login profile, are left out.

[[nodiscard]] std::optional<HanaVersion> parse_version(std::string_view output);
[[nodiscard]] std::vector<HanaSnapshot> parse_snapshots(std::string_view output);
[[nodiscard]] std::vector<HanaPart> parse_parts(std::string_view output);

/// An error message: "* 10: authentication failed SQLSTATE: 28000".
struct HanaError {
  int code = 0;  ///< Positive: of the server. Negative: of the client, such as a connection that failed.
  std::string text;
};
[[nodiscard]] std::optional<HanaError> parse_error(std::string_view output);

}  // namespace dlm_freeze::hana
