// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "commands/mount_watch.hpp"
#include "dlm_freeze/base/deadline.hpp"
#include "dlm_freeze/base/error.hpp"
#include "dlm_freeze/base/log.hpp"
#include "session/client.hpp"

namespace dlm_freeze {

/// The moment of --hold-at, when the sessions of several hosts are to lock and freeze together. It is a moment of the
/// wall clock, which may be set while it is waited for.
class HoldTime {
 public:
  explicit HoldTime(WallTime wanted) : wanted_(wanted) {}

  /// The time left; negative once it has passed.
  [[nodiscard]] BootClock::duration remaining() const;

  /// Where it is now on the clock that nobody sets.
  [[nodiscard]] Deadline deadline() const { return Deadline(BootClock::now() + remaining()); }

  /// Errors: it has passed, or the budget, which is spent at `stage_deadline`, does not last until then.
  [[nodiscard]] Result<void> check(Deadline stage_deadline) const;

  /// What it means that something failed with `error`, once it has passed: the time was too short.
  [[nodiscard]] Error judge(Error error) const;

  /// Waits, with everything prepared and nothing locked. If there is time, what was dirtied meanwhile is written back,
  /// and the host looked at, once more right before. Errors also: it comes back too late.
  [[nodiscard]] Result<void> await(SessionClient& client, MountWatch& mounts, Deadline stage_deadline, Log& log) const;

 private:
  [[nodiscard]] Result<void> sleep_until(SessionClient& client, BootClock::duration before, Deadline latest) const;

  WallTime wanted_;
};

}  // namespace dlm_freeze
