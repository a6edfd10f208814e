// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "dlm_freeze/base/error.hpp"
#include "dlm_freeze/base/unique_fd.hpp"

namespace dlm_freeze {

/// CLOCK_BOOTTIME: steady, and runs while the machine is suspended, so that a resumed host thaws at once.
struct BootClock {
  using duration = std::chrono::nanoseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<BootClock>;
  static constexpr bool is_steady = true;

  [[nodiscard]] static time_point now() noexcept;
};

/// A moment by which something must be done.
class Deadline {
 public:
  [[nodiscard]] static Deadline in(BootClock::duration span) noexcept { return Deadline(BootClock::now() + span); }
  explicit Deadline(BootClock::time_point at) noexcept : at_(at) {}

  [[nodiscard]] BootClock::time_point at() const noexcept { return at_; }
  [[nodiscard]] bool expired() const noexcept { return BootClock::now() >= at_; }

  /// The time left; never negative.
  [[nodiscard]] BootClock::duration remaining() const noexcept;

  /// The time left in the unit of poll(2): milliseconds, rounded up so that poll never returns before the deadline.
  [[nodiscard]] int poll_timeout() const noexcept;

  /// The earlier of the two.
  [[nodiscard]] Deadline or_earlier(Deadline other) const noexcept { return other.at_ < at_ ? other : *this; }

 private:
  BootClock::time_point at_;
};

/// How long to wait for something.
struct Patience {
  Deadline deadline;
  int cancel_fd = -1;  ///< Readable: give up at once. -1: never.

  /// For one step of several: a part of the time that is left, half of it with 2. The rest is for the others if it
  /// hangs.
  [[nodiscard]] Patience share(int of) const noexcept { return {Deadline::in(deadline.remaining() / of), cancel_fd}; }
};

/// A descriptor that is readable from `deadline` on.
[[nodiscard]] Result<UniqueFd> new_timer(Deadline deadline);

/// Sets such a descriptor to another deadline; false with errno when it cannot be.
bool set_timer(int timer, Deadline deadline) noexcept;

using WallTime = std::chrono::system_clock::time_point;

/// "2026-11-23T16:40:02Z". Always UTC: local time would open the time zone's file.
[[nodiscard]] std::string format_utc(WallTime when);

/// Seconds with three decimals: "0.042".
[[nodiscard]] std::string format_seconds(BootClock::duration span);
[[nodiscard]] std::string format_seconds(double seconds);

}  // namespace dlm_freeze
