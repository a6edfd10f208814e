// SPDX-License-Identifier: Apache-2.0
#include "jobs.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <exception>
#include <iostream>
#include <sstream>

#include "harness/loop_device.hpp"
#include "harness/system.hpp"

namespace dlm_freeze::faults {
namespace {

using integration::check;

/// In a process below one that sees all of it end: runs `body`, with stdout to `out`.
pid_t start_job(int out, const std::function<void()>& body) {
  const pid_t parent = ::getpid();
  const pid_t job = check(::fork(), "fork");
  if (job != 0) return job;
  integration::die_with_parent(parent);
  const pid_t self = ::getpid();
  ::dup2(out, STDOUT_FILENO);
  check(::prctl(PR_SET_CHILD_SUBREAPER, 1), "prctl");
  const pid_t worker = check(::fork(), "fork");
  if (worker == 0) {
    integration::die_with_parent(self);
    try {
      body();
    } catch (const std::exception& error) {
      std::fprintf(stderr, "faults: %s\n", error.what());
      ::_exit(1);
    }
    ::_exit(0);
  }
  int result = 1;
  int status = 0;
  // Until everybody is gone, the safety thaw too.
  for (pid_t ended = 0; (ended = ::waitpid(-1, &status, 0)) > 0 || errno == EINTR;) {
    if (ended == worker) result = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
  }
  ::_exit(result);
}

std::vector<std::string> lines_of(int fd) {
  std::string all;
  std::array<char, 65536> buffer{};
  for (ssize_t size = 0; (size = ::read(fd, buffer.data(), buffer.size())) > 0;)
    all.append(buffer.data(), static_cast<std::size_t>(size));
  std::vector<std::string> lines;
  std::istringstream stream(all);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

}  // namespace

int run_program(CLI::App& app, int argc, char** argv, const std::function<int()>& body) {
  CLI11_PARSE(app, argc, argv);
  if (::geteuid() != 0 || !integration::loop_devices_available()) {
    std::puts("skipped: only root can freeze, and it takes loop devices");
    return 77;
  }
  try {
    return body();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "faults: %s\n", error.what());
    return 1;
  }
}

int run_and_show(const std::function<void()>& body) {
  bool ok = true;
  for (const std::string& line : outputs_of(1, body, ok)) {
    std::cout << line << '\n';
    ok = ok && !line.starts_with("BROKEN");
  }
  return ok ? 0 : 1;
}

std::vector<std::string> outputs_of(unsigned count, const std::function<void()>& body, bool& ok) {
  std::array<int, 2> ends{};
  check(::pipe2(ends.data(), O_CLOEXEC), "pipe");
  std::vector<pid_t> jobs;
  for (unsigned i = 0; i < count; ++i) jobs.push_back(start_job(ends[1], body));
  ::close(ends[1]);
  auto lines = lines_of(ends[0]);
  ::close(ends[0]);
  for (const pid_t job : jobs) {
    int status = 0;
    ::waitpid(job, &status, 0);
    ok = ok && WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }
  return lines;
}

}  // namespace dlm_freeze::faults
