// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "dlm_freeze/base/error.hpp"
#include "quiesce/mysql/connection.hpp"
#include "quiesce/mysql/dialect.hpp"
#include "quiesce/mysql/settings.hpp"

namespace dlm_freeze::mysql {

/// Says of one server what it refused, why, and what to do.
class Diagnosis {
 public:
  explicit Diagnosis(const MysqlSettings& settings)
      : user_(settings.address.user.empty() ? "root" : settings.address.user) {}

  /// Once it is known who has logged in: advice is for that account then.
  void set_account(Maker maker, std::string account) {
    maker_ = maker;
    account_ = std::move(account);
  }

  [[nodiscard]] Failure not_ready(const std::string& message) const { return failure(message, ErrorKind::not_ready); }
  [[nodiscard]] Failure cluster_not_ready(const std::string& why) const {
    return not_ready("its cluster is not ready for statements (" + why + "): try again when the node is synced");
  }

  /// `action`: what could not be done. `privilege`: what it takes.
  [[nodiscard]] Failure from(const std::string& action, const SqlError& error, std::string_view privilege = "") const;

 private:
  [[nodiscard]] std::string advice(unsigned code, std::string_view privilege) const;

  std::string user_;
  Maker maker_ = Maker::mysql;
  std::string account_;  ///< "dlm-freeze@localhost"; empty before the login.
};

}  // namespace dlm_freeze::mysql
