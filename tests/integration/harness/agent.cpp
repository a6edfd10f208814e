// SPDX-License-Identifier: Apache-2.0
#include "agent.hpp"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <sstream>
#include <utility>

#include "base/process.hpp"

namespace dlm_freeze::integration {
namespace {

std::pair<UniqueFd, UniqueFd> make_pipe() {
  std::array<int, 2> ends{};
  check(::pipe2(ends.data(), O_CLOEXEC), "pipe");
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

[[noreturn]] void become(std::vector<char*>& argv, std::vector<char*>& environment, int out, int err, uid_t user,
                         pid_t parent) {
  die_with_parent(parent);
  ::setpgid(0, 0);
  const int null = ::open("/dev/null", O_RDONLY);
  ::dup2(null, STDIN_FILENO);
  ::dup2(out, STDOUT_FILENO);
  ::dup2(err, STDERR_FILENO);
  close_from(STDERR_FILENO + 1);
  const bool ready =
      ::chdir("/usr/bin") == 0 && (user == 0 || (::setgroups(0, nullptr) == 0 && ::setresgid(user, user, user) == 0 &&
                                                 ::setresuid(user, user, user) == 0));
  if (ready) ::execvpe(argv[0], argv.data(), environment.data());
  ::_exit(127);
}

/// What has a pidfd to wait for since Linux 5.3 is looked for so often.
constexpr int kLookAgainMs = 1;

bool has_ended(pid_t child) {
  siginfo_t ended{};
  return ::waitid(P_PID, static_cast<id_t>(child), &ended, WEXITED | WNOHANG | WNOWAIT) == 0 && ended.si_pid == child;
}

/// Reads what there is; closes `pipe` at its end.
void drain(UniqueFd& pipe, std::string& text) {
  std::array<char, 4096> buffer{};
  const ssize_t got = ::read(pipe.get(), buffer.data(), buffer.size());
  if (got > 0) {
    text.append(buffer.data(), static_cast<std::size_t>(got));
  } else {
    pipe.reset();
  }
}

}  // namespace

std::string RunResult::text() const {
  std::ostringstream all;
  if (!ended) {
    all << "did not end";
  } else if (exit_code) {
    all << "exit code " << *exit_code;
  } else {
    all << "killed";
  }
  if (ended) all << " after " << std::chrono::duration<double>(run_time()).count() << " s";
  all << "\nstdout: " << out << "\nstderr: " << err << '\n';
  return all.str();
}

AgentRun::AgentRun(const std::vector<std::string>& command, const RunOptions& options) {
  auto [out_reader, out_writer] = make_pipe();
  auto [err_reader, err_writer] = make_pipe();
  std::vector<std::string> words = options.wrapper;
  words.insert(words.end(), command.begin(), command.end());
  // Of two with the same name the first counts.
  std::vector<std::string> variables{"PATH=/usr/bin:/bin:/usr/sbin"};
  variables.insert(variables.end(), options.environment.begin(), options.environment.end());
  for (const char* name : {"ASAN_OPTIONS", "LSAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS"}) {
    if (const char* value = std::getenv(name)) variables.push_back(std::string(name) + "=" + value);
  }
  auto argv = c_strings(words);
  auto environment = c_strings(variables);

  const pid_t parent = ::getpid();
  started_ = Clock::now();
  pid_ = check(::fork(), "fork");
  if (pid_ == 0) {
    const int out = options.standard_output >= 0 ? options.standard_output : out_writer.get();
    become(argv, environment, out, err_writer.get(), options.user, parent);
  }
  ::setpgid(pid_, pid_);
  out_ = std::move(out_reader);
  err_ = std::move(err_reader);
}

AgentRun::~AgentRun() {
  if (reaped_) return;
  kill_group();
  reaped_ = reap(pid_, std::chrono::seconds(5));
}

void AgentRun::kill_group() const {
  if (!reaped_) ::kill(-pid_, SIGKILL);
}

void AgentRun::stop_reading() {
  out_.reset();
  err_.reset();
}

RunResult AgentRun::wait(Milliseconds limit) {
  RunResult result;
  result.started = started_;
  auto end = Clock::now() + limit;
  while (!result.ended || out_ || err_) {
    const auto left = std::chrono::duration_cast<Milliseconds>(end - Clock::now()).count();
    if (left <= 0) break;
    std::array<pollfd, 2> ready{pollfd{out_.get(), POLLIN, 0}, pollfd{err_.get(), POLLIN, 0}};
    check(::poll(ready.data(), ready.size(), result.ended ? static_cast<int>(left) + 1 : kLookAgainMs), "poll");
    if (ready[0].revents != 0) drain(out_, result.out);
    if (ready[1].revents != 0) drain(err_, result.err);
    if (!result.ended && has_ended(pid_)) {
      result.ended = true;
      result.exited = Clock::now();
      end = std::min(end, result.exited + std::chrono::seconds(1));
    }
  }
  result.end_of_file = !out_ && !err_;
  result.end_of_file_at = Clock::now();
  if (result.ended) {
    int status = 0;
    check(::waitpid(pid_, &status, 0), "waitpid");
    reaped_ = true;
    if (WIFEXITED(status)) result.exit_code = WEXITSTATUS(status);
  }
  return result;
}

}  // namespace dlm_freeze::integration
