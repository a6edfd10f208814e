// SPDX-License-Identifier: Apache-2.0
#include "quiesce/pause.hpp"

#include "base/wait.hpp"

namespace dlm_freeze {

bool pause_for(BootClock::duration span, const StageContext& context) {
  const bool told_to = wait_readable(context.cancel_fd, Deadline::in(span).or_earlier(context.deadline));
  return !told_to && !context.deadline.expired();
}

}  // namespace dlm_freeze
