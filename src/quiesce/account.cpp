// SPDX-License-Identifier: Apache-2.0
#include "dlm_freeze/quiesce/account.hpp"

#include <pwd.h>

#include <cerrno>
#include <vector>

namespace dlm_freeze {

Result<Account> account_named(const std::string& name) {
  std::vector<char> buffer(4096);
  passwd entry{};
  passwd* found = nullptr;
  int error = ::getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found);
  while (error == ERANGE) {
    buffer.resize(buffer.size() * 2);
    error = ::getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found);
  }
  if (error != 0) return system_failure("cannot look up the account '" + name + "'", error);
  if (found == nullptr) return failure("there is no account '" + name + "' on this host");
  return Account{entry.pw_name, entry.pw_uid, entry.pw_gid, entry.pw_dir, entry.pw_shell};
}

}  // namespace dlm_freeze
