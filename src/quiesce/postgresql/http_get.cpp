// SPDX-License-Identifier: Apache-2.0
#include "quiesce/postgresql/http_get.hpp"

#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <memory>
#include <optional>

#include "base/text.hpp"
#include "base/wait.hpp"
#include "dlm_freeze/base/unique_fd.hpp"

namespace dlm_freeze::postgresql {
namespace {

constexpr std::size_t kLongestAnswer = std::size_t{256} << 10;
constexpr std::size_t kLongestHead = std::size_t{16} * 1024;  ///< That is read for a length.
constexpr std::string_view kScheme = "http://";
constexpr std::string_view kEndOfHead = "\r\n\r\n";
constexpr int kHighestPort = 65535;

using Addresses = std::unique_ptr<addrinfo, void (*)(addrinfo*)>;

/// Null when it is none in numbers.
Addresses address_of(const HttpPlace& place) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (::getaddrinfo(place.host.c_str(), place.port.c_str(), &hints, &found) != 0) found = nullptr;
  return {found, ::freeaddrinfo};
}

Result<UniqueFd> connect_to(const HttpPlace& place, const Patience& patience) {
  const Addresses address = address_of(place);
  if (!address) return failure(place.host + " is no address");
  UniqueFd fd(::socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return system_failure("cannot make a socket", errno);
  int error = ::connect(fd.get(), address->ai_addr, address->ai_addrlen) == 0 ? 0 : errno;
  if (error == EINPROGRESS) {
    if (auto ready = await_server(fd.get(), POLLOUT, patience); !ready) return tl::unexpected(ready.error());
    socklen_t size = sizeof error;
    ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  }
  if (error != 0) return system_failure("cannot connect", error);
  return fd;
}

Result<void> send_all(int fd, std::string_view text, const Patience& patience) {
  while (!text.empty()) {
    if (auto ready = await_server(fd, POLLOUT, patience); !ready) return ready;
    const ssize_t sent = ::send(fd, text.data(), text.size(), MSG_NOSIGNAL);
    if (sent < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (sent < 0) return system_failure("cannot send", errno);
    text.remove_prefix(static_cast<std::size_t>(sent));
  }
  return {};
}

bool equal_but_for_case(std::string_view text, std::string_view lower) {
  if (text.size() != lower.size()) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char letter = text[i] >= 'A' && text[i] <= 'Z' ? static_cast<char>(text[i] - 'A' + 'a') : text[i];
    if (letter != lower[i]) return false;
  }
  return true;
}

/// How long the body says that it is; none when it ends with the connection.
std::optional<std::size_t> content_length(std::string_view head) {
  for (const std::string_view line : split(head, '\n')) {
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos || !equal_but_for_case(trimmed(line.substr(0, colon)), "content-length"))
      continue;
    const auto length = parse_decimal(trimmed(line.substr(colon + 1)), 0, kLongestAnswer);
    return length ? static_cast<std::size_t>(*length) : kLongestAnswer;
  }
  return std::nullopt;
}

/// Whether nothing of the answer is missing, as far as it says itself.
bool is_whole(std::string_view text) {
  const std::size_t end = text.find(kEndOfHead);
  if (end > kLongestHead) return false;  // Also where there is none.
  const auto length = content_length(text.substr(0, end));
  return length && text.size() - end - kEndOfHead.size() >= *length;
}

/// Until the whole answer is there, or the connection ends.
Result<std::string> receive(int fd, const Patience& patience) {
  std::string text;
  std::array<char, 4096> buffer{};
  while (!is_whole(text)) {
    if (auto ready = await_server(fd, POLLIN, patience); !ready) return tl::unexpected(ready.error());
    const ssize_t count = ::recv(fd, buffer.data(), buffer.size(), 0);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (count < 0) return system_failure("cannot read the answer", errno);
    if (count == 0) break;
    text.append(buffer.data(), static_cast<std::size_t>(count));
    if (text.size() > kLongestAnswer) return failure("the answer is too long");
  }
  return text;
}

/// "HTTP/1.0 200 OK", a head, an empty line, the body.
Result<HttpAnswer> parse_answer(std::string_view text) {
  const std::size_t end = text.find(kEndOfHead);
  std::string_view line = text.substr(0, text.find('\r'));
  const bool is_http = line.starts_with("HTTP/1.");
  static_cast<void>(next_word(line));
  const auto status = parse_decimal(next_word(line), 100, 599);
  if (!is_http || !status || end == std::string_view::npos) return failure("the answer is not HTTP");
  return HttpAnswer{static_cast<int>(*status), std::string(text.substr(end + kEndOfHead.size()))};
}

}  // namespace

std::string HttpPlace::text() const {
  const bool is_v6 = host.find(':') != std::string::npos;
  return std::string(kScheme) + (is_v6 ? "[" + host + "]" : host) + ":" + port;
}

Result<HttpPlace> parse_http_place(std::string_view text, std::string_view default_port) {
  const auto refuse = [text](const std::string& why) { return failure("'" + std::string(text) + "' " + why); };
  if (!text.starts_with(kScheme)) return refuse("does not begin with http://, the only protocol there is");
  std::string_view rest = text.substr(kScheme.size());
  if (rest.ends_with('/')) rest.remove_suffix(1);
  HttpPlace place;
  if (const std::size_t bracket = rest.find(']'); rest.starts_with('[') && bracket != std::string_view::npos) {
    place.host = rest.substr(1, bracket - 1);
    rest.remove_prefix(bracket + 1);
  } else {
    place.host = rest.substr(0, rest.find(':'));
    rest.remove_prefix(place.host.size());
  }
  if (place.host == "localhost") place.host = "127.0.0.1";
  if (!rest.empty() && !rest.starts_with(':')) return refuse("has more than an address and a port");
  place.port = rest.empty() ? default_port : rest.substr(1);
  if (!parse_decimal(place.port, 1, kHighestPort)) return refuse("has no port from 1 to 65535");
  if (!address_of(place)) return refuse("names no address in numbers: no name is looked up");
  return place;
}

Result<HttpAnswer> http_get(const HttpPlace& place, std::string_view path, const Patience& patience) {
  const auto fd = connect_to(place, patience);
  if (!fd) return tl::unexpected(fd.error());
  const std::string request = "GET " + std::string(path) + " HTTP/1.0\r\nHost: " + place.text().substr(kScheme.size()) +
                              "\r\nConnection: close\r\n\r\n";
  if (auto sent = send_all(fd->get(), request, patience); !sent) return tl::unexpected(sent.error());
  const auto text = receive(fd->get(), patience);
  if (!text) return tl::unexpected(text.error());
  return parse_answer(*text);
}

}  // namespace dlm_freeze::postgresql
