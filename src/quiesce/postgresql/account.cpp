// SPDX-License-Identifier: Apache-2.0
#include "quiesce/postgresql/account.hpp"

#include <sys/stat.h>

#include <cerrno>

#include "quiesce/server_socket.hpp"

namespace dlm_freeze::postgresql {
Result<Account> owner_ids(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return system_failure("cannot look at " + path, errno);
  Account owner;
  owner.uid = status.st_uid;
  owner.gid = status.st_gid;
  return owner;
}

std::vector<uid_t> server_accounts(const std::optional<Account>& configured) {
  std::vector<uid_t> accounts = uids_of({"postgres"});
  if (configured) accounts.push_back(configured->uid);
  return accounts;
}

}  // namespace dlm_freeze::postgresql
