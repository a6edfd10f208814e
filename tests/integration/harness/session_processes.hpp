// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/process_handle.hpp"

namespace dlm_freeze::integration {

/// The state letter in /proc/PID/stat ('D', 'S', 'Z'…); 0 when there is no such process.
[[nodiscard]] char process_state(pid_t process);

/// A process of the agent. It is signalled by a handle: neither a pid that was reused nor a special
/// one (0, -1) can ever be meant.
class AgentProcess {
 public:
  AgentProcess(pid_t pid, std::string name, ProcessHandle handle)
      : pid_(pid), name_(std::move(name)), handle_(std::move(handle)) {}

  [[nodiscard]] pid_t pid() const { return pid_; }

  /// "dlm-watchdog", "dlm-sentinel", "dlm-freezer", or the binary's for the command itself.
  [[nodiscard]] const std::string& name() const { return name_; }

  /// False when it is gone.
  bool signal(int number) const;

 private:
  pid_t pid_;
  std::string name_;
  ProcessHandle handle_;
};

/// The living processes (a zombie is dead) that run `binary` in this process's mount namespace.
[[nodiscard]] std::vector<AgentProcess> agent_processes(const std::string& binary);

/// The one with that name, if there is one.
[[nodiscard]] std::optional<AgentProcess> agent_process(const std::string& binary, const std::string& name);

/// Stops all of them before the first is killed, so that none can react to the death of another.
void kill_at_once(const std::vector<AgentProcess>& processes);

}  // namespace dlm_freeze::integration
