// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>

#include "dlm_freeze/base/deadline.hpp"
#include "dlm_freeze/base/error.hpp"
#include "dlm_freeze/base/unique_fd.hpp"

namespace dlm_freeze {

/// A child whose end can be waited for together with other things, on every kernel: by a pipe of which it holds the
/// other end. The child is not ended or reaped when the object goes.
class Child {
 public:
  /// Of no process.
  Child() = default;

  /// Forks, and runs `body` in the child, which must not return from it. `life` is what the child has to keep open
  /// until its end; -1 where no pipe is to be had: the child runs all the same. Errors: it cannot be forked.
  [[nodiscard]] static Result<Child> start(const std::function<void(int life)>& body);

  /// -1 when it was reaped, or there is none.
  [[nodiscard]] pid_t pid() const noexcept { return pid_; }

  /// Becomes readable when it has ended. -1 where that cannot be told.
  [[nodiscard]] int life() const noexcept { return life_.get(); }

  /// Waits for its end and reaps it: gives its status as waitpid(2) does. Nothing when `deadline` came first, or where
  /// its end cannot be told.
  [[nodiscard]] std::optional<int> wait(Deadline deadline) noexcept;

  /// Sends it `signal`, if it was not reaped.
  void send(int signal) const noexcept;

 private:
  pid_t pid_ = -1;
  UniqueFd life_;
};

/// Sends `signal` to a child of this process. Nobody if it was waited for: its number may be another process's by now.
void signal_child(pid_t child, int signal) noexcept;

/// With what a process exits that can have no more memory.
inline constexpr int kOutOfMemory = 12;

/// How `child`, whose end is near, ended, for an error: "; it ran out of memory…". Empty where that cannot be told. It
/// is not waited for, as waitpid(2) has it.
[[nodiscard]] std::string ending_of(pid_t child);

}  // namespace dlm_freeze
