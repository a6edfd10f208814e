// SPDX-License-Identifier: Apache-2.0
#include "session/drain.hpp"

#include <algorithm>
#include <utility>

#include "session/limits.hpp"

namespace dlm_freeze {

Drain::Drain(DirtyLimit& limit, DirtyMemory& memory, std::function<Result<void>()> before_first)
    : limit_(limit), memory_(memory), before_first_(std::move(before_first)), descents_(limit.size()) {}

Result<void> Drain::begin(Deadline latest) {
  if (descents_.empty()) return {};
  auto timer = new_timer(Deadline::in(BootClock::duration::zero()));
  if (!timer) return tl::unexpected(timer.error());
  timer_ = std::move(*timer);
  latest_ = latest;
  return {};
}

void Drain::look(bool is_syncing) {
  const std::vector<DirtySample> samples = memory_.look();
  for (std::size_t i = 0; i < descents_.size(); ++i) {
    const auto bytes = descents_[i].next(samples[i], is_syncing);
    if (!bytes) continue;
    if (!limit_.is_set() && !before_first_()) return timer_.reset();
    limit_.set(i, *bytes);
  }
  const bool all_done = std::all_of(descents_.begin(), descents_.end(),
                                    [](const Descent& descent) { return descent.state() == Descent::State::done; });
  if (all_done || latest_.expired()) return timer_.reset();
  set_timer(timer_.get(), Deadline::in(limits::kDrainLook));
}

}  // namespace dlm_freeze
