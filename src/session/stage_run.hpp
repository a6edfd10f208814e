// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "dlm_freeze/base/unique_fd.hpp"
#include "session/plan.hpp"

namespace dlm_freeze {

/// One stage of all quiescers at the same time, each in a thread of its own, while the caller goes on polling.
class StageRun {
 public:
  /// What to do with one quiescer. May set the facts.
  using Step = std::function<Result<void>(std::size_t index, StageContext& context)>;

  /// Starts `step` for the quiescers `indices`. `context` is what each starts from.
  [[nodiscard]] static Result<StageRun> start(const std::vector<std::size_t>& indices, const StageContext& context,
                                              Step step);

  StageRun(StageRun&&) = default;
  StageRun& operator=(StageRun&&) = delete;
  StageRun(const StageRun&) = delete;
  StageRun& operator=(const StageRun&) = delete;
  ~StageRun() = default;

  /// Readable when all have finished.
  [[nodiscard]] int fd() const noexcept;

  /// Tells all to give up.
  void cancel() noexcept;

  /// Waits until all have finished. False when `deadline` came first: then the process has to end.
  [[nodiscard]] bool wait(Deadline deadline) const noexcept;

  struct Finding {
    std::size_t index = 0;
    Result<void> result;
    std::vector<LogLine> notes;
  };
  /// What came of it; after all have finished.
  [[nodiscard]] std::vector<Finding> take();

 private:
  struct Shared;
  explicit StageRun(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}

  std::shared_ptr<Shared> shared_;
  std::vector<std::thread> threads_;
};

}  // namespace dlm_freeze
