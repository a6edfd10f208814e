// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <string>

#include "dlm_freeze/base/error.hpp"

namespace dlm_freeze {

/// An account of the operating system.
struct Account {
  std::string name;
  uid_t uid = 0;
  gid_t gid = 0;
  std::string home;
  std::string shell;  ///< Empty: /bin/sh (passwd(5)).
};

/// The account of that name. Reads the account database, so never while a filesystem is frozen. Errors: there is none.
[[nodiscard]] Result<Account> account_named(const std::string& name);

}  // namespace dlm_freeze
