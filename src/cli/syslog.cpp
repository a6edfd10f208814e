// SPDX-License-Identifier: Apache-2.0
// What syslog(3) does, over a socket of our own: that of the C library blocks for as long as the log daemon does not
// read, and a daemon that writes to a filesystem that is frozen does not read.
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <optional>
#include <string>
#include <utility>

#include "base/wait.hpp"
#include "cli/logging.hpp"
#include "dlm_freeze/base/unique_fd.hpp"
#include "fs/mount_table.hpp"
#include "fs/path_trail.hpp"

namespace dlm_freeze {
namespace {

/// Of a burst of lines a socket holds 11, where net.unix.max_dgram_qlen is what the kernel sets.
constexpr auto kPatience = std::chrono::milliseconds(50);

int priority_of(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return LOG_DEBUG;
    case LogLevel::info:
      return LOG_INFO;
    case LogLevel::warn:
      return LOG_WARNING;
    case LogLevel::error:
      return LOG_ERR;
  }
  return LOG_INFO;
}

/// "<30>Nov 29 12:32:15 dlm-freeze[4711]: ", as the C library writes it (RFC 3164 without the host's name). Always
/// English: the program sets no locale.
std::string head_of(LogLevel level) {
  const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  std::tm local{};
  ::localtime_r(&now, &local);
  std::array<char, 32> time{};
  std::strftime(time.data(), time.size(), "%h %e %T", &local);
  return "<" + std::to_string(LOG_MAKEPRI(LOG_DAEMON, priority_of(level))) + ">" + time.data() + " dlm-freeze[" +
         std::to_string(::getpid()) + "]: ";
}

class SyslogOutput final : public LogOutput {
 public:
  explicit SyslogOutput(std::string path) : path_(std::move(path)) {}

  void write(const LogLine& line) override {
    if (dropped_ > 0) {
      if (!send({LogLevel::warn, dropped_lines(dropped_)})) {
        ++dropped_;
        return;
      }
      dropped_ = 0;
    }
    if (!send(line)) ++dropped_;
  }

  [[nodiscard]] std::size_t take_dropped() override { return std::exchange(dropped_, 0); }

 private:
  bool send(const LogLine& line) {
    const std::string text = head_of(line.level) + std::string(level_word(line.level)) + ": " + line.text;
    // One that was restarted listens on a new socket: one more attempt, and no third.
    for (int attempt = 0; attempt < 2; ++attempt) {
      if (!socket_ && !connect()) return false;
      if (send(text)) return true;
      if (socket_) return false;  // It lives and does not read.
    }
    return false;
  }

  /// Closes the socket when there is nobody at its other end any more.
  bool send(const std::string& text) {
    const std::size_t size = text.size() + (is_stream_ ? 1 : 0);  // In a stream a NUL ends a message.
    for (;;) {
      const ssize_t sent = ::send(socket_.get(), text.c_str(), size, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (sent == static_cast<ssize_t>(size)) return true;
      if (sent < 0 && errno == EINTR) continue;
      if (sent < 0 && errno == EAGAIN && wait_for_daemon()) continue;
      const bool is_full = sent < 0 && (errno == EAGAIN || errno == ENOBUFS || errno == EMSGSIZE);
      if (!is_full) socket_.reset();  // Also after a part of a message, which the next one would be glued to.
      return false;
    }
  }

  bool connect() {
    const auto path = told_path();
    if (!path) return false;
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    // A path that is too long is reached by the link.
    (path->size() < sizeof address.sun_path ? *path : path_).copy(address.sun_path, sizeof address.sun_path - 1);
    for (const int type : {SOCK_DGRAM, SOCK_STREAM}) {
      is_stream_ = type == SOCK_STREAM;
      socket_ = UniqueFd(::socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
      if (!socket_) return false;
      if (::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return true;
      if (errno != EPROTOTYPE) break;
    }
    socket_.reset();
    return false;
  }

  /// Where the socket is, without symbolic links; nothing where there is none, or a look-up may wait for ever.
  [[nodiscard]] std::optional<std::string> told_path() const {
    const auto table = MountTable::read();
    if (!table) return path_;
    Trail trail = follow(*table, path_);
    if (trail.end != Trail::End::found) return std::nullopt;
    return std::move(trail.path);
  }

  bool wait_for_daemon() {
    const auto begin = BootClock::now();
    const bool is_read = patience_.count() > 0 && wait_writable(socket_.get(), Deadline(begin + patience_));
    patience_ -= std::min(patience_, BootClock::now() - begin);
    return is_read;
  }

  std::string path_;
  UniqueFd socket_;
  bool is_stream_ = false;
  BootClock::duration patience_ = kPatience;
  std::size_t dropped_ = 0;
};

}  // namespace

std::unique_ptr<LogOutput> syslog_output(const std::string& path) { return std::make_unique<SyslogOutput>(path); }

}  // namespace dlm_freeze
