// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "commands/verify/checks.hpp"

namespace dlm_freeze {

/// The version in what `mysqld --version` prints: "10.11.6-MariaDB-0+deb12u1". Empty: it is none.
[[nodiscard]] std::string version_told(std::string_view output);

/// Whether one of the versions is of MariaDB and the other is not, or their first two numbers differ.
[[nodiscard]] bool is_other_series(std::string_view left, std::string_view right);

/// "10.11" of "10.11.6-MariaDB". Since MariaDB 10.0 none is of MySQL as well.
[[nodiscard]] std::string_view release_series(std::string_view version);

/// The file with the definition of a table or partition that InnoDB names so: "shop/orders.frm".
[[nodiscard]] std::string definition_of(std::string_view innodb_name);

/// What the client prints for CHECK TABLE statements: table, operation, type and text in columns. In
/// their names it has escaped what separates these.
class TableAnswers {
 public:
  void take(std::string_view line);

  /// Of `tables` statements.
  [[nodiscard]] Finding finding(std::size_t tables) const;

 private:
  std::size_t good_ = 0;
  std::set<std::string> seen_;
  std::vector<std::string> bad_;          ///< "shop.orders (Corrupt)"
  std::vector<std::string> unsupported_;  ///< Tables whose engine cannot do it.
  std::vector<std::string> unknown_;      ///< Tables whose engine the server does not have.
};

}  // namespace dlm_freeze
