// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace dlm_freeze::fakes {

/// What a sanitizer on a busy machine makes of "at once".
inline constexpr std::chrono::seconds kSoon{20};

/// Asks every millisecond until it holds; false when it did not by then.
[[nodiscard]] bool eventually(const std::function<bool()>& condition, std::chrono::milliseconds limit = kSoon);

struct Process {
  pid_t pid = -1;
  pid_t parent = -1;
  std::string name;  ///< As ps shows it.
  char state = '?';  ///< 'Z' when it has ended and nobody has reaped it.
};

/// The living processes that descend from this one.
[[nodiscard]] std::vector<Process> descendants();

/// The living descendant of that name; nothing when there is none.
[[nodiscard]] std::optional<pid_t> descendant(const std::string& name);

/// From now on orphans among the descendants become children of this process, which reaps them: nobody else might, and
/// a zombie looks alive to kill(2).
void adopt_orphans();

/// Reaps whatever children have ended.
void reap_all();

/// Waits until no descendant lives.
[[nodiscard]] bool all_gone(std::chrono::milliseconds limit = kSoon);

/// Kills and reaps all descendants.
void kill_descendants();

/// Kills several at the same instant: none of them sees the death of another.
void kill_together(const std::vector<pid_t>& pids);

/// Runs `body` in a forked child and gives its exit status; 128 + the signal if one ended it. The child ends with what
/// `body` returns, without destructors and atexit.
[[nodiscard]] int in_child(const std::function<int()>& body);

/// Starts such a child and does not wait for it.
[[nodiscard]] pid_t start_child(const std::function<int()>& body);

/// Waits for a child; as `in_child`. -1 when it has not ended by then.
[[nodiscard]] int status_of(pid_t child, std::chrono::milliseconds limit = kSoon);

}  // namespace dlm_freeze::fakes
