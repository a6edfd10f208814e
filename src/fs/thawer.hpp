// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <poll.h>

#include <atomic>
#include <cstddef>
#include <memory>
#include <vector>

#include "base/workers.hpp"
#include "dlm_freeze/base/deadline.hpp"
#include "dlm_freeze/base/error.hpp"
#include "dlm_freeze/base/unique_fd.hpp"
#include "fs/frozen_filesystems.hpp"

namespace dlm_freeze {

/// Undoes the freezes of a session, each in a thread of its own, so that one that does not return holds up nobody.
/// The process must live until `run` has returned true, or exit with _exit.
class Thawer {
 public:
  /// On whose behalf a process thaws.
  enum class Role {
    owner,      ///< It is the one that has to: the watchdog.
    freezer,    ///< It froze them, and undoes that. It does not wait for what another process thaws.
    successor,  ///< The owner is dead or hangs: what that has begun is done again.
  };

  /// Makes the threads. `life_lines` has a descriptor for each filesystem that reports the end of file when the thread
  /// that freezes it has ended, even if its process was killed; empty if all of them ended long ago. The caller keeps
  /// them open. Where threads are short, the owner and the freezer, which come before the first FIFREEZE, get an error;
  /// a successor makes do with what there is.
  [[nodiscard]] static Result<Thawer> create(FrozenFilesystems& filesystems, std::vector<int> life_lines, Role role);

  /// Ends the session and thaws: by levels in reverse, and then what was still being frozen as soon as that is
  /// settled. A thaw that fails is tried again, some times. Returns true when nothing is left to do; false when `until`
  /// came first, or `interrupt` is readable: call it again to go on. Allocates nothing.
  [[nodiscard]] bool run(Deadline until, int interrupt = -1) noexcept;

  /// From now on it does again what others have begun, too: they have had their time.
  void take_over() noexcept { role_ = Role::successor; }

 private:
  /// What this process has done about one filesystem.
  struct Attempt {
    bool begun = false;
    int failures = 0;
    Deadline retry{BootClock::time_point()};  ///< When to try again what has failed.
  };

  Thawer(FrozenFilesystems& filesystems, const std::vector<int>& life_lines, Role role, UniqueFd finished);

  [[nodiscard]] bool is_settled(std::size_t i) const noexcept;
  [[nodiscard]] bool is_done() const noexcept;
  void thaw_if_ours(std::size_t i) noexcept;
  void begin(std::size_t i, FreezeState from) noexcept;
  [[nodiscard]] bool wait(Deadline until, int interrupt) noexcept;

  FrozenFilesystems* filesystems_;
  Role role_;
  UniqueFd finished_;                              ///< An event for each FITHAW that has returned.
  std::size_t under_way_ = 0;                      ///< Those that have not.
  std::vector<Attempt> attempts_;                  ///< By filesystem.
  std::vector<std::atomic<FreezeState>> claimed_;  ///< The state in which each was claimed, for its thread.
  std::vector<pollfd> events_;  ///< The life lines, -1 from their end of file on; `finished_`; the interrupt.
  std::unique_ptr<Workers> workers_;
};

}  // namespace dlm_freeze
