// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "dlm_freeze/base/unique_fd.hpp"
#include "system.hpp"

namespace dlm_freeze::integration {

/// How a run differs from one under the SSM agent.
struct RunOptions {
  std::vector<std::string> environment = {};  ///< Added to PATH, which is alone but for sanitizers' options.
  std::vector<std::string> wrapper = {};      ///< A command that is given the agent's command line, such as strace.
  int standard_output = -1;                   ///< Instead of a pipe.
  uid_t user = 0;
};

/// A run that is over.
struct RunResult {
  std::optional<int> exit_code;  ///< None when it was killed, or had not ended by the limit.
  bool ended = false;
  bool end_of_file = false;  ///< Nobody holds its stdout or stderr open any more.
  std::string out;
  std::string err;
  Clock::time_point started;
  Clock::time_point exited;
  Clock::time_point end_of_file_at;

  [[nodiscard]] Clock::duration run_time() const { return exited - started; }

  /// All there is to know, for the message of a failed assertion.
  [[nodiscard]] std::string text() const;
};

/// A run under way, in a process group of its own, as the SSM agent starts it: stdin /dev/null,
/// pipes for stdout and stderr, cwd /usr/bin, a bare environment.
class AgentRun {
 public:
  AgentRun(const std::vector<std::string>& command, const RunOptions& options);
  AgentRun(const AgentRun&) = delete;
  AgentRun& operator=(const AgentRun&) = delete;
  ~AgentRun();

  [[nodiscard]] pid_t pid() const { return pid_; }

  /// SIGKILL to the process group, as the SSM agent does at its time-out. Nothing once `wait` has
  /// seen the exit.
  void kill_group() const;

  /// Waits for the exit and for the end of file of both pipes; for the latter at most a second
  /// longer than the exit.
  [[nodiscard]] RunResult wait(Milliseconds limit = std::chrono::seconds(30));

  /// Closes the reading ends: whatever it writes from now on fails with EPIPE.
  void stop_reading();

 private:
  pid_t pid_ = -1;
  bool reaped_ = false;
  Clock::time_point started_;
  UniqueFd out_;
  UniqueFd err_;
};

}  // namespace dlm_freeze::integration
