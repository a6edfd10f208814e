// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <array>

#include "dlm_freeze/base/unique_fd.hpp"

namespace dlm_freeze {

/// A process that can be signalled long after it was known by its number: a signal never reaches another one that was
/// given the number since. A pidfd where the kernel has them (Linux 5.3). Before, a socket pair whose one end belongs
/// to the process (F_SETOWN in fcntl(2)): of that the kernel keeps the process itself, and sends it a signal of our
/// choice when something arrives. Processes that were forked since may use it as well.
class ProcessHandle {
 public:
  /// Of no process: nobody is signalled.
  ProcessHandle() = default;

  /// Of `process`, which is known to have its number still: a child that nobody has waited for, or the parent. Of no
  /// process, with errno, where descriptors are short.
  [[nodiscard]] static ProcessHandle of(pid_t process) noexcept;

  /// Sends `signal`. False when it is known that there is no such process any more.
  bool send(int signal) const noexcept;

  /// What has to stay open for `send`; -1 stands for none.
  [[nodiscard]] std::array<int, 2> descriptors() const noexcept { return {process_.get(), trigger_.get()}; }

 private:
  UniqueFd process_;  ///< A pidfd, or the end that belongs to the process.
  UniqueFd trigger_;  ///< The other end, if there is one.
};

}  // namespace dlm_freeze
