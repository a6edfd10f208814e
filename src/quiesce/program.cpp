// SPDX-License-Identifier: Apache-2.0
#include "dlm_freeze/quiesce/program.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <utility>

#include "base/child.hpp"
#include "base/process.hpp"
#include "base/wait.hpp"
#include "quiesce/keeper.hpp"
#include "quiesce/launch.hpp"

namespace dlm_freeze {
namespace {

constexpr std::size_t kOutputLimit = std::size_t{16} * 1024;
/// How much of what is kept is the beginning; the rest is the end.
constexpr std::size_t kFrontKept = kOutputLimit / 4;
/// Reads after its end: twice what a pipe holds (pipe(7)), in the pieces of read_output.
constexpr std::size_t kMostLastReads = 32;
/// How long nothing may be heard of a program before its keeper is told to go on, should it have been stopped.
constexpr auto kSilence = std::chrono::milliseconds(300);
/// How long a killed program may take to be gone. One that waits in the kernel is not waited for.
constexpr auto kKillPatience = std::chrono::seconds(1);

std::vector<char*> pointers_to(const std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (const std::string& text : texts)
    pointers.push_back(const_cast<char*>(text.c_str()));  // execve(2) takes them so.
  pointers.push_back(nullptr);
  return pointers;
}

struct Pipe {
  UniqueFd reading;
  UniqueFd writing;
};

Result<Pipe> new_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return system_failure("cannot create a pipe", errno);
  return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

}  // namespace

Result<RunningProgram> RunningProgram::start(const Program& program, ProgramInput input, BootClock::duration grace) {
  auto launch = launch_of(program);
  if (!launch) return tl::unexpected(launch.error());
  const std::vector<char*> argv = pointers_to(launch->argv);
  const std::vector<char*> environment = pointers_to(launch->environment);

  RunningProgram running(program.argv[0]);
  UniqueFd its_input;
  if (input == ProgramInput::pipe) {
    auto pipe = new_pipe();
    if (!pipe) return tl::unexpected(pipe.error());
    running.input_ = std::move(pipe->writing);
    ::fcntl(running.input_.get(), F_SETFL, O_NONBLOCK);  // It could have filled the pipe itself.
    its_input = std::move(pipe->reading);
  } else if (program.place) {
    // At its end from the beginning. Root in a container could change the mode of the host's /dev/null.
    auto pipe = new_pipe();
    if (!pipe) return tl::unexpected(pipe.error());
    its_input = std::move(pipe->reading);
  } else {
    its_input = UniqueFd(open_null());
    if (!its_input) return system_failure("cannot open /dev/null", errno);
  }
  auto output = new_pipe();
  if (!output) return tl::unexpected(output.error());
  running.output_ = std::move(output->reading);
  ::fcntl(running.output_.get(), F_SETFL, O_NONBLOCK);
  std::array<int, 2> life{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, life.data()) != 0) {
    return system_failure("cannot create a socket pair", errno);
  }
  running.life_ = UniqueFd(life[0]);
  const UniqueFd keepers_life(life[1]);
  UniqueFd keepers_entry;
  if (program.place) {
    std::array<int, 2> entry{};
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, entry.data()) != 0)
      return system_failure("cannot create a socket pair", errno);
    keepers_entry = UniqueFd(entry[0]);
    launch->entry_channel = UniqueFd(entry[1]);
  }

  const auto grace_ms = static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(grace).count());
  const pid_t keeper = ::fork();
  if (keeper < 0) return system_failure("cannot start " + program.argv[0], errno);
  if (keeper == 0) {
    keep_program(
        *launch, argv.data(), environment.data(),
        {its_input.get(), output->writing.get(), running.output_.get(), keepers_life.get(), keepers_entry.get()},
        grace_ms);
  }
  running.keeper_ = keeper;
  return running;
}

RunningProgram::RunningProgram(RunningProgram&& other) noexcept
    : path_(std::move(other.path_)),
      keeper_(std::exchange(other.keeper_, -1)),
      life_(std::move(other.life_)),
      input_(std::move(other.input_)),
      output_(std::move(other.output_)),
      text_(std::move(other.text_)),
      left_out_(other.left_out_) {}

bool RunningProgram::has_ended() const noexcept {
  pollfd event = {life_.get(), POLLIN, 0};
  return keeper_ < 0 || ::poll(&event, 1, 0) > 0;
}

/// Reads what is there; false when nothing was.
bool RunningProgram::read_output() {
  if (!output_) return false;
  std::array<char, 4096> chunk{};
  const ssize_t got = ::read(output_.get(), chunk.data(), chunk.size());
  if (got < 0) return false;
  if (got == 0) {
    output_.reset();
    return false;
  }
  text_.append(chunk.data(), static_cast<std::size_t>(got));
  if (text_.size() > kOutputLimit) {
    const std::size_t excess = text_.size() - kOutputLimit;
    text_.erase(kFrontKept, excess);
    left_out_ += excess;
  }
  return true;
}

RunningProgram::Event RunningProgram::wait(const Patience& patience) {
  for (;;) {
    std::array<pollfd, 3> events = {pollfd{life_.get(), POLLIN, 0}, pollfd{patience.cancel_fd, POLLIN, 0},
                                    pollfd{output_.get(), POLLIN, 0}};
    const Deadline look = patience.deadline.or_earlier(Deadline::in(kSilence));
    const int count = ::poll(events.data(), events.size(), look.poll_timeout());
    if (count < 0 && errno == EINTR) continue;
    if (count == 0 && !patience.deadline.expired()) {
      signal_child(keeper_, SIGCONT);  // One that was stopped would not say that the program has ended.
      continue;
    }
    if (events[0].revents != 0) return Event::ended;
    // What prints all the time would else have all the time.
    if (count <= 0 || events[1].revents != 0 || patience.deadline.expired()) return Event::given_up;
    if (read_output()) return Event::output;
  }
}

Failure RunningProgram::given_up(const Deadline& deadline, std::string_view and_then) const {
  return failure(path_ + (deadline.expired() ? " did not " + std::string(and_then) : " was ended before it was done"));
}

Result<std::optional<std::string>> RunningProgram::next_line(const Patience& patience) {
  for (bool ended = false;;) {
    if (const std::size_t end = text_.find('\n'); end != std::string::npos) {
      std::string line = text_.substr(0, end);
      text_.erase(0, end + 1);
      return line;
    }
    if (ended) return std::nullopt;
    if (left_out_ > 0) {  // Not a line that anybody waits for.
      text_.clear();
      left_out_ = 0;
    }
    switch (wait(patience)) {
      case Event::output:
        break;
      case Event::ended:
        ended = patience.deadline.expired() || !read_output();  // A daemon it left behind may go on printing.
        break;
      case Event::given_up:
        return given_up(patience.deadline, "answer in time");
    }
  }
}

void RunningProgram::send_last(std::string_view text) noexcept {
  // Whoever writes to a pipe that nobody reads is sent SIGPIPE.
  sigset_t broken_pipe;
  ::sigemptyset(&broken_pipe);
  ::sigaddset(&broken_pipe, SIGPIPE);
  sigset_t before;
  ::pthread_sigmask(SIG_BLOCK, &broken_pipe, &before);
  if (input_ && ::write(input_.get(), text.data(), text.size()) < 0 && errno == EPIPE) {
    constexpr timespec kNow{};
    ::sigtimedwait(&broken_pipe, nullptr, &kNow);
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  input_.reset();
}

std::optional<int> RunningProgram::reap() noexcept {
  int status = 0;
  const pid_t keeper = std::exchange(keeper_, -1);
  while (::waitpid(keeper, &status, 0) < 0) {
    if (errno != EINTR) return std::nullopt;
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

bool RunningProgram::kill() noexcept {
  if (keeper_ < 0) return true;
  ::send(life_.get(), "k", 1, MSG_NOSIGNAL);
  signal_child(keeper_, SIGCONT);  // A keeper that was stopped has to go on to do it.
  bool is_gone = wait_readable(life_.get(), Deadline::in(kKillPatience));
  if (!is_gone) {
    // Without its keeper the program gets SIGKILL from the kernel.
    signal_child(keeper_, SIGKILL);
    is_gone = wait_readable(life_.get(), Deadline::in(kKillPatience));
  }
  if (is_gone) {
    static_cast<void>(reap());
  } else {
    keeper_ = -1;  // It waits in the kernel.
  }
  return is_gone;
}

Result<ProgramResult> RunningProgram::finish(const Patience& patience) {
  for (;;) {
    const Event event = wait(patience);
    if (event == Event::ended) break;
    if (event == Event::output) continue;
    return given_up(patience.deadline, kill() ? "end in time and was killed" : "end in time and cannot be killed");
  }
  const std::optional<int> status = reap();
  // What it wrote last. Not until the end of file: a daemon it left behind may hold the pipe open, and print.
  for (std::size_t i = 0; i < kMostLastReads && read_output(); ++i) {
  }
  if (left_out_ > 0) text_.insert(kFrontKept, "\n[" + std::to_string(left_out_) + " bytes left out]\n");
  if (!status) {
    return failure("the exit status of " + path_ +
                   " is not known: this process was started with SIGCHLD ignored, or another thread has waited for it");
  }
  return ProgramResult{*status, std::move(text_)};
}

Result<ProgramResult> run_program(const Program& program, const Patience& patience) {
  auto running = RunningProgram::start(program, ProgramInput::nothing, {});
  if (!running) return tl::unexpected(running.error());
  return running->finish(patience);
}

std::string last_line(const std::string& output) {
  const std::size_t end = output.find_last_not_of(" \t\r\n");
  if (end == std::string::npos) return "";
  const std::size_t begin = output.find_last_of('\n', end);
  return output.substr(begin == std::string::npos ? 0 : begin + 1,
                       end - (begin == std::string::npos ? 0 : begin + 1) + 1);
}

std::string exited(int status, const std::string& output) {
  const std::string said = last_line(output);
  return "exited with status " + std::to_string(status) + (said.empty() ? "" : " (" + said + ")");
}

}  // namespace dlm_freeze
