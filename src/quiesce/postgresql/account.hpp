// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "dlm_freeze/base/error.hpp"
#include "dlm_freeze/quiesce/account.hpp"
#include "quiesce/acting_as.hpp"

namespace dlm_freeze::postgresql {

/// The owner of a file: its ids alone.
[[nodiscard]] Result<Account> owner_ids(const std::string& path);

/// Whose sockets are believed to be a PostgreSQL server's: the account postgres, and `configured`.
[[nodiscard]] std::vector<uid_t> server_accounts(const std::optional<Account>& configured);

}  // namespace dlm_freeze::postgresql
