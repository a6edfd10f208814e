// SPDX-License-Identifier: Apache-2.0
#include "quiesce/postgresql/account.hpp"

#include <pwd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <exception>
#include <vector>

namespace dlm_freeze {
namespace {

constexpr uid_t kUnchanged = static_cast<uid_t>(-1);

bool set_effective_user(uid_t uid) { return ::syscall(SYS_setresuid, kUnchanged, uid, kUnchanged) == 0; }
bool set_effective_group(gid_t gid) { return ::syscall(SYS_setresgid, kUnchanged, gid, kUnchanged) == 0; }

}  // namespace

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
  return Account{entry.pw_uid, entry.pw_gid};
}

Result<Account> owner_of(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return system_failure("cannot look at " + path, errno);
  return Account{status.st_uid, status.st_gid};
}

Result<ActingAs> ActingAs::begin(const std::optional<Account>& account) {
  if (!account || account->uid == 0 || ::geteuid() != 0) return ActingAs(false);
  if (!set_effective_group(account->gid)) {
    return system_failure("cannot act as group " + std::to_string(account->gid), errno);
  }
  if (!set_effective_user(account->uid)) {
    const int error = errno;
    if (!set_effective_group(0)) std::terminate();
    return system_failure("cannot act as user " + std::to_string(account->uid), error);
  }
  return ActingAs(true);
}

ActingAs::~ActingAs() {
  if (!active_) return;
  if (!set_effective_user(0) || !set_effective_group(0)) std::terminate();
}

}  // namespace dlm_freeze
