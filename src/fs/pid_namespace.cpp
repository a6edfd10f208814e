// SPDX-License-Identifier: Apache-2.0
#include "fs/pid_namespace.hpp"

#include <unistd.h>

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include "base/process.hpp"
#include "dlm_freeze/base/files.hpp"

namespace dlm_freeze {
namespace {

/// The parent of a process of this namespace; -1 if /proc does not say.
pid_t parent_of(pid_t process) {
  if (process == ::getpid()) return ::getppid();
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self", error);
  if (error || self != std::to_string(::getpid())) return -1;  // That of another namespace.
  const auto stat = read_file("/proc/" + std::to_string(process) + "/stat");
  const auto parsed = stat ? parse_stat(*stat) : std::nullopt;
  return parsed ? parsed->parent : -1;
}

/// False for who came from outside, as by nsenter or docker exec. True where /proc does not say.
bool descends_from_first() {
  constexpr int kMostGenerations = 1000;
  pid_t process = ::getpid();
  for (int i = 0; i < kMostGenerations && process > 1; ++i) process = parent_of(process);
  return process != 0;
}

}  // namespace

bool ends_with_caller() {
  constexpr std::string_view kInitial = "pid:[4026531836]";  // PROC_PID_INIT_INO in include/linux/proc_ns.h.
  if (::getpid() == 1) return true;
  if (own_namespace("pid") == kInitial || ::getsid(0) != ::getsid(1)) return false;
  if (!descends_from_first()) return false;
  const pid_t group = ::getpgrp();
  return group == ::getpgid(1) || parent_of(group) == 1;
}

}  // namespace dlm_freeze
