// SPDX-License-Identifier: Apache-2.0
#include "base/caller_files.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "base/directory.hpp"
#include "base/process.hpp"
#include "base/wait.hpp"

namespace dlm_freeze {
namespace {

constexpr std::array kOutputs = {STDOUT_FILENO, STDERR_FILENO};
constexpr char kPause = 'p';
constexpr char kGoOn = 'g';
constexpr char kClose = 'c';

/// Asks nobody: a dead NFS server would not answer.
bool is_file(int fd) noexcept {
  struct statx info {};
  if (::statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &info) != 0) return false;
  return S_ISREG(info.stx_mode) || S_ISDIR(info.stx_mode);
}

std::vector<int> open_files() {
  std::vector<int> files;
  for (const std::string& name : names_in("/proc/self/fd")) {
    const int fd = std::stoi(name);
    if (is_file(fd)) files.push_back(fd);
  }
  return files;
}

/// One of stdout and stderr that is a file.
struct Output {
  int file = -1;
  UniqueFd script;  ///< The script's end of a socket.
  UniqueFd writer;  ///< The other one.
};

Output output_to(int file) noexcept {
  std::array<int, 2> ends = {-1, -1};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) return {};
  return {file, UniqueFd(ends[0]), UniqueFd(ends[1])};
}

/// What the process does that has the files.
class Writer {
 public:
  Writer(std::array<Output, kOutputs.size()>& outputs, std::vector<UniqueFd>& others, int lease, int written,
         int closed)
      : outputs_(outputs), others_(others), lease_(lease), written_(written), closed_(closed) {}

  void run() {
    for (;;) {
      const bool paused = is_paused_ && lease_ >= 0;
      std::array<pollfd, 1 + kOutputs.size()> events{};
      events[0] = {lease_, POLLIN, 0};
      bool is_over = lease_ < 0;
      for (std::size_t i = 0; i < outputs_.size(); ++i) {
        const int fd = outputs_.at(i).writer.get();
        events.at(i + 1) = {paused ? -1 : fd, POLLIN, 0};
        is_over = is_over && fd < 0;
      }
      if (is_over) return;
      if (::poll(events.data(), events.size(), -1) <= 0) continue;
      // First: what is said there holds for all that was written later.
      take_commands();
      if (is_paused_ && lease_ >= 0) continue;
      for (std::size_t i = 0; i < outputs_.size(); ++i) {
        if (events.at(i + 1).revents != 0) pass_on(outputs_.at(i));
      }
    }
  }

 private:
  void take_commands() {
    char command = 0;
    ssize_t size = 0;
    while (lease_ >= 0 && (size = ::read(lease_, &command, 1)) == 1) {
      if (command == kClose) {
        others_.clear();
        raise_event(closed_);
      } else {
        is_paused_ = command == kPause;
      }
    }
    if (size == 0) lease_ = -1;
  }

  /// It leaves the socket once it is written: so the script sees what is not. What a full disk does not take is lost.
  void pass_on(Output& output) const {
    std::array<char, 4096> part{};
    const ssize_t size = ::recv(output.writer.get(), part.data(), part.size(), MSG_PEEK);
    if (size <= 0) {
      output.writer.reset();
      return;
    }
    for (ssize_t done = 0; done < size;) {
      const ssize_t put = ::write(output.file, part.data() + done, static_cast<std::size_t>(size - done));
      if (put <= 0) break;
      done += put;
    }
    static_cast<void>(!::recv(output.writer.get(), part.data(), static_cast<std::size_t>(size), 0));
    raise_event(written_);
  }

  std::array<Output, kOutputs.size()>& outputs_;
  std::vector<UniqueFd>& others_;
  int lease_;
  int written_;
  int closed_;
  bool is_paused_ = false;
};

}  // namespace

void CallerFiles::hand_over() {
  const std::vector<int> open = open_files();
  if (open.empty() || lease_) return;
  std::array<Output, kOutputs.size()> outputs;
  for (const int fd : open) {
    UniqueFd own(fd <= STDERR_FILENO ? ::fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1) : fd);
    if (fd == STDOUT_FILENO || fd == STDERR_FILENO) {
      outputs.at(fd == STDOUT_FILENO ? 0 : 1) = output_to(own.get());
      outputs_.push_back(std::move(own));
    } else {
      others_.push_back(std::move(own));
    }
  }
  std::array<int, 2> lease = {-1, -1};
  auto written = new_event();
  auto closed = new_event();
  if (!written || !closed || ::pipe2(lease.data(), O_CLOEXEC | O_NONBLOCK) != 0) return;
  written_ = std::move(*written);
  closed_ = std::move(*closed);
  const UniqueFd writers_lease(lease[0]);
  lease_ = UniqueFd(lease[1]);
  std::vector<int> keep = {writers_lease.get(), written_.get(), closed_.get()};
  for (const Output& output : outputs) keep.insert(keep.end(), {output.file, output.writer.get()});
  for (const UniqueFd& file : others_) keep.push_back(file.get());

  const pid_t child = ::fork();
  if (child == 0) {
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::close(fd);
    stay_background("dlm-output", keep, {});
    Writer(outputs, others_, writers_lease.get(), written_.get(), closed_.get()).run();
    end_process(0);
  }
  if (child < 0) return lease_.reset();
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (outputs.at(i).script && ::dup2(outputs.at(i).script.get(), kOutputs.at(i)) >= 0)
      redirected_.push_back(kOutputs.at(i));
  }
  if (open.front() == STDIN_FILENO) ::dup2(UniqueFd(open_null()).get(), STDIN_FILENO);
}

/// False when patience has ended.
bool CallerFiles::wait_for(int event) noexcept {
  const auto begin = BootClock::now();
  const bool happened = wait_readable(event, Deadline(begin + patience_));
  patience_ -= std::min(patience_, BootClock::now() - begin);
  static_cast<void>(take_events(event));
  return happened;
}

void CallerFiles::close() noexcept {
  const bool has_others = !others_.empty();
  outputs_.clear();
  others_.clear();
  if (has_others && lease_ && ::write(lease_.get(), &kClose, 1) == 1) static_cast<void>(wait_for(closed_.get()));
}

bool CallerFiles::is_written() const noexcept {
  return std::all_of(redirected_.begin(), redirected_.end(), [](int output) {
    int size = 0;
    return ::ioctl(output, TIOCOUTQ, &size) != 0 || size == 0;
  });
}

void CallerFiles::flush() noexcept {
  while (!is_written() && wait_for(written_.get())) {
  }
}

void CallerFiles::pause() const noexcept { static_cast<void>(!::write(lease_.get(), &kPause, 1)); }

void CallerFiles::go_on() const noexcept { static_cast<void>(!::write(lease_.get(), &kGoOn, 1)); }

}  // namespace dlm_freeze
