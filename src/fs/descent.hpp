// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

#include "dlm_freeze/base/deadline.hpp"

namespace dlm_freeze {

/// What was dirty of a device's data at one moment.
struct DirtySample {
  BootClock::time_point at;
  std::uint64_t dirty = 0;    ///< Bytes in memory that are yet to be written, or being written.
  std::uint64_t written = 0;  ///< Bytes written since any beginning.
};

/// How the limit on a device's dirty memory comes down: which limit next, given what is dirty, how fast the device
/// writes, and how long that took so far. Pure; bench/README.md has the figures behind the numbers.
class Descent {
 public:
  /// Bytes: with less dirty, nothing is limited.
  static constexpr std::uint64_t kLeast = std::uint64_t{64} << 20;

  enum class State {
    watching,  ///< Nothing is limited: it is not known yet whether that would pay.
    lowering,
    done,  ///< Little enough is dirty, or it never paid, or more time would not pay.
  };

  /// The limit to set now, if any. `is_syncing`: syncfs(2) on the device's filesystem has not returned.
  [[nodiscard]] std::optional<std::uint64_t> next(const DirtySample& sample, bool is_syncing);

  [[nodiscard]] State state() const noexcept { return state_; }

 private:
  [[nodiscard]] bool pays(const DirtySample& sample, bool is_syncing) const;
  /// Bytes a second, since the first sample: completions come in strokes of a hundred megabytes.
  [[nodiscard]] double speed(const DirtySample& sample) const;
  /// How much may be left.
  [[nodiscard]] double rest(const DirtySample& sample) const;

  State state_ = State::watching;
  std::optional<DirtySample> first_;
  std::optional<Deadline> patience_;  ///< Once the write-back has returned.
};

}  // namespace dlm_freeze
