// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <vector>

#include "filesystem.hpp"
#include "system.hpp"

namespace dlm_freeze::integration {

/// Asks a filesystem whether it is frozen in the only way there is: a child writes to it, and is
/// made to wait or not. A child that waits cannot be killed before the thaw, so this object keeps
/// it.
class WriteProbe {
 public:
  WriteProbe() = default;
  WriteProbe(const WriteProbe&) = delete;
  WriteProbe& operator=(const WriteProbe&) = delete;
  ~WriteProbe() { collect(); }

  /// Whether a write is made to wait: still not done after 150 ms, and in uninterruptible sleep.
  [[nodiscard]] bool is_frozen(const Filesystem& filesystem) { return is_frozen(filesystem.directory()); }
  [[nodiscard]] bool is_frozen(int directory);

  /// Whether a write that begins now ends within `limit`.
  [[nodiscard]] bool is_writable(const Filesystem& filesystem, Milliseconds limit = Milliseconds(500)) {
    return is_writable(filesystem.directory(), limit);
  }
  [[nodiscard]] bool is_writable(int directory, Milliseconds limit = Milliseconds(500));

  /// Waits for the children that were made to wait. To be called after the thaw.
  void collect();

 private:
  pid_t start(int directory);
  bool written(pid_t child, Milliseconds limit);

  std::vector<pid_t> waiting_;
};

}  // namespace dlm_freeze::integration
