// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "dlm_freeze/base/deadline.hpp"
#include "record/state_directory.hpp"

namespace dlm_freeze {

/// What became of a request to end the session.
enum class EndRequest {
  not_heard,  ///< No watchdog listens: there is none, or only its sentinel is left.
  heard,      ///< The watchdog has done it, or is gone.
  stuck,      ///< Done, but for a filesystem whose thaw does not return.
};

/// Asks the watchdog to end the session and waits until it has, or until `deadline`. The outcome is in the record, once
/// the session's lock is free.
[[nodiscard]] EndRequest ask_to_end(const StateDirectory& state, const std::string& execution_id, Deadline deadline);

}  // namespace dlm_freeze
