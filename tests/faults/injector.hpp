// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <linux/seccomp.h>
#include <sys/types.h>

#include <chrono>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "dlm_freeze/base/unique_fd.hpp"

namespace dlm_freeze::faults {

/// A system call of a session: "dlm-watchdog", "ppoll", its third. A role is the name of a process; "pre-script" and
/// "post-script" are the command itself, "fork" is a child that has no name yet.
struct Site {
  std::string role;
  std::string call;  ///< Of ioctl(2) and fcntl(2) with the request: "ioctl FITHAW".
  int number = 0;
};

/// What happens when that call is about to be made.
struct Fault {
  Site site;
  int error = 0;                           ///< The call fails with it.
  bool lasting = false;                    ///< So do all of its kind from then on, in processes of that role.
  bool hangs = false;                      ///< It is not made before `release`.
  std::chrono::milliseconds delay{0};      ///< It is made so much later; all of its kind if `lasting`.
  std::function<void(pid_t process)> act;  ///< Before the call is made.
};

/// Runs programs so that each system call of theirs, and of all that they start, passes through here first
/// (seccomp(2)'s user notification).
class Injector {
 public:
  using Counts = std::map<std::pair<std::string, std::string>, int>;

  Injector();
  Injector(const Injector&) = delete;
  Injector& operator=(const Injector&) = delete;
  ~Injector();

  /// What a command is to be run by, for RunOptions. Its first process has `role`.
  [[nodiscard]] std::vector<std::string> wrapper(const std::string& role) const;

  /// From now on, until the next; the calls are counted anew.
  void arm(std::optional<Fault> fault);

  /// Lets go what hangs.
  void release();

  [[nodiscard]] bool reached() const;
  [[nodiscard]] Counts counts() const;

 private:
  struct Listener {
    UniqueFd fd;
    std::string role;
    pid_t first = -1;
    bool executed = false;
  };
  struct Waiting {
    int listener;
    __u64 id;
    std::chrono::steady_clock::time_point until;
  };

  void run();
  void accept_one();
  void on_call(Listener& listener);
  void answer(int listener, __u64 id, int error);
  void let_go(std::chrono::steady_clock::time_point now);
  [[nodiscard]] int patience() const;
  [[nodiscard]] std::string role_of(Listener& listener, pid_t thread, const std::string& call);

  std::string name_;
  UniqueFd socket_;
  UniqueFd wake_;
  mutable std::mutex mutex_;
  std::vector<Listener> listeners_;
  std::vector<Waiting> waiting_;
  std::optional<Fault> fault_;
  Counts counts_;
  std::map<pid_t, std::pair<pid_t, std::string>> known_;  ///< Threads: their process and its role.
  bool reached_ = false;
  bool quit_ = false;
  std::thread thread_;
};

/// The other side of `wrapper`: does not return. `arguments`: the name of a socket, and the command.
[[noreturn]] void run_wrapped(char** arguments);

}  // namespace dlm_freeze::faults
