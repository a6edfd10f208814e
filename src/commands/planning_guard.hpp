// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <thread>

#include "dlm_freeze/base/deadline.hpp"
#include "dlm_freeze/base/unique_fd.hpp"

namespace dlm_freeze {

/// Ends the program with 201 (post-script: 202) where looking at the host takes longer than the budget: a look-up in a
/// dead network filesystem or name service never returns, and no signal that is handled interrupts it. Nothing has
/// begun by then. For a process without threads, which is again without threads afterwards: none may be when it forks.
class PlanningGuard {
 public:
  enum class Of { pre_script, post_script };
  explicit PlanningGuard(Deadline budget, Of script = Of::pre_script);
  ~PlanningGuard();
  PlanningGuard(const PlanningGuard&) = delete;
  PlanningGuard& operator=(const PlanningGuard&) = delete;

 private:
  UniqueFd over_;
  std::thread thread_;
};

}  // namespace dlm_freeze
