// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <vector>

#include "dlm_freeze/base/deadline.hpp"
#include "dlm_freeze/base/error.hpp"
#include "dlm_freeze/base/unique_fd.hpp"
#include "fs/descent.hpp"
#include "fs/dirty_limit.hpp"
#include "fs/dirty_memory.hpp"

namespace dlm_freeze {

/// What the watchdog does, while databases prepare and filesystems are written back, so that little is left for
/// FIFREEZE to write with everybody waiting: lowers the limit on the dirty memory of each device that is dirtied again
/// as fast as it is written.
class Drain {
 public:
  /// `before_first` is called before the first limit is set; when it fails, none is.
  Drain(DirtyLimit& limit, DirtyMemory& memory, std::function<Result<void>()> before_first);

  /// Begins to look. By `latest` it is over, whatever is dirty then.
  [[nodiscard]] Result<void> begin(Deadline latest);

  /// Readable when it is time for `look`; -1 before `begin` and when it is over.
  [[nodiscard]] int fd() const noexcept { return timer_.get(); }

  /// Looks and sets. `is_syncing`: a filesystem is being written back.
  void look(bool is_syncing);

  /// Looks no more.
  void stop() noexcept { timer_.reset(); }

  /// Whether there is nothing to wait for. What was limited stays so until DirtyLimit::lift.
  [[nodiscard]] bool is_over() const noexcept { return !timer_; }

 private:
  DirtyLimit& limit_;
  DirtyMemory& memory_;
  std::function<Result<void>()> before_first_;
  std::vector<Descent> descents_;  ///< By device.
  UniqueFd timer_;
  Deadline latest_{BootClock::time_point()};
};

}  // namespace dlm_freeze
