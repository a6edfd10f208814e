// SPDX-License-Identifier: Apache-2.0
#include "cli/run_program.hpp"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <stdexcept>
#include <system_error>

#include "dlm_freeze/base/unique_fd.hpp"

namespace dlm_freeze {
namespace {

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

struct Stream {
  UniqueFd ours;
  UniqueFd theirs;
};

Stream new_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw std::system_error(errno, std::system_category(), "pipe2");
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

Stream new_terminal() {
  int ours = -1;
  int theirs = -1;
  if (::openpty(&ours, &theirs, nullptr, nullptr, nullptr) != 0) {
    throw std::system_error(errno, std::system_category(), "openpty");
  }
  return {UniqueFd(ours), UniqueFd(theirs)};
}

/// Reads both until the end of file, which a terminal reports as EIO.
void read_all(const UniqueFd& out, std::string& out_text, const UniqueFd& err, std::string& err_text) {
  std::array<pollfd, 2> events = {pollfd{out.get(), POLLIN, 0}, pollfd{err.get(), POLLIN, 0}};
  const std::array<std::string*, 2> texts = {&out_text, &err_text};
  while (events[0].fd >= 0 || events[1].fd >= 0) {
    if (::poll(events.data(), events.size(), 60'000) <= 0) throw std::runtime_error("its output does not end");
    for (std::size_t i = 0; i < events.size(); ++i) {
      if (events.at(i).fd < 0 || events.at(i).revents == 0) continue;
      std::array<char, 4096> chunk{};
      const ssize_t got = ::read(events.at(i).fd, chunk.data(), chunk.size());
      if (got <= 0) {
        events.at(i).fd = -1;
      } else {
        texts.at(i)->append(chunk.data(), static_cast<std::size_t>(got));
      }
    }
  }
}

[[noreturn]] void become(int program, std::vector<char*>& argv, std::vector<char*>& environment, int out, int err,
                         std::optional<uid_t> uid) {
  const int null = ::open("/dev/null", O_RDONLY);
  ::dup2(null, STDIN_FILENO);
  ::dup2(out, STDOUT_FILENO);
  ::dup2(err, STDERR_FILENO);
  if (uid && (::setgroups(0, nullptr) != 0 || ::setgid(*uid) != 0 || ::setuid(*uid) != 0)) ::_exit(125);
  // By its descriptor: another user may not be let into the directory that it was built in.
  ::fexecve(program, argv.data(), environment.data());
  ::_exit(126);
}

}  // namespace

RunOfProgram run_program_under_test(const std::vector<std::string>& arguments, const HowToRun& how) {
  const UniqueFd program(::open(how.program.c_str(), O_RDONLY | O_CLOEXEC));
  if (!program) throw std::system_error(errno, std::system_category(), how.program);
  std::vector<std::string> words = {"dlm-freeze"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<std::string> environment = how.environment;
  for (const char* name : {"ASAN_OPTIONS", "LSAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS"}) {
    if (const char* value = std::getenv(name)) environment.push_back(std::string(name) + "=" + value);
  }
  std::vector<char*> argv = pointers_to(words);
  std::vector<char*> envp = pointers_to(environment);
  Stream out = how.on_terminal ? new_terminal() : new_pipe();
  Stream err = how.on_terminal ? Stream() : new_pipe();

  const auto begin = std::chrono::steady_clock::now();
  const pid_t child = ::fork();
  if (child < 0) throw std::system_error(errno, std::system_category(), "fork");
  if (child == 0)
    become(program.get(), argv, envp, out.theirs.get(), how.on_terminal ? out.theirs.get() : err.theirs.get(), how.uid);
  out.theirs.reset();
  err.theirs.reset();
  RunOfProgram run;
  read_all(out.ours, run.out, err.ours, run.err);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  run.duration = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begin);
  run.exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return run;
}

}  // namespace dlm_freeze
