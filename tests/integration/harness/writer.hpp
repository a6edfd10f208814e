// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <vector>

#include "filesystem.hpp"
#include "system.hpp"

namespace dlm_freeze::integration {

/// A write that took long.
struct Stall {
  Clock::time_point begin;
  Clock::time_point end;
};

/// A process that appends to a file every millisecond and remembers each write that took longer
/// than 50 ms.
class Writer {
 public:
  explicit Writer(const Filesystem& filesystem);
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  /// Ends the process; waits for the thaw if a write is under way.
  ~Writer();

  [[nodiscard]] std::vector<Stall> stalls() const;

  /// The one that was under way at `moment`, once it is over. Throws when there was none, or when it
  /// lasts for another `limit`.
  [[nodiscard]] Stall stall_at(Clock::time_point moment, Milliseconds limit = Milliseconds(500)) const;

  /// Whether writes go on: waits up to a second for the next two.
  [[nodiscard]] bool goes_on() const;

 private:
  struct Shared {
    std::atomic<std::size_t> writes{0};
    std::atomic<std::size_t> stall_count{0};
    std::array<Stall, 256> stalls{};
  };

  [[noreturn]] static void write_for_ever(int directory, Shared& shared);

  Shared* shared_ = nullptr;
  pid_t process_ = -1;
};

}  // namespace dlm_freeze::integration
