// SPDX-License-Identifier: Apache-2.0
#include "cli/logging.hpp"

#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <string_view>

#include "base/text.hpp"
#include "base/wait.hpp"

namespace dlm_freeze {
namespace {

/// The SSM agent cuts stdout and stderr together to 2,500 characters, and leaves 1,215 of them to stderr however much
/// there is on stdout.
constexpr std::size_t kLongestError = 1'000;
/// A path may have 4,096 bytes; what comes after a line that names some is as worth reading.
constexpr std::size_t kLongestLine = 600;

constexpr std::string_view kEndOfColour = "\x1b[m";

std::string_view colour_of(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return "\x1b[36m";
    case LogLevel::info:
      return "\x1b[32m";
    case LogLevel::warn:
      return "\x1b[33m\x1b[1m";
    case LogLevel::error:
      return "\x1b[31m\x1b[1m";
  }
  return "";
}

/// stdout or stderr. Writes whole lines, and waits for its reader for `patience` in all.
class Stream {
 public:
  Stream(int fd, BootClock::duration patience) : fd_(fd), patience_(patience), is_coloured_(takes_escapes(fd)) {}

  void write(const LogLine& line) {
    std::string text = line_of(line);
    if (dropped_ > 0) text = line_of({LogLevel::warn, dropped_lines(dropped_)}) + text;
    if (is_torn_) text = "\n" + text;
    const std::size_t written = write(std::string_view(text));
    dropped_ = written == text.size() ? 0 : dropped_ + 1;
    if (written > 0) is_torn_ = written < text.size();
  }

 private:
  [[nodiscard]] std::string line_of(const LogLine& line) const {
    std::string word(level_word(line.level));
    if (is_coloured_) word = std::string(colour_of(line.level)) + word + std::string(kEndOfColour);
    return word + ": " + line.text + "\n";
  }

  /// How much of it could be written.
  std::size_t write(std::string_view text) {
    std::size_t written = 0;
    while (written < text.size()) {
      const ssize_t put = write_some(text.substr(written));
      if (put > 0) {
        written += static_cast<std::size_t>(put);
      } else if (put == 0 || (errno != EINTR && (errno != EAGAIN || !wait_for_reader()))) {
        break;
      }
    }
    return written;
  }

  /// As write(2) of a descriptor that does not block, whatever this one is: others share it.
  ssize_t write_some(std::string_view text) {
    struct stat info {};  // Asked every time: a script hands a file over to another process.
    if (::fstat(fd_, &info) == 0 && S_ISREG(info.st_mode)) return ::write(fd_, text.data(), text.size());
    const iovec part = {const_cast<char*>(text.data()), text.size()};  // NOLINT(cppcoreguidelines-pro-type-const-cast)
    const ssize_t put = ::pwritev2(fd_, &part, 1, -1, RWF_NOWAIT);
    if (put >= 0 || (errno != EOPNOTSUPP && errno != ENOSYS && errno != EINVAL && errno != EPERM)) return put;
    // A terminal, or an old kernel. A pipe that is writable takes PIPE_BUF bytes at once (pipe(7)).
    if (!wait_writable(fd_, Deadline::in({}))) {
      errno = EAGAIN;
      return -1;
    }
    return ::write(fd_, text.data(), std::min<std::size_t>(text.size(), PIPE_BUF));
  }

  bool wait_for_reader() {
    const auto begin = BootClock::now();
    const bool is_writable = patience_.count() > 0 && wait_writable(fd_, Deadline(begin + patience_));
    patience_ -= std::min(patience_, BootClock::now() - begin);
    return is_writable;
  }

  int fd_;
  BootClock::duration patience_;
  bool is_coloured_;
  bool is_torn_ = false;  ///< The last line that was written lacks its end.
  std::size_t dropped_ = 0;
};

class CallerOutput final : public LogOutput {
 public:
  explicit CallerOutput(const CallerOutputOptions& options)
      : out_(options.stdout_is_document ? STDERR_FILENO : STDOUT_FILENO, options.patience),
        error_(STDERR_FILENO, options.patience) {}

  void write(const LogLine& line) override {
    if (line.level == LogLevel::error) {
      error_.write({line.level, without_middle(line.text, kLongestError)});
    } else {
      out_.write({line.level, without_middle(line.text, kLongestLine)});
    }
  }

 private:
  Stream out_;
  Stream error_;
};

}  // namespace

bool takes_escapes(int fd) {
  // NOLINTBEGIN(concurrency-mt-unsafe): no thread exists yet.
  const char* terminal = std::getenv("TERM");
  return ::isatty(fd) != 0 && std::getenv("NO_COLOR") == nullptr && terminal != nullptr &&
         std::string_view(terminal) != "dumb";
  // NOLINTEND(concurrency-mt-unsafe)
}

std::unique_ptr<LogOutput> caller_output(const CallerOutputOptions& options) {
  return std::make_unique<CallerOutput>(options);
}

}  // namespace dlm_freeze
