// SPDX-License-Identifier: Apache-2.0
#include "fs/descent.hpp"

#include <algorithm>
#include <chrono>
#include <cstdlib>

namespace dlm_freeze {
namespace {

using std::chrono::milliseconds;

double env(const char* n, double d) { const char* t = std::getenv(n); return t ? std::atof(t) : d; }
constexpr double kMebi = 1 << 20;
/// For so long it is watched what the device writes and what is dirtied again.
constexpr auto kWatch = milliseconds(40);
/// Less than what the device writes in that time is not worth a limit either.
constexpr auto kLeastTime = milliseconds(100);
const double kHeadroom = env("X_FACTOR", 1.1);
const double kRest = env("X_REST", 30);
const double kRestMin = env("X_RESTMIN", 16);
const double kFall = env("X_FALL", 100);
const bool kRise = env("X_RISE", 1) != 0;

double seconds_between(const DirtySample& one, const DirtySample& other) {
  return std::chrono::duration<double>(other.at - one.at).count();
}

}  // namespace

double Descent::speed(const DirtySample& sample) const {
  const double span = seconds_between(*first_, sample);
  return span > 0 ? static_cast<double>(sample.written - first_->written) / span : 0;
}

std::uint64_t Descent::rest(const DirtySample& sample) const {
  return static_cast<std::uint64_t>(std::clamp(speed(sample) * kRest / 1000, kRestMin * kMebi, 256 * kMebi));
}

bool Descent::pays(const DirtySample& sample, bool is_syncing) const {
  const auto dirty = static_cast<double>(sample.dirty);
  const double at_once = speed(sample) * std::chrono::duration<double>(kLeastTime).count();
  if (dirty < std::max(static_cast<double>(kLeast), at_once)) return false;
  const double written = static_cast<double>(sample.written - first_->written);
  const double dirtied = dirty - static_cast<double>(first_->dirty) + written;
  return !is_syncing || (dirtied > written / 2 && dirtied > 16 * kMebi);
}

std::optional<std::uint64_t> Descent::next(const DirtySample& sample, bool is_syncing) {
  if (!first_) first_ = sample;
  if (state_ == State::done) return std::nullopt;
  if (state_ == State::watching) {
    if (sample.at - first_->at < kWatch) return std::nullopt;
    if (pays(sample, is_syncing)) {
      state_ = State::lowering;
    } else if (!is_syncing) {
      state_ = State::done;
    }
    if (state_ != State::lowering) return std::nullopt;
    limit_ = static_cast<double>(sample.dirty) * kHeadroom;
    last_ = sample;
  }
  const auto rest = static_cast<double>(this->rest(sample));
  const auto dirty = static_cast<double>(sample.dirty);
  if (!is_syncing && !patience_) {
    const double needed = speed(sample) > 0 ? dirty / speed(sample) : 0;
    patience_ = Deadline(sample.at + std::chrono::duration_cast<BootClock::duration>(std::chrono::duration<double>(needed)) + milliseconds(50));
  }
  double wanted = dirty * kHeadroom;
  const double lowest = limit_ - speed(sample) * seconds_between(*last_, sample) * kFall;
  wanted = std::max({wanted, lowest, rest * kHeadroom});
  if (!kRise) wanted = std::min(wanted, limit_);
  last_ = sample;
  limit_ = wanted;
  if (dirty <= rest * 1.1 || (patience_ && sample.at >= patience_->at())) state_ = State::done;
  return static_cast<std::uint64_t>(limit_);
}

}  // namespace dlm_freeze
