// SPDX-License-Identifier: Apache-2.0
#include "commands/verify/memory_cgroup.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <optional>
#include <utility>

#include "base/control_group.hpp"
#include "base/directory.hpp"
#include "base/text.hpp"
#include "base/wait.hpp"
#include "dlm_freeze/base/files.hpp"

namespace dlm_freeze {
namespace {

constexpr std::string_view kName = "dlm-freeze-verify-";

std::optional<std::string> path_in(std::string_view cgroups, std::string_view controller) {
  for (const ControlGroup& group : parse_control_groups(cgroups)) {
    const auto controllers = split(group.controllers, ',');
    if (controller.empty() ? group.controllers.empty()
                           : std::find(controllers.begin(), controllers.end(), controller) != controllers.end())
      return group.path;
  }
  return std::nullopt;
}

void remove_those_of_the_dead(const std::string& parent) {
  for (const std::string& name : names_in(parent)) {
    if (!name.starts_with(kName)) continue;
    const auto pid = parse_decimal(std::string_view(name).substr(kName.size()), 1, INT32_MAX);
    if (pid && ::kill(static_cast<pid_t>(*pid), 0) != 0 && errno == ESRCH) ::rmdir((parent + "/" + name).c_str());
  }
}

}  // namespace

Result<MemoryCgroupParent> memory_cgroup_parent(std::string_view cgroups, std::string_view mountinfo) {
  if (const auto own = path_in(cgroups, "memory")) {
    const std::string mount = hierarchy_of(mountinfo, "memory");
    if (mount.empty() || own->starts_with("/..")) return failure("the cgroups of memory are not mounted");
    return MemoryCgroupParent{mount + (*own == "/" ? "" : *own), false};
  }
  const auto own = path_in(cgroups, "");
  const std::string mount = hierarchy_of(mountinfo, "");
  if (!own || mount.empty() || own->starts_with("/..")) return failure("no cgroups are mounted");
  const std::string limit = read_file(mount + *own + "/memory.max").value_or("");
  if (!limit.empty() && trimmed(limit) != "max") return failure("the cgroup " + *own + " has a limit already");
  const std::string parent = mount + own->substr(0, own->rfind('/'));
  const std::string enabled = read_file(parent + "/cgroup.subtree_control").value_or("");
  const auto controllers = split(trimmed(enabled), ' ');
  if (std::find(controllers.begin(), controllers.end(), "memory") == controllers.end())
    return failure("there is no controller of memory below " + parent);
  return MemoryCgroupParent{parent, true};
}

std::uint64_t oom_kills(std::string_view text) {
  for (std::string_view line : split(text, '\n')) {
    if (next_word(line) != "oom_kill") continue;
    return static_cast<std::uint64_t>(parse_decimal(trimmed(line), 0, INT64_MAX).value_or(0));
  }
  return 0;
}

Result<MemoryCgroup> MemoryCgroup::create(std::uint64_t bytes) {
  const auto cgroups = read_file("/proc/self/cgroup");
  const auto mounts = read_file("/proc/self/mountinfo");
  if (!cgroups || !mounts) return failure("no cgroups are mounted");
  const auto parent = memory_cgroup_parent(*cgroups, *mounts);
  if (!parent) return tl::unexpected(parent.error());
  remove_those_of_the_dead(parent->directory);
  MemoryCgroup made;
  const std::string directory = parent->directory + "/" + std::string(kName) + std::to_string(::getpid());
  if (::mkdir(directory.c_str(), 0755) != 0) return system_failure("cannot create " + directory, errno);
  made.directory_ = directory;
  made.limit_ = bytes;
  const auto open = [&](const char* name, int flags) {
    return UniqueFd(::open((directory + "/" + name).c_str(), flags | O_CLOEXEC));
  };
  made.members_ = open("cgroup.procs", O_WRONLY);
  made.events_ = open(parent->is_version_2 ? "memory.events" : "memory.oom_control", O_RDONLY);
  const UniqueFd limit = open(parent->is_version_2 ? "memory.max" : "memory.limit_in_bytes", O_WRONLY);
  const std::string text = std::to_string(bytes);
  if (!made.members_ || !made.events_ || !limit || ::write(limit.get(), text.data(), text.size()) < 0)
    return system_failure("cannot set the limit of " + directory, errno);
  return made;
}

MemoryCgroup::MemoryCgroup(MemoryCgroup&& other) noexcept
    : directory_(std::exchange(other.directory_, {})),
      limit_(std::exchange(other.limit_, 0)),
      members_(std::move(other.members_)),
      events_(std::move(other.events_)) {}

MemoryCgroup::~MemoryCgroup() {
  if (directory_.empty()) return;
  // The kernel may still be busy with the last process that ended.
  const Patience patience{Deadline::in(std::chrono::seconds(1))};
  while (::rmdir(directory_.c_str()) != 0 && errno == EBUSY && pause_for(std::chrono::milliseconds(10), patience)) {
  }
}

Result<void> MemoryCgroup::enter() const {
  if (limit_ == 0 || ::write(members_.get(), "0", 1) == 1) return {};
  return system_failure("cannot enter " + directory_, errno);
}

std::string MemoryCgroup::shortage() const {
  return "the kernel ended a process, since " + format_size(limit_) +
         " of memory were not enough: allow more with --memory";
}

bool MemoryCgroup::has_killed() const {
  if (limit_ == 0) return false;
  const auto text = read_from_start(events_.get());
  return text && oom_kills(*text) > 0;
}

}  // namespace dlm_freeze
