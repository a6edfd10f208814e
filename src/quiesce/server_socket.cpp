// SPDX-License-Identifier: Apache-2.0
#include "quiesce/server_socket.hpp"

#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "dlm_freeze/quiesce/account.hpp"
#include "quiesce/resolved_path.hpp"

namespace dlm_freeze {
namespace {

/// The rule for one entry, a link or the socket itself.
Result<void> check_entry(const std::string& path, const std::vector<uid_t>& accounts) {
  struct stat directory {};
  struct stat entry {};
  const std::string parent = path.substr(0, path.rfind('/') + 1);
  if (::lstat(path.c_str(), &entry) != 0 || ::stat(parent.c_str(), &directory) != 0) {
    return errno == ENOENT ? Result<void>() : system_failure("cannot look at " + path, errno);
  }
  if ((directory.st_mode & S_IWOTH) == 0 || entry.st_uid == 0) return {};
  if (std::find(accounts.begin(), accounts.end(), entry.st_uid) != accounts.end()) return {};
  return failure(path + " belongs to uid " + std::to_string(entry.st_uid) +
                     ", and anybody could have put it there, so it is not used: let the server make its socket in a "
                     "directory of its own",
                 ErrorKind::not_ready);
}

}  // namespace

Result<void> check_server_socket(const std::string& path, const std::vector<uid_t>& accounts) {
  if (auto checked = check_entry(path, accounts); !checked) return checked;
  const auto target = existing_path(path);
  return !target || *target == path ? Result<void>() : check_entry(*target, accounts);
}

std::optional<uid_t> peer_user(int fd) {
  ucred peer{};
  socklen_t size = sizeof peer;
  sockaddr address{};
  socklen_t address_size = sizeof address;
  if (::getsockname(fd, &address, &address_size) != 0 || address.sa_family != AF_UNIX) return std::nullopt;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return std::nullopt;
  return peer.uid;
}

std::vector<uid_t> uids_of(const std::vector<std::string>& accounts) {
  std::vector<uid_t> uids;
  for (const std::string& name : accounts) {
    if (const auto account = account_named(name)) uids.push_back(account->uid);
  }
  return uids;
}

}  // namespace dlm_freeze
