// SPDX-License-Identifier: Apache-2.0
#include "fs/descent.hpp"

#include <algorithm>
#include <chrono>

namespace dlm_freeze {
namespace {

using std::chrono::milliseconds;

constexpr double kMebi = 1 << 20;
/// For so long it is watched what the device writes and what is dirtied again.
constexpr auto kWatch = milliseconds(40);
/// Less than what the device writes in that time is not worth a limit either.
constexpr std::chrono::duration<double> kLeastTime = milliseconds(100);
/// With less than that dirty, nobody dirties as fast as the device writes.
constexpr std::uint64_t kNegligible = std::uint64_t{16} << 20;
/// What is dirtied again, at least, while the write-back runs, for that not to be enough.
constexpr double kLeastAgain = 16 * kMebi;
/// The limit is so many times what is dirty. The kernel slows down who writes from 0.75 of a strict limit on, the more
/// the nearer to it, and makes everybody wait who writes above it: closer, and small writers wait; 1.33, and nobody
/// does.
constexpr double kHeadroom = 1.1;
/// Of the time under the locks, what may go into writing what is left.
constexpr std::chrono::duration<double> kRestTime = milliseconds(8);
constexpr double kLeastRest = 8 * kMebi;
constexpr double kMostRest = 256 * kMebi;
/// Beyond what FIFREEZE would have needed for what is dirty.
constexpr auto kGrace = milliseconds(50);

double seconds_between(const DirtySample& one, const DirtySample& other) {
  return std::chrono::duration<double>(other.at - one.at).count();
}

}  // namespace

double Descent::speed(const DirtySample& sample) const {
  const double span = seconds_between(*first_, sample);
  return span > 0 ? static_cast<double>(sample.written - first_->written) / span : 0;
}

double Descent::rest(const DirtySample& sample) const {
  return std::clamp(speed(sample) * kRestTime.count(), kLeastRest, kMostRest);
}

bool Descent::pays(const DirtySample& sample, bool is_syncing) const {
  const auto dirty = static_cast<double>(sample.dirty);
  if (dirty < std::max(static_cast<double>(kLeast), speed(sample) * kLeastTime.count())) return false;
  const auto written = static_cast<double>(sample.written - first_->written);
  const double again = dirty - static_cast<double>(first_->dirty) + written;
  return !is_syncing || (again > written / 2 && again > kLeastAgain);
}

std::optional<std::uint64_t> Descent::next(const DirtySample& sample, bool is_syncing) {
  if (!first_) first_ = sample;
  // Who dirties as fast as the device writes has more than that at any moment, and so has FIFREEZE to write.
  if (state_ == State::watching && sample.dirty < (is_syncing ? kNegligible : kLeast)) state_ = State::done;
  if (state_ == State::watching && sample.at - first_->at >= kWatch) {
    if (pays(sample, is_syncing)) {
      state_ = State::lowering;
    } else if (!is_syncing) {
      state_ = State::done;
    }
  }
  if (state_ != State::lowering) return std::nullopt;
  const auto dirty = static_cast<double>(sample.dirty);
  const double rest = this->rest(sample);
  if (!is_syncing && !patience_) {
    const std::chrono::duration<double> needed(speed(sample) > 0 ? dirty / speed(sample) : 0);
    patience_ = Deadline(sample.at + std::chrono::duration_cast<BootClock::duration>(needed) + kGrace);
  }
  if (dirty <= rest || (patience_ && sample.at >= patience_->at())) state_ = State::done;
  return static_cast<std::uint64_t>(std::max(dirty, rest) * kHeadroom);
}

}  // namespace dlm_freeze
