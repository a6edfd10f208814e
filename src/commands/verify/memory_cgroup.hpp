// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "dlm_freeze/base/error.hpp"
#include "dlm_freeze/base/unique_fd.hpp"

namespace dlm_freeze {

/// Below which directory a cgroup for memory can be made, and of which version (cgroups(7)).
struct MemoryCgroupParent {
  std::string directory;
  bool is_version_2 = false;
};

/// That, by the texts of this process's cgroup and mountinfo. Version 1: below its own. Version 2, where one with
/// processes has no children with limits: beside its own; an error when that has a limit, which would be left.
[[nodiscard]] Result<MemoryCgroupParent> memory_cgroup_parent(std::string_view cgroups, std::string_view mountinfo);

/// The number of processes that the OOM killer took, by the text of a memory.events or memory.oom_control.
[[nodiscard]] std::uint64_t oom_kills(std::string_view text);

/// A cgroup that limits the memory of all processes in it, together with what they write to tmpfs. Made by a process
/// that stays outside, which removes it; those in it must have ended by then. What a process that was killed has left
/// is removed by the next one.
class MemoryCgroup {
 public:
  /// Without limit, which nobody has to enter.
  MemoryCgroup() = default;
  [[nodiscard]] static Result<MemoryCgroup> create(std::uint64_t bytes);

  MemoryCgroup(MemoryCgroup&& other) noexcept;
  MemoryCgroup(const MemoryCgroup&) = delete;
  MemoryCgroup& operator=(MemoryCgroup&&) = delete;
  MemoryCgroup& operator=(const MemoryCgroup&) = delete;
  ~MemoryCgroup();

  /// Bytes; 0: there is no limit.
  [[nodiscard]] std::uint64_t limit() const { return limit_; }

  /// Moves this process into it. All that it starts will be there too.
  [[nodiscard]] Result<void> enter() const;

  /// Whether the OOM killer took a process in it: what the others say of a copy proves nothing then.
  [[nodiscard]] bool has_killed() const;

  /// That it did, and what to do.
  [[nodiscard]] std::string shortage() const;

 private:
  std::string directory_;
  std::uint64_t limit_ = 0;
  UniqueFd members_;
  UniqueFd events_;
};

}  // namespace dlm_freeze
