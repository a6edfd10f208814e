// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "dlm_freeze/base/error.hpp"

namespace dlm_freeze {

/// Threads that exist before they are needed, one for each job. Beginning a job makes no thread, allocates nothing and
/// pages nothing in, so that it works while filesystems are frozen and where no thread is to be had any more.
class Workers {
 public:
  using Job = std::function<void(std::size_t)>;

  enum class Shortage {
    fail,   ///< Fewer threads than jobs are an error.
    share,  ///< A thread takes more than one job, in turn; without any, `begin` does the job itself.
  };

  /// Starts the threads for jobs 0 to `count` - 1. `enter`, if any, runs once in each thread, before its jobs, with the
  /// number of the thread: that of its job where there is no shortage.
  [[nodiscard]] static Result<Workers> start(std::size_t count, Job job, Shortage shortage, Job enter = {});

  Workers(Workers&&) noexcept = default;
  Workers& operator=(Workers&&) = delete;
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  /// Ends the threads. One whose job does not return is left behind, with what the job uses.
  ~Workers();

  /// Runs job `i` in its thread. It must not be under way. The job itself tells whoever waits for it.
  void begin(std::size_t i) noexcept;

 private:
  struct Shared;
  Workers(std::shared_ptr<Shared> shared, std::vector<std::thread> threads);

  std::shared_ptr<Shared> shared_;
  std::vector<std::thread> threads_;
};

}  // namespace dlm_freeze
