// SPDX-License-Identifier: Apache-2.0
#include "fs/thawer.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/wait.hpp"

namespace dlm_freeze {
namespace {

/// A level that hangs holds up the next one for so long.
constexpr auto kLevelPatience = std::chrono::milliseconds(100);
/// A FITHAW that failed is made again so many times, so far apart.
constexpr int kRetries = 5;
constexpr auto kRetryPause = std::chrono::milliseconds(100);

}  // namespace

Result<Thawer> Thawer::create(FrozenFilesystems& filesystems, std::vector<int> life_lines, Role role) {
  auto finished = new_event();
  if (!finished) return tl::unexpected(finished.error());
  life_lines.resize(filesystems.size(), -1);
  Thawer thawer(filesystems, life_lines, role, std::move(*finished));
  const auto thaw = [&filesystems, claimed = thawer.claimed_.data(), event = thawer.finished_.get()](std::size_t i) {
    filesystems.thaw(i, claimed[i].load());
    raise_event(event);
  };
  auto workers = Workers::start(filesystems.size(), thaw,
                                role == Role::successor ? Workers::Shortage::share : Workers::Shortage::fail);
  if (!workers) return tl::unexpected(workers.error());
  thawer.workers_ = std::make_unique<Workers>(std::move(*workers));
  return thawer;
}

Thawer::Thawer(FrozenFilesystems& filesystems, const std::vector<int>& life_lines, Role role, UniqueFd finished)
    : filesystems_(&filesystems),
      role_(role),
      finished_(std::move(finished)),
      attempts_(filesystems.size()),
      claimed_(filesystems.size()) {
  for (const int life_line : life_lines) events_.push_back({life_line, POLLIN, 0});
  events_.push_back({finished_.get(), POLLIN, 0});
  events_.push_back({-1, POLLIN, 0});
}

bool Thawer::run(Deadline until, int interrupt) noexcept {
  filesystems_->end();
  for (int level = filesystems_->levels() - 1; level >= 0; --level) {
    for (std::size_t i = 0; i < filesystems_->size(); ++i) {
      if ((*filesystems_)[i].level == level) thaw_if_ours(i);
    }
    // The order only spares the upper level a wait for the lower one, so a call that hangs below is not waited for.
    const Deadline level_done = until.or_earlier(Deadline::in(kLevelPatience));
    while (under_way_ > 0 && !level_done.expired() && wait(level_done, -1)) {
    }
  }
  for (;;) {
    for (std::size_t i = 0; i < filesystems_->size(); ++i) thaw_if_ours(i);
    if (is_done()) return true;
    if (until.expired() || !wait(until, interrupt)) return false;
  }
}

bool Thawer::is_settled(std::size_t i) const noexcept {
  const FreezeState state = filesystems_->state(i);
  if (state == FreezeState::thaw_failed) return attempts_[i].failures > kRetries;
  // The freezer would not be told of the end of what another process thaws, and stands in for nobody.
  return !is_unsettled(state) || (role_ == Role::freezer && state == FreezeState::thawing);
}

bool Thawer::is_done() const noexcept {
  if (under_way_ > 0) return false;
  for (std::size_t i = 0; i < filesystems_->size(); ++i) {
    if (!is_settled(i)) return false;
  }
  return true;
}

void Thawer::thaw_if_ours(std::size_t i) noexcept {
  Attempt& attempt = attempts_[i];
  const FreezeState state = filesystems_->state(i);
  if (state == FreezeState::thaw_failed) {
    if (attempt.begun) {  // By this process; a failure of another one is tried again at once.
      attempt.begun = false;
      ++attempt.failures;
      attempt.retry = Deadline::in(kRetryPause);
    }
    if (!is_settled(i) && attempt.retry.expired()) begin(i, state);
    return;
  }
  if (attempt.begun) return;
  const bool freezer_gone = events_[i].fd < 0;  // No call of it is under way, and none will be recorded.
  const bool is_ours = state == FreezeState::frozen || (state == FreezeState::thawing && role_ == Role::successor) ||
                       ((state == FreezeState::freezing || state == FreezeState::undoing) && freezer_gone);
  if (is_ours) begin(i, state);
}

/// Unless it is in another state than `from` by now: another process has thawed it, or does.
void Thawer::begin(std::size_t i, FreezeState from) noexcept {
  claimed_[i].store(from);
  if (!filesystems_->claim(i, from, role_ == Role::freezer ? FreezeState::undoing : FreezeState::thawing)) return;
  attempts_[i].begun = true;
  ++under_way_;
  workers_->begin(i);
}

/// False when `interrupt` is readable.
bool Thawer::wait(Deadline until, int interrupt) noexcept {
  for (std::size_t i = 0; i < filesystems_->size(); ++i) {
    if (!is_settled(i) && filesystems_->state(i) == FreezeState::thaw_failed) {
      until = until.or_earlier(attempts_[i].retry);
    }
  }
  events_.back().fd = interrupt;
  if (::poll(events_.data(), events_.size(), until.poll_timeout()) <= 0) return true;
  under_way_ -= take_events(finished_.get());
  for (std::size_t i = 0; i < filesystems_->size(); ++i) {
    if (events_[i].revents != 0) events_[i].fd = -1;
  }
  return events_.back().revents == 0;
}

}  // namespace dlm_freeze
