// SPDX-License-Identifier: Apache-2.0
#include "session/message.hpp"

#include <sys/socket.h>

#include <array>
#include <cerrno>

namespace dlm_freeze {

Result<std::pair<UniqueFd, UniqueFd>> message_channel() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return system_failure("cannot create a socket pair", errno);
  }
  return std::pair(UniqueFd(ends[0]), UniqueFd(ends[1]));
}

Result<void> send_message(int fd, const Message& message) {
  const std::string text = Json(Json::Object{{"verb", message.verb}, {"body", message.body}}).dump();
  for (;;) {
    if (::send(fd, text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) return {};
    if (errno != EINTR) return system_failure("cannot send '" + message.verb + "'", errno);
  }
}

Result<std::optional<Message>> receive_message(int fd) {
  std::string text;
  for (;;) {
    const ssize_t size = ::recv(fd, nullptr, 0, MSG_PEEK | MSG_TRUNC);
    // A peer that ended with messages of ours unread resets the connection. That is reported once, before what the peer
    // had said last.
    if (size < 0 && (errno == EINTR || errno == ECONNRESET)) continue;
    if (size == 0) return std::nullopt;
    if (size < 0) return system_failure("cannot receive a message", errno);
    text.resize(static_cast<std::size_t>(size));
    if (::recv(fd, text.data(), text.size(), 0) == size) break;
  }
  const auto json = Json::parse(text);
  if (!json) return tl::unexpected(json.error());
  const Json* verb = json->find("verb");
  const Json* body = json->find("body");
  if (verb == nullptr || verb->as_string() == nullptr || body == nullptr)
    return failure("received something that is no message");
  return Message{*verb->as_string(), *body};
}

Json to_json(const Error& error) {
  return Json::Object{
      {"kind", static_cast<std::int64_t>(error.kind)}, {"message", error.message}, {"errno", error.errno_value}};
}

Error error_from_json(const Json& json) {
  const Json* kind = json.find("kind");
  const Json* message = json.find("message");
  Error error;
  error.message = "no reason was given";
  if (kind != nullptr && kind->as_integer() != nullptr) error.kind = static_cast<ErrorKind>(*kind->as_integer());
  if (message != nullptr && message->as_string() != nullptr) error.message = *message->as_string();
  return error;
}

Json to_json(const std::vector<LogLine>& lines) {
  Json::Array array;
  for (const LogLine& line : lines) array.push_back(Json::Array{static_cast<int>(line.level), line.text});
  return array;
}

std::vector<LogLine> lines_from_json(const Json* json) {
  std::vector<LogLine> lines;
  if (json == nullptr || json->as_array() == nullptr) return lines;
  for (const Json& element : *json->as_array()) {
    const Json::Array* pair = element.as_array();
    if (pair == nullptr || pair->size() != 2) continue;
    const std::int64_t* level = (*pair)[0].as_integer();
    const std::string* text = (*pair)[1].as_string();
    if (level != nullptr && text != nullptr) lines.push_back({static_cast<LogLevel>(*level), *text});
  }
  return lines;
}

}  // namespace dlm_freeze
