// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "dlm_freeze/base/error.hpp"
#include "dlm_freeze/quiesce/account.hpp"

namespace dlm_freeze {

/// Makes the calling thread, and no other thread of the process, act as an account as long as the object lives: the
/// effective ids change, the real ones stay root's. The C library's seteuid(3) would change every thread at once, the
/// one that thaws included; the system calls below it change one thread only (credentials(7), nptl(7)). A forked child
/// that connects and passes the socket back is no way around it: libpq cannot adopt a connection.
/// While the object lives the thread has no capability but CAP_IPC_LOCK; what it creates belongs to the account.
class ActingAs {
 public:
  /// Does nothing when there is no account, or when this process is not root's and cannot change anyway.
  [[nodiscard]] static Result<ActingAs> begin(const std::optional<Account>& account);

  ActingAs(ActingAs&& other) noexcept : active_(other.active_) { other.active_ = false; }
  ActingAs& operator=(ActingAs&&) = delete;
  ActingAs(const ActingAs&) = delete;
  ActingAs& operator=(const ActingAs&) = delete;

  /// Ends the process if the thread cannot become root again, which the kernel has no reason to refuse.
  ~ActingAs();

 private:
  explicit ActingAs(bool active) : active_(active) {}

  bool active_;
};

}  // namespace dlm_freeze
