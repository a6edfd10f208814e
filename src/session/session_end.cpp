// SPDX-License-Identifier: Apache-2.0
#include "session/session_end.hpp"

#include <poll.h>

#include <cerrno>

#include "session/message.hpp"

namespace dlm_freeze {

EndRequest ask_to_end(const StateDirectory& state, const std::string& execution_id, Deadline deadline) {
  const auto connection = state.connect();
  if (!connection) return EndRequest::not_heard;
  if (!send_message(connection->get(), {verbs::kEnd, Json::Object{{"execution_id", execution_id}}}))
    return EndRequest::not_heard;
  for (;;) {
    pollfd event = {connection->get(), POLLIN, 0};
    const int count = ::poll(&event, 1, deadline.poll_timeout());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return EndRequest::heard;
    const auto message = receive_message(connection->get());
    if (!message || !*message) return EndRequest::heard;
    if ((*message)->verb == verbs::kStuck) return EndRequest::stuck;
  }
}

}  // namespace dlm_freeze
