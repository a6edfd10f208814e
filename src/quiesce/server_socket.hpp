// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "dlm_freeze/base/error.hpp"

namespace dlm_freeze {

/// Fails when the socket `path` could be anybody's: it, or a symbolic link to it, lies in a directory that everybody
/// may write in, and belongs to neither root nor one of `accounts`. Whoever listens on such a one would be sent
/// passwords, and believed where its data lies. A socket that does not exist passes: nobody is going to be spoken to.
[[nodiscard]] Result<void> check_server_socket(const std::string& path, const std::vector<uid_t>& accounts);

/// The uid of the process that listens at the other end of a connection by socket (SO_PEERCRED in unix(7)); none when
/// the connection is no such one.
[[nodiscard]] std::optional<uid_t> peer_user(int fd);

/// The uids of those of the accounts that exist.
[[nodiscard]] std::vector<uid_t> uids_of(const std::vector<std::string>& accounts);

}  // namespace dlm_freeze
