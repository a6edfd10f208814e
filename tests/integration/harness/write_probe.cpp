// SPDX-License-Identifier: Apache-2.0
#include "write_probe.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <stdexcept>
#include <string>

#include "session_processes.hpp"

namespace dlm_freeze::integration {
namespace {

constexpr Milliseconds kPatience{150};

}  // namespace

bool WriteProbe::is_frozen(int directory) {
  const pid_t child = start(directory);
  if (written(child, kPatience)) return false;
  // On a busy machine it may not have come to its write yet.
  static_cast<void>(eventually([child] { return process_state(child) != 'R'; }, std::chrono::seconds(2)));
  const bool uninterruptible = process_state(child) == 'D';
  waiting_.push_back(child);
  return uninterruptible;
}

bool WriteProbe::is_writable(int directory, Milliseconds limit) {
  const pid_t child = start(directory);
  if (written(child, limit)) return true;
  waiting_.push_back(child);
  return false;
}

void WriteProbe::collect() {
  for (const pid_t child : waiting_) {
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
  }
  waiting_.clear();
}

pid_t WriteProbe::start(int directory) {
  const pid_t parent = ::getpid();
  const pid_t child = check(::fork(), "fork");
  if (child == 0) {
    die_with_parent(parent);
    const int file = ::openat(directory, ".write-probe", O_WRONLY | O_CREAT | O_APPEND, 0600);
    ::_exit(file >= 0 && ::write(file, "x", 1) == 1 ? 0 : 1);
  }
  return child;
}

bool WriteProbe::written(pid_t child, Milliseconds limit) {
  int status = 0;
  if (!reap(child, limit, &status)) return false;
  if (status != 0) throw std::runtime_error("a write failed, which says nothing about frozen or not");
  return true;
}

}  // namespace dlm_freeze::integration
