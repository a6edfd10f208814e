// SPDX-License-Identifier: Apache-2.0
#include "dlm_freeze/quiesce/program.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <utility>

#include "dlm_freeze/base/unique_fd.hpp"

namespace dlm_freeze {
namespace {

constexpr std::size_t kOutputLimit = std::size_t{16} * 1024;
constexpr int kCannotExecute = 127;

std::vector<char*> pointers_to(const std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (const std::string& text : texts)
    pointers.push_back(const_cast<char*>(text.c_str()));  // execve(2) takes them so.
  pointers.push_back(nullptr);
  return pointers;
}

/// The child's side, between fork and exec: only async-signal-safe calls.
[[noreturn]] void become(char* const* argv, char* const* environment, int output, pid_t parent) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(kCannotExecute);
  // The parent may be spared by the OOM killer and block signals: not its children.
  if (const int fd = ::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC); fd >= 0) {
    static_cast<void>(!::write(fd, "0", 1));
    ::close(fd);
  }
  for (int signal = 1; signal < NSIG; ++signal) ::signal(signal, SIG_DFL);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  const int null = ::open("/dev/null", O_RDONLY);
  ::dup2(null, STDIN_FILENO);
  ::dup2(output, STDOUT_FILENO);
  ::dup2(output, STDERR_FILENO);
  if (null > STDERR_FILENO) ::close(null);
  static_cast<void>(!::chdir("/"));
  ::execve(argv[0], argv, environment);
  static constexpr std::string_view kComplaint = "cannot be executed\n";
  static_cast<void>(!::write(STDERR_FILENO, kComplaint.data(), kComplaint.size()));
  ::_exit(kCannotExecute);
}

/// Reads what is there; false at the end of file.
bool drain(int fd, std::string& output) {
  std::array<char, 4096> chunk{};
  const ssize_t got = ::read(fd, chunk.data(), chunk.size());
  if (got < 0) return errno == EAGAIN || errno == EINTR;
  const std::size_t room = kOutputLimit - output.size();
  output.append(chunk.data(), std::min(room, static_cast<std::size_t>(got)));
  return got > 0;
}

}  // namespace

Result<ProgramResult> run_program(const Program& program, Deadline deadline, int cancel_fd) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return system_failure("cannot create a pipe", errno);
  UniqueFd output(ends[0]);
  UniqueFd output_of_child(ends[1]);
  ::fcntl(output.get(), F_SETFL, O_NONBLOCK);

  const std::vector<char*> argv = pointers_to(program.argv);
  const std::vector<char*> environment = pointers_to(program.environment);
  const pid_t self = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) return system_failure("cannot start " + program.argv[0], errno);
  if (child == 0) become(argv.data(), environment.data(), output_of_child.get(), self);
  ::setpgid(child, child);  // Both sides set it, so that it is set before either goes on.
  output_of_child.reset();
  const UniqueFd life(static_cast<int>(::syscall(SYS_pidfd_open, child, 0)));

  ProgramResult result;
  bool given_up = !life;
  for (bool ended = false; !ended && !given_up;) {
    std::array<pollfd, 3> events = {pollfd{life.get(), POLLIN, 0}, pollfd{cancel_fd, POLLIN, 0},
                                    pollfd{output.get(), POLLIN, 0}};
    const int count = ::poll(events.data(), events.size(), deadline.poll_timeout());
    if (count < 0 && errno == EINTR) continue;
    ended = events[0].revents != 0;
    given_up = !ended && (count <= 0 || events[1].revents != 0);
    if (events[2].revents != 0 && !drain(output.get(), result.output)) output.reset();
  }
  if (given_up) ::kill(-child, SIGKILL);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (given_up) {
    return failure(program.argv[0] +
                   (deadline.expired() ? " did not end in time and was killed" : " was ended before it was done"));
  }
  // What it wrote last. Not until the end of file: a daemon it left behind may hold the pipe open.
  while (output) {
    const std::size_t before = result.output.size();
    if (!drain(output.get(), result.output) || result.output.size() == before) break;
  }
  result.exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

std::string last_line(const std::string& output) {
  const std::size_t end = output.find_last_not_of(" \t\r\n");
  if (end == std::string::npos) return "";
  const std::size_t begin = output.find_last_of('\n', end);
  return output.substr(begin == std::string::npos ? 0 : begin + 1,
                       end - (begin == std::string::npos ? 0 : begin + 1) + 1);
}

}  // namespace dlm_freeze
