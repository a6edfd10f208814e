// SPDX-License-Identifier: Apache-2.0
#include "session/message.hpp"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <type_traits>

namespace dlm_freeze {
namespace {

/// The part of a message that has one size. The texts follow, each a TextHead and its bytes: the error's, the lines.
struct Head {
  Verb verb{};
  ErrorKind error_kind{};
  std::int32_t error_number = 0;
  std::int64_t deadline = 0;
  std::int64_t sentinel = 0;
  StageSeconds stages{};
};
struct TextHead {
  LogLevel level{};  ///< Of a line.
  std::uint32_t size = 0;
};
static_assert(std::is_trivially_copyable_v<Head> && std::is_trivially_copyable_v<TextHead>);

template <typename Part>
void append(std::string& bytes, const Part& part) {
  bytes.append(reinterpret_cast<const char*>(&part), sizeof part);
}

void append_text(std::string& bytes, LogLevel level, const std::string& text) {
  append(bytes, TextHead{level, static_cast<std::uint32_t>(text.size())});
  bytes += text;
}

/// Takes a part from the front of `bytes`; false when they are too short.
template <typename Part>
bool take(std::string_view& bytes, Part& part) {
  if (bytes.size() < sizeof part) return false;
  std::memcpy(&part, bytes.data(), sizeof part);
  bytes.remove_prefix(sizeof part);
  return true;
}

bool take_text(std::string_view& bytes, LogLine& line) {
  TextHead head;
  if (!take(bytes, head) || head.size > bytes.size()) return false;
  line = {head.level, std::string(bytes.substr(0, head.size))};
  bytes.remove_prefix(head.size);
  return true;
}

std::string to_bytes(const Message& message) {
  std::string bytes;
  append(bytes, Head{message.verb, message.error.kind, message.error.errno_value,
                     message.deadline.at().time_since_epoch().count(), message.sentinel, message.stages});
  append_text(bytes, LogLevel::error, message.error.message);
  for (const LogLine& line : message.lines) append_text(bytes, line.level, line.text);
  return bytes;
}

Result<Message> from_bytes(std::string_view bytes) {
  Head head;
  LogLine error;
  if (!take(bytes, head) || !take_text(bytes, error)) return failure("received an invalid message");
  Message message{.verb = head.verb,
                  .deadline = Deadline(BootClock::time_point(BootClock::duration(head.deadline))),
                  .sentinel = static_cast<pid_t>(head.sentinel),
                  .stages = head.stages,
                  .error = {head.error_kind, std::move(error.text), head.error_number},
                  .lines = {}};
  for (LogLine line; take_text(bytes, line);) message.lines.push_back(std::move(line));
  return message;
}

}  // namespace

Error late(std::string_view what, ErrorKind kind) {
  return {kind, "the time budget ran out while " + std::string(what) + "; raise timeout_seconds if that is normal here",
          0};
}

Result<std::pair<UniqueFd, UniqueFd>> message_channel() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return system_failure("cannot create a socket pair", errno);
  }
  return std::pair(UniqueFd(ends[0]), UniqueFd(ends[1]));
}

Result<void> send_packet(int fd, std::string_view bytes) {
  for (;;) {
    if (::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) return {};
    if (errno != EINTR) return system_failure("cannot send a message to another process of the session", errno);
  }
}

Result<std::optional<std::string>> receive_packet(int fd) {
  std::string bytes;
  for (;;) {
    const ssize_t size = ::recv(fd, nullptr, 0, MSG_PEEK | MSG_TRUNC);
    // A peer that ended with messages of ours unread resets the connection. That is reported once, before what the peer
    // had said last.
    if (size < 0 && (errno == EINTR || errno == ECONNRESET)) continue;
    if (size == 0) return std::nullopt;
    if (size < 0) return system_failure("cannot receive a message", errno);
    bytes.resize(static_cast<std::size_t>(size));
    if (::recv(fd, bytes.data(), bytes.size(), 0) == size) return bytes;
  }
}

Result<void> send_message(int fd, const Message& message) { return send_packet(fd, to_bytes(message)); }

Result<std::optional<Message>> receive_message(int fd) {
  const auto bytes = receive_packet(fd);
  if (!bytes) return tl::unexpected(bytes.error());
  if (!*bytes) return std::nullopt;
  auto message = from_bytes(**bytes);
  if (!message) return tl::unexpected(message.error());
  return std::optional(std::move(*message));
}

}  // namespace dlm_freeze
