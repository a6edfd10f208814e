// SPDX-License-Identifier: Apache-2.0
#include "fakes/processes.hpp"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <set>
#include <system_error>
#include <thread>

#include "fakes/scratch.hpp"

namespace dlm_freeze::fakes {
namespace {

/// Reads /proc/<pid>/stat: "12 (na) me) S 1 ...".
std::optional<Process> read_process(const std::string& pid) {
  const std::string stat = content_of("/proc/" + pid + "/stat");
  const std::size_t begin = stat.find('(');
  const std::size_t end = stat.rfind(')');
  if (begin == std::string::npos || end == std::string::npos || stat.size() < end + 4) {
    return std::nullopt;
  }
  Process process;
  process.pid = std::atoi(pid.c_str());
  process.name = stat.substr(begin + 1, end - begin - 1);
  process.state = stat[end + 2];
  process.parent = std::atoi(stat.c_str() + end + 4);
  return process;
}

}  // namespace

bool eventually(const std::function<bool()>& condition, std::chrono::milliseconds limit) {
  const auto until = std::chrono::steady_clock::now() + limit;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= until) return condition();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

std::vector<Process> descendants() {
  std::vector<Process> all;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    if (auto process = read_process(name)) all.push_back(*process);
  }
  std::set<pid_t> family = {::getpid()};
  for (std::size_t size = 0; size != family.size();) {
    size = family.size();
    for (const Process& process : all) {
      if (family.contains(process.parent)) family.insert(process.pid);
    }
  }
  std::erase_if(all, [&](const Process& process) {
    return process.pid == ::getpid() || !family.contains(process.pid) || process.state == 'Z' || process.state == 'X';
  });
  return all;
}

std::optional<pid_t> descendant(const std::string& name) {
  for (const Process& process : descendants()) {
    if (process.name == name) return process.pid;
  }
  return std::nullopt;
}

void adopt_orphans() {
  if (::prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) throw std::system_error(errno, std::system_category(), "prctl");
}

void reap_all() {
  while (::waitpid(-1, nullptr, WNOHANG) > 0) {
  }
}

bool all_gone(std::chrono::milliseconds limit) {
  return eventually(
      [] {
        reap_all();
        return descendants().empty();
      },
      limit);
}

void kill_descendants() {
  static_cast<void>(eventually([] {
    for (const Process& process : descendants()) ::kill(process.pid, SIGKILL);
    reap_all();
    return descendants().empty();
  }));
}

void kill_together(const std::vector<pid_t>& pids) {
  for (const pid_t pid : pids) ::kill(pid, SIGSTOP);
  for (const pid_t pid : pids) {
    static_cast<void>(eventually([&] {
      const auto process = read_process(std::to_string(pid));
      return !process || process->state == 'T' || process->state == 'Z';
    }));
  }
  for (const pid_t pid : pids) ::kill(pid, SIGKILL);
}

pid_t start_child(const std::function<int()>& body) {
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child < 0) throw std::system_error(errno, std::system_category(), "fork");
  if (child == 0) {
    try {
      ::_exit(body());
    } catch (const std::exception& error) {
      std::fprintf(stderr, "%s\n", error.what());
      ::_exit(125);
    }
  }
  return child;
}

int status_of(pid_t child, std::chrono::milliseconds limit) {
  int status = 0;
  if (!eventually([&] { return ::waitpid(child, &status, WNOHANG) == child; }, limit)) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int in_child(const std::function<int()>& body) { return status_of(start_child(body)); }

}  // namespace dlm_freeze::fakes
