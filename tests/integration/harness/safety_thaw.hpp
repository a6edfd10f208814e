// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>

#include "dlm_freeze/base/unique_fd.hpp"

namespace dlm_freeze::integration {

/// A process of its own session that thaws what the test may have frozen: after `limit`, or as soon
/// as the test process is gone. It opens nothing: the test hands it a descriptor of each filesystem
/// before it can be frozen, and
/// `/` from the start. It holds those descriptors, so it ends before anything is unmounted.
class SafetyThaw {
 public:
  explicit SafetyThaw(std::chrono::seconds limit);
  SafetyThaw(const SafetyThaw&) = delete;
  SafetyThaw& operator=(const SafetyThaw&) = delete;

  /// Ends the process without a thaw, and reaps it.
  ~SafetyThaw();

  /// Adds the filesystem of `fd`. It is guarded when this returns.
  void guard(int fd);

  /// Lets the limit begin anew, for a test of many rounds.
  void restart();

  /// Thaws all that it guards, now. True when nothing is frozen any more.
  [[nodiscard]] bool thaw_all();

  /// Whether the limit has passed, so that what the test saw after it is worth nothing.
  [[nodiscard]] bool fired() const { return fired_->load(); }

 private:
  pid_t process_ = -1;
  UniqueFd channel_;
  std::atomic<bool>* fired_ = nullptr;  ///< Shared with the process.
};

}  // namespace dlm_freeze::integration
