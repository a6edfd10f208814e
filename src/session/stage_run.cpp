// SPDX-License-Identifier: Apache-2.0
#include "session/stage_run.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <system_error>
#include <utility>

namespace dlm_freeze {
namespace {

void signal_event(int fd) noexcept {
  const std::uint64_t one = 1;
  static_cast<void>(!::write(fd, &one, sizeof one));
}

}  // namespace

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
    if (running.fetch_sub(1) == 1) signal_event(finished.get());
  }
};

Result<StageRun> StageRun::start(const std::vector<std::size_t>& indices, const StageContext& context, Step step) {
  auto shared = std::make_shared<Shared>();
  shared->cancelled = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  shared->finished = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!shared->cancelled || !shared->finished) return system_failure("cannot create an eventfd", errno);
  shared->step = std::move(step);
  shared->running = indices.size();
  for (const std::size_t index : indices) {
    shared->findings.push_back({index, {}, {}});
    shared->contexts.push_back(context);
    shared->contexts.back().cancel_fd = shared->cancelled.get();
  }
  if (indices.empty()) signal_event(shared->finished.get());
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

void StageRun::cancel() noexcept { signal_event(shared_->cancelled.get()); }

bool StageRun::wait(Deadline deadline) const noexcept {
  for (;;) {
    pollfd event = {fd(), POLLIN, 0};
    const int count = ::poll(&event, 1, deadline.poll_timeout());
    if (count > 0) return true;
    if (count == 0) return false;
  }
}

std::vector<StageRun::Finding> StageRun::take() {
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
  return std::move(shared_->findings);
}

}  // namespace dlm_freeze
