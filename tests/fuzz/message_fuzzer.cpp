// SPDX-License-Identifier: Apache-2.0
// What one process of a session tells another.
#include <string_view>
#include <utility>

#include "fuzzer.hpp"
#include "session/message.hpp"

using namespace dlm_freeze;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto channel = message_channel();
  if (size == 0 || !channel) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (!send_packet(channel->first.get(), bytes)) return 0;  // More than the socket holds.
  const auto message = receive_message(channel->second.get());
  if (!message || !*message) return 0;
  fuzz::require(send_message(channel->first.get(), **message).has_value(), "what was received can be sent");
  const auto again = receive_message(channel->second.get());
  fuzz::require(again && *again, "and be received");
  fuzz::require((*again)->error.message == (*message)->error.message, "with the same error");
  fuzz::require((*again)->lines.size() == (*message)->lines.size(), "and as many lines");
  return 0;
}
