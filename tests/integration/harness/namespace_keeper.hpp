// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <stdexcept>

#include "dlm_freeze/base/unique_fd.hpp"
#include "system.hpp"

namespace dlm_freeze::integration {

/// A process that keeps a mount namespace of its own, as it is now.
class NamespaceKeeper {
 public:
  NamespaceKeeper() {
    std::array<int, 2> ready{};
    check(::pipe2(ready.data(), O_CLOEXEC), "pipe");
    const pid_t parent = ::getpid();
    pid_ = check(::fork(), "fork");
    if (pid_ == 0) {
      die_with_parent(parent);
      const bool apart =
          ::unshare(CLONE_NEWNS) == 0 && ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
      if (!apart || ::write(ready[1], "x", 1) != 1) ::_exit(1);
      for (;;) ::pause();
    }
    const UniqueFd reading(ready[0]);
    ::close(ready[1]);
    char byte = 0;
    if (::read(reading.get(), &byte, 1) != 1) throw std::runtime_error("no mount namespace");
  }
  NamespaceKeeper(const NamespaceKeeper&) = delete;
  NamespaceKeeper& operator=(const NamespaceKeeper&) = delete;
  ~NamespaceKeeper() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = -1;
};

}  // namespace dlm_freeze::integration
