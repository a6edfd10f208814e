// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dlm_freeze/base/error.hpp"
#include "dlm_freeze/base/unique_fd.hpp"

namespace dlm_freeze {

/// Turns a process that was just forked into one that nothing of its caller reaches any more: a session of its own,
/// no stdio but /dev/null (or what stands in for it), no descriptor but `keep`, all signals blocked, spared by the OOM
/// killer. `name` is what ps shows (at most 15 characters). It leaves no core dump: a handler that reads one would
/// delay its end. Gives what of this could not be had and is done without, a sentence each.
std::vector<std::string> become_background(const char* name, std::vector<int> keep);

/// The same for a process that such a one forked: what it inherits is left as it is, and no file is opened. `inherited`
/// are its descriptors, as far as those are known (`DescriptorList`); empty where they are not.
void stay_background(const char* name, std::vector<int> keep, const std::vector<int>& inherited) noexcept;

/// Ends this process as _exit(2) does: nothing of it runs any more that a parent or a library has left for the end. In
/// a build for coverage what it has run is counted before.
[[noreturn]] void end_process(int status) noexcept;

/// A new descriptor on /dev/null; without one, on something that takes neither reads nor writes. Async-signal-safe.
[[nodiscard]] int open_null() noexcept;

/// The namespace of that kind ("pid", "user", "time") that this process is in, as "pid:[4026531836]"; empty where the
/// kernel has none or /proc does not say.
[[nodiscard]] std::string own_namespace(const char* kind);

/// What follows the name in the text of a /proc/PID/stat: the state, the parent and so on (proc(5)). Empty where the
/// text is none.
[[nodiscard]] std::string_view stat_after_name(std::string_view stat) noexcept;

/// What the text of a /proc/PID/stat says of a process (proc(5)).
struct ProcessStat {
  char state = 0;
  pid_t parent = 0;
  long threads = 0;
  std::uint64_t started = 0;  ///< In clock ticks since the boot: no later process of that number has the same.

  /// Its first thread may have, and others go on.
  [[nodiscard]] bool has_ended() const noexcept { return state == 'X' || (state == 'Z' && threads <= 1); }
};

/// Nothing where the text is none.
[[nodiscard]] std::optional<ProcessStat> parse_stat(std::string_view stat) noexcept;

/// Kills all descendants of `reaper`, a child of this process that adopts its orphans (PR_SET_CHILD_SUBREAPER), for at
/// most `patience_ms`. `reaper` itself is stopped for that and stays so: whoever it would wait for could be another
/// process the next moment. Async-signal-safe.
void kill_descendants(pid_t reaper, int patience_ms) noexcept;

/// Closes `first` and all descriptors of the calling thread above it. Async-signal-safe.
void close_from(unsigned first) noexcept;

/// Writes `score` to the calling process's oom_score_adj (proc(5)). False, with errno, when that is not allowed: less
/// than what was inherited needs CAP_SYS_RESOURCE. Async-signal-safe.
bool set_oom_score(const char* score) noexcept;

/// Lets this process have at least `count` descriptors, the hard limit raised as well where that is allowed
/// (CAP_SYS_RESOURCE). False when it gets fewer; the limit is then as high as it may be.
bool raise_descriptor_limit(unsigned count) noexcept;

/// Makes the kernel's table of this process's descriptors long enough for `count` of them. Where threads share it, it
/// waits for a grace period of RCU, some ten milliseconds, each time it has to grow: so before there are any.
void lengthen_descriptor_table(unsigned count) noexcept;

/// Closes every descriptor of the calling thread but stdio and `keep`, of which -1 stands for none.
void close_all_but(std::vector<int> keep) noexcept;

/// Tells which descriptors this process has, and opens no file for that any more.
class DescriptorList {
 public:
  [[nodiscard]] static DescriptorList open() noexcept;

  /// Their numbers, in ascending order; none where /proc does not say.
  [[nodiscard]] std::vector<int> numbers() const;

 private:
  explicit DescriptorList(UniqueFd directory) noexcept : directory_(std::move(directory)) {}
  UniqueFd directory_;  ///< Of this process in /proc, whoever reads it.
};

/// Locks what this process has in memory and will get, so that it never waits for a page while filesystems are frozen.
/// An error says what that means; the process goes on without.
Result<void> lock_memory();

}  // namespace dlm_freeze
