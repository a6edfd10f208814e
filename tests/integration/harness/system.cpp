// SPDX-License-Identifier: Apache-2.0
#include "system.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <system_error>
#include <thread>

#include "dlm_freeze/base/unique_fd.hpp"

namespace dlm_freeze::integration {

int check(int result, std::string_view what) {
  if (result < 0) throw std::system_error(errno, std::system_category(), std::string(what));
  return result;
}

bool eventually(const std::function<bool()>& condition, Milliseconds limit) {
  const auto end = Clock::now() + limit;
  while (!condition()) {
    if (Clock::now() >= end) return false;
    sleep_for(Milliseconds(1));
  }
  return true;
}

void sleep_until(Clock::time_point moment) { std::this_thread::sleep_until(moment); }
void sleep_for(Clock::duration span) { std::this_thread::sleep_for(span); }

std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::system_error(errno, std::system_category(), path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void write_text(const std::string& path, std::string_view text) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << text << std::flush;
  if (!file) throw std::system_error(errno, std::system_category(), path);
}

std::vector<char*> c_strings(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  pointers.reserve(strings.size() + 1);
  for (const auto& text : strings) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

std::string run_tool(const std::vector<std::string>& arguments) {
  std::array<int, 2> ends{};
  check(::pipe2(ends.data(), O_CLOEXEC), "pipe");
  UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  const auto argv = c_strings(arguments);
  const pid_t parent = ::getpid();
  const pid_t child = check(::fork(), "fork");
  if (child == 0) {
    die_with_parent(parent);
    ::dup2(writer.get(), STDOUT_FILENO);
    ::dup2(writer.get(), STDERR_FILENO);
    ::execvp(argv[0], argv.data());
    ::_exit(127);
  }
  writer.reset();
  std::string output;
  std::array<char, 4096> buffer{};
  for (ssize_t got = 0; (got = ::read(reader.get(), buffer.data(), buffer.size())) > 0;) {
    output.append(buffer.data(), static_cast<std::size_t>(got));
  }
  int status = 0;
  check(::waitpid(child, &status, 0), "waitpid");
  if (status != 0) {
    std::string line;
    for (const auto& argument : arguments) line += argument + " ";
    throw std::runtime_error(line + "failed: " + output);
  }
  return output;
}

void die_with_parent(pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(125);
}

bool reap(pid_t child, Milliseconds limit, int* status) {
  return eventually([&] { return ::waitpid(child, status, WNOHANG) == child; }, limit);
}

}  // namespace dlm_freeze::integration
