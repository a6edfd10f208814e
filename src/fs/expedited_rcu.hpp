// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>

#include "base/shared_array.hpp"
#include "dlm_freeze/base/unique_fd.hpp"

namespace dlm_freeze {

/// Makes FIFREEZE quick. With every writer stopped, it waits for several grace periods of the kernel's RCU
/// (freeze_super in fs/super.c, percpu_down_write in kernel/locking/percpu-rwsem.c, rcu_sync_enter in
/// kernel/rcu/sync.c): 30 to 50 ms where nothing is dirty. Expedited ones take a fraction of a millisecond, and
/// /sys/kernel/rcu_expedited makes the whole host use them (rcupdate.rcu_expedited in
/// Documentation/admin-guide/kernel-parameters.txt).
/// Shared by the processes forked later, so that any process that is left can restore it.
class ExpeditedRcu {
 public:
  /// Does nothing, ever.
  ExpeditedRcu() = default;

  /// Opens `path`, and puts it back to 0 where a freezer that was killed with all its session has left it set. One that
  /// does nothing where it cannot be written, as in most containers, or was set by another program. (Where rcu_normal
  /// is set, as on real-time kernels, the kernel ignores it.)
  [[nodiscard]] static ExpeditedRcu open(const std::string& path = "/sys/kernel/rcu_expedited");

  void begin() noexcept;

  /// Puts back what was found, if `begin` was called in any process and this was not.
  void end() noexcept;

  /// What a process has to keep open; -1 when there is nothing.
  [[nodiscard]] int fd() const noexcept { return fd_.get(); }

 private:
  void write(char value) noexcept;

  UniqueFd fd_;
  std::optional<SharedArray<std::atomic<std::uint32_t>>> begun_;  ///< One.
};

}  // namespace dlm_freeze
