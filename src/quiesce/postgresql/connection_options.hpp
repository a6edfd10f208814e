// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dlm_freeze/base/error.hpp"

namespace dlm_freeze::postgresql {

/// What libpq is told about a connection: the keywords of a connection string and their values.
class ConnectionOptions {
 public:
  /// Reads a connection string: keywords and values, or a URI. Errors: its syntax; a password in it (it would end up in
  /// the session's record: libpq's password file is the place for it).
  [[nodiscard]] static Result<ConnectionOptions> parse(const std::string& conninfo);

  [[nodiscard]] bool has(std::string_view keyword) const;

  /// Sets what the connection string leaves open.
  void set_default(std::string keyword, std::string value);

  /// Sets it, whatever the connection string says.
  void set(std::string keyword, std::string value);

  /// What is set; empty where nothing is.
  [[nodiscard]] std::string value_of(std::string_view keyword) const;

  /// Adds to what the server is told at the start of a session ("-c name=value"). The last word on a setting counts.
  void add_startup_settings(const std::string& settings);

  [[nodiscard]] const std::vector<std::pair<std::string, std::string>>& all() const { return options_; }

 private:
  std::vector<std::pair<std::string, std::string>> options_;
};

/// Makes libpq blind to the environment (PGHOST, PGOPTIONS, PGSERVICE, …, and HOME, so that the files in a home
/// directory are those of the account that connects): the configuration alone decides, whether the caller is the SSM
/// agent or a person. Not for a process with threads.
void ignore_environment();

}  // namespace dlm_freeze::postgresql
