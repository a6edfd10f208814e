// SPDX-License-Identifier: Apache-2.0
#include "base/clock_error.hpp"

#include <sys/timex.h>

#include <cstdlib>

namespace dlm_freeze {

std::optional<std::chrono::microseconds> clock_error() noexcept {
  timex state{};
  const int condition = ::adjtimex(&state);
  if (condition < 0 || condition == TIME_ERROR || (state.status & STA_UNSYNC) != 0) return std::nullopt;
  constexpr long kNanosPerMicro = 1000;
  const long offset = std::labs(state.offset);
  // Rounded up: it is a bound.
  const long micros = (state.status & STA_NANO) != 0 ? (offset + kNanosPerMicro - 1) / kNanosPerMicro : offset;
  return std::chrono::microseconds(micros + state.maxerror);
}

}  // namespace dlm_freeze
