// SPDX-License-Identifier: Apache-2.0
#include "quiesce/pause.hpp"

#include <poll.h>

#include <cerrno>

namespace dlm_freeze {

bool pause_for(BootClock::duration span, const StageContext& context) {
  const Deadline until = Deadline::in(span).or_earlier(context.deadline);
  for (;;) {
    pollfd event = {context.cancel_fd, POLLIN, 0};
    const int count = ::poll(&event, 1, until.poll_timeout());
    if (count < 0 && errno == EINTR) continue;
    return count == 0 && !context.deadline.expired();
  }
}

}  // namespace dlm_freeze
