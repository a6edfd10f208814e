// SPDX-License-Identifier: Apache-2.0
#include "session/stage_run.hpp"

#include <atomic>
#include <memory>
#include <system_error>
#include <utility>

#include "base/wait.hpp"

namespace dlm_freeze {
struct StageRun::Shared {
  UniqueFd cancelled;
  UniqueFd finished;
  std::atomic<std::size_t> running{0};
  std::vector<StageContext> contexts;
  std::vector<Finding> findings;
  Step step;

  void run(std::size_t i) noexcept {
    findings[i].result = step(findings[i].index, contexts[i]);
    findings[i].notes = std::move(contexts[i].notes);
    if (running.fetch_sub(1) == 1) raise_event(finished.get());
  }
};

Result<StageRun> StageRun::start(const std::vector<std::size_t>& indices, const StageContext& context, Step step) {
  auto shared = std::make_shared<Shared>();
  for (UniqueFd* event : {&shared->cancelled, &shared->finished}) {
    auto created = new_event();
    if (!created) return tl::unexpected(created.error());
    *event = std::move(*created);
  }
  shared->step = std::move(step);
  shared->running = indices.size();
  for (const std::size_t index : indices) {
    shared->findings.push_back({index, {}, {}});
    shared->contexts.push_back(context);
    shared->contexts.back().cancel_fd = shared->cancelled.get();
  }
  if (indices.empty()) raise_event(shared->finished.get());
  StageRun run(shared);
  for (std::size_t i = 0; i < indices.size(); ++i) {
    try {
      run.threads_.emplace_back([shared, i] { shared->run(i); });
    } catch (const std::system_error&) {
      shared->run(i);
    }
  }
  return run;
}

int StageRun::fd() const noexcept { return shared_->finished.get(); }

void StageRun::cancel() noexcept { raise_event(shared_->cancelled.get()); }

bool StageRun::wait(Deadline deadline) const noexcept { return wait_readable(fd(), deadline); }

std::vector<StageRun::Finding> StageRun::take() {
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
  return std::move(shared_->findings);
}

}  // namespace dlm_freeze
