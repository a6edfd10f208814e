// SPDX-License-Identifier: Apache-2.0
#include "postgresql/http_standin.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

namespace dlm_freeze::integration {
namespace {

int checked(int result, const char* what) {
  if (result < 0) throw std::system_error(errno, std::system_category(), what);
  return result;
}

std::string text_until_empty_line(int fd) {
  std::string text;
  std::array<char, 1024> buffer{};
  while (text.find("\r\n\r\n") == std::string::npos) {
    const ssize_t count = ::recv(fd, buffer.data(), buffer.size(), 0);
    if (count <= 0) break;
    text.append(buffer.data(), static_cast<std::size_t>(count));
  }
  return text;
}

}  // namespace

HttpStandin::HttpStandin(int port)
    : listener_(checked(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket")),
      stop_(checked(::eventfd(0, EFD_CLOEXEC), "eventfd")) {
  const int yes = 1;
  checked(::setsockopt(listener_.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes), "setsockopt");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  checked(::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), size), "bind");
  checked(::listen(listener_.get(), SOMAXCONN), "listen");
  checked(::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size), "getsockname");
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { serve(); });
}

HttpStandin::~HttpStandin() {
  const std::uint64_t one = 1;
  static_cast<void>(!::write(stop_.get(), &one, sizeof one));
  thread_.join();
}

void HttpStandin::answer(const std::string& path, const std::string& bytes) {
  const std::lock_guard lock(mutex_);
  answers_[path] = bytes;
}

void HttpStandin::answer_json(const std::string& path, const std::string& body) {
  answer(path, "HTTP/1.0 200 OK\r\nServer: BaseHTTP/0.6 Python/3.11\r\nContent-Type: application/json\r\n\r\n" + body);
}

void HttpStandin::fall_silent() {
  const std::lock_guard lock(mutex_);
  silent_ = true;
}

std::vector<std::string> HttpStandin::take_requests() {
  const std::lock_guard lock(mutex_);
  return std::exchange(requests_, {});
}

void HttpStandin::serve() {
  for (;;) {
    std::array<pollfd, 2> waiting = {pollfd{listener_.get(), POLLIN, 0}, pollfd{stop_.get(), POLLIN, 0}};
    if (::poll(waiting.data(), waiting.size(), -1) < 0 && errno != EINTR) return;
    if (waiting[1].revents != 0) return;
    if (waiting[0].revents == 0) continue;
    UniqueFd connection(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (connection) serve_one(std::move(connection));
  }
}

void HttpStandin::serve_one(UniqueFd connection) {
  const timeval limit{1, 0};  // A client that asks or takes nothing does not keep the test from ending.
  ::setsockopt(connection.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  ::setsockopt(connection.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  const std::string request = text_until_empty_line(connection.get());
  const std::size_t path = request.find(' ') + 1;
  const std::string asked = request.substr(path, request.find(' ', path) - path);
  const std::lock_guard lock(mutex_);
  requests_.push_back(asked);
  if (silent_) {
    kept_.push_back(std::move(connection));
    return;
  }
  const auto found = answers_.find(asked);
  const std::string bytes = found == answers_.end() ? "HTTP/1.0 404 Not Found\r\n\r\n" : found->second;
  for (std::size_t sent = 0; sent < bytes.size();) {
    const ssize_t count = ::send(connection.get(), bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (count <= 0) return;
    sent += static_cast<std::size_t>(count);
  }
}

}  // namespace dlm_freeze::integration
