// SPDX-License-Identifier: Apache-2.0
#include "session_processes.hpp"

#include <signal.h>

#include <charconv>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>

namespace dlm_freeze::integration {
namespace {

namespace fs = std::filesystem;

std::string first_line(const fs::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

/// Whether the process runs `binary`, or has lost its memory already and is about to end: it may still hold a lock.
bool runs_or_ends(const fs::path& process, const std::string& binary) {
  std::error_code no_memory;
  const auto exe = fs::read_symlink(process / "exe", no_memory);
  return no_memory || exe == binary;
}

}  // namespace

char process_state(pid_t process) {
  const std::string stat = first_line("/proc/" + std::to_string(process) + "/stat");
  const auto end_of_name = stat.rfind(')');  // the name itself may hold anything
  return end_of_name == std::string::npos || end_of_name + 2 >= stat.size() ? '\0' : stat[end_of_name + 2];
}

bool AgentProcess::signal(int number) const { return process_state(pid_) != '\0' && handle_.send(number); }

std::vector<AgentProcess> agent_processes(const std::string& binary) {
  std::error_code ignored;
  const auto here = fs::read_symlink("/proc/self/ns/mnt", ignored);
  std::vector<AgentProcess> found;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    pid_t pid = 0;
    if (std::from_chars(name.data(), name.data() + name.size(), pid).ptr != name.data() + name.size()) continue;
    if (!runs_or_ends(entry, binary)) continue;
    // Opened before the rest is looked at: what the answers are about is then what the handle is of.
    ProcessHandle handle = ProcessHandle::of(pid);
    if (!runs_or_ends(entry, binary)) continue;
    if (fs::read_symlink(entry.path() / "ns/mnt", ignored) != here) continue;
    const char state = process_state(pid);
    if (state == '\0' || state == 'Z' || state == 'X') continue;
    found.emplace_back(pid, first_line(entry.path() / "comm"), std::move(handle));
  }
  return found;
}

std::optional<AgentProcess> agent_process(const std::string& binary, const std::string& name) {
  for (auto& process : agent_processes(binary)) {
    if (process.name() == name) return std::move(process);
  }
  return std::nullopt;
}

void kill_at_once(const std::vector<AgentProcess>& processes) {
  for (const auto& process : processes) process.signal(SIGSTOP);
  for (const auto& process : processes) process.signal(SIGKILL);
}

}  // namespace dlm_freeze::integration
