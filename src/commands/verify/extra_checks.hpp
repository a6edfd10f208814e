// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "dlm_freeze/base/error.hpp"

namespace dlm_freeze {

/// A statement whose answer is known.
struct Canary {
  std::string statement;
  std::string answer;
  std::string database;  ///< Empty: the default one.
};

/// What the user says of one database.
struct ExtraChecks {
  std::string name;                  ///< As in the manifest.
  std::string server;                ///< The server program to start; of PostgreSQL its directory. Empty: this host's.
  std::vector<std::string> options;  ///< Further ones of that.
  std::string user;                  ///< Of PostgreSQL: a superuser. Empty: postgres.
  std::vector<Canary> canaries;
  std::vector<std::string> hook;  ///< A program instead of a server.
};

/// Reads the file of --databases. It must be root's alone, since it names programs. Errors name the key.
[[nodiscard]] Result<std::vector<ExtraChecks>> read_extra_checks(const std::string& path);

/// The same of its text.
[[nodiscard]] Result<std::vector<ExtraChecks>> parse_extra_checks(const std::string& text);

}  // namespace dlm_freeze
