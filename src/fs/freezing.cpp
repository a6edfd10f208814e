// SPDX-License-Identifier: Apache-2.0
#include "fs/freezing.hpp"

#include <utility>

#include "base/wait.hpp"

namespace dlm_freeze {

Result<Freezing> Freezing::create(FrozenFilesystems& filesystems, const Enter& enter) {
  auto returned = new_event();
  if (!returned) return tl::unexpected(returned.error());
  auto calls = std::make_unique<Calls>();
  calls->returned = std::move(*returned);
  raise_event(calls->returned.get());
  const auto call = [&filesystems, calls = calls.get()](std::size_t i) {
    calls->freezes.load() ? filesystems.freeze(i) : filesystems.sync(i);
    if (calls->outstanding.fetch_sub(1) == 1) raise_event(calls->returned.get());
  };
  Workers::Job first;
  if (enter) first = [enter, event = calls->returned.get()](std::size_t i) { enter(i, event); };
  auto workers = Workers::start(filesystems.size(), call, Workers::Shortage::fail, std::move(first));
  if (!workers) return tl::unexpected(workers.error());
  return Freezing(filesystems, std::move(calls), std::move(*workers));
}

Freezing::Freezing(FrozenFilesystems& filesystems, std::unique_ptr<Calls> calls, Workers workers)
    : filesystems_(&filesystems), calls_(std::move(calls)), workers_(std::move(workers)) {}

template <typename Predicate>
void Freezing::begin_where(Predicate predicate) noexcept {
  std::size_t count = 0;
  for (std::size_t i = 0; i < filesystems_->size(); ++i) {
    if (predicate(i)) ++count;
  }
  if (count == 0) return;
  static_cast<void>(take_events(fd()));
  calls_->outstanding.store(count);
  for (std::size_t i = 0; i < filesystems_->size(); ++i) {
    if (predicate(i)) workers_.begin(i);
  }
}

void Freezing::begin_sync() noexcept {
  begin_where([](std::size_t) { return true; });
}

bool Freezing::begin_level() noexcept {
  if (level_ == filesystems_->levels() || filesystems_->ending()) return false;
  for (std::size_t i = 0; i < filesystems_->size(); ++i) {
    const FreezeState state = filesystems_->state(i);
    if (state == FreezeState::busy || state == FreezeState::freeze_failed || filesystems_->write_error(i) != 0)
      return false;
  }
  calls_->freezes.store(true);
  begin_where([this](std::size_t i) { return (*filesystems_)[i].level == level_; });
  ++level_;
  return true;
}

}  // namespace dlm_freeze
