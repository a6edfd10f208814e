// SPDX-License-Identifier: Apache-2.0
#include "quiesce/postgresql/session_settings.hpp"

#include <array>
#include <string_view>

namespace dlm_freeze::postgresql {
namespace {

struct Setting {
  const char* name = "";
  const char* value = "";
  int since = 0;
};

constexpr int kVersion14 = 140000;
constexpr int kVersion17 = 170000;

constexpr std::array kSettings = {
    // Also for what has to be looked up by name: operators, casts, functions. Temporary objects come last.
    Setting{"search_path", "pg_catalog,pg_temp"},
    Setting{"role", "none"},
    Setting{"local_preload_libraries", ""},
    Setting{"default_transaction_isolation", "read committed"},  // A standby knows no serializable.
    Setting{"default_transaction_deferrable", "off"},
    Setting{"statement_timeout", "0"},  // Set anew for each statement that may take long.
    Setting{"lock_timeout", "2000"},    // Of the catalog, which only who maintains it may lock.
    Setting{"idle_in_transaction_session_timeout", "0"},
    Setting{"standard_conforming_strings", "on"},
    Setting{"DateStyle", "ISO"},
    Setting{"client_encoding", "SQL_ASCII"},  // Paths as they are.
    Setting{"client_min_messages", "warning"},
    Setting{"idle_session_timeout", "0", kVersion14},
    // A statement of ours ends when we die.
    Setting{"client_connection_check_interval", "250", kVersion14},
    Setting{"transaction_timeout", "0", kVersion17},
};

/// One word of `options`: blanks and backslashes are marked there by a backslash.
std::string escaped(std::string_view text) {
  std::string word;
  for (const char letter : text) {
    if (letter == ' ' || letter == '\\') word += '\\';
    word += letter;
  }
  return word;
}

}  // namespace

std::string startup_settings() {
  std::string options;
  for (const Setting& setting : kSettings) {
    if (setting.since != 0) continue;
    options += std::string(options.empty() ? "" : " ") + "-c " + setting.name + "=" + escaped(setting.value);
  }
  return options;
}

std::string session_statements(int version) {
  std::string statements;
  for (const Setting& setting : kSettings) {
    if (setting.since > version) continue;
    // A list is no literal.
    const std::string_view name = setting.name;
    const std::string value = name == "search_path" ? setting.value : "'" + std::string(setting.value) + "'";
    if (name == "local_preload_libraries") continue;  // Too late for it, and refused.
    statements += "SET " + std::string(name) + " = " + value + ";";
  }
  return statements;
}

std::string without_login_triggers() { return std::string(" -c ") + kLoginTriggers + "=off"; }

}  // namespace dlm_freeze::postgresql
