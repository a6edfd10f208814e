// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <utility>

#include "dlm_freeze/quiesce/quiescer.hpp"
#include "quiesce/iris/instances.hpp"
#include "quiesce/iris/tools.hpp"

namespace dlm_freeze::iris {

/// An instance that takes part, and the suspension of its write daemon. The tools must outlive it.
class InstanceHold {
 public:
  InstanceHold(IrisInstance instance, const IrisTools& tools) : instance_(std::move(instance)), tools_(&tools) {}

  [[nodiscard]] const IrisInstance& instance() const { return instance_; }

  /// Whether it could be suspended now.
  [[nodiscard]] Result<void> check(StageContext& context) const;

  /// Where its methods are going to write their log: in `directory`, or in one of our own if that is empty.
  Result<void> choose_log_file(const std::string& directory);

  /// Suspends it. Even if that fails, `end` has to be called.
  Result<void> begin(StageContext& context);

  /// As Quiescer::release. `set_history`: tell the instance of its backup, if it was one.
  Result<void> end(StageContext& context, Outcome outcome, bool set_history) const;

  /// Resumes what a process that died has suspended, or, if it `may_still_come`, is about to suspend.
  [[nodiscard]] Result<void> undo(const Patience& patience, bool may_still_come) const;

 private:
  [[nodiscard]] Result<ProgramResult> call(const std::string& expression, const Patience& patience) const {
    return tools_->call(instance_, expression, patience);
  }
  [[nodiscard]] Result<bool> is_suspended(const Patience& patience) const;
  [[nodiscard]] bool is_down(const Patience& patience) const;
  [[nodiscard]] Result<void> resume(const Patience& patience) const;
  [[nodiscard]] Result<void> resume_straggler(const Patience& patience) const;

  IrisInstance instance_;
  const IrisTools* tools_;
  std::string log_file_;
  bool asked_ = false;      ///< ExternalFreeze was called.
  bool uncertain_ = false;  ///< And its end was not seen: it may be at it still.
  bool has_limit_ = false;  ///< And the instance was told when to resume by itself.
};

/// What to run by hand to resume an instance.
[[nodiscard]] std::string how_to_resume(const std::string& instance);

}  // namespace dlm_freeze::iris
