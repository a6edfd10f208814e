// SPDX-License-Identifier: Apache-2.0
#include "commands/planning_guard.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/wait.hpp"

namespace dlm_freeze {
namespace {

/// For what stderr is to take the message.
constexpr auto kPatience = std::chrono::milliseconds(250);

/// In a process of its own: a file may lie on a filesystem that is frozen, and then neither the write nor the last
/// close returns.
void say(std::string_view message) {
  pollfd reader = {STDERR_FILENO, POLLOUT, 0};
  std::array<int, 2> life{};
  if (::poll(&reader, 1, 0) <= 0 || ::pipe2(life.data(), O_CLOEXEC) != 0) return;
  const pid_t child = ::fork();
  if (child == 0) {
    static_cast<void>(!::write(STDERR_FILENO, message.data(), message.size()));
    ::_exit(0);
  }
  ::close(life[1]);
  if (child > 0) static_cast<void>(wait_readable(life[0], Deadline::in(kPatience)));
}

[[noreturn]] void give_up(PlanningGuard::Of script) {
  constexpr std::string_view kPreMessage =
      "ERROR: the time budget ran out while looking at the host: a filesystem, a device or a name service does not "
      "answer. Return Error Code: 201\n";
  constexpr std::string_view kPostMessage =
      "ERROR: the time budget ran out while looking for the session: the filesystem of the state directory does not "
      "answer; "
      "a session ends by itself at its deadline. Return Error Code: 202\n";
  constexpr int kPreFailed = 201;
  constexpr int kPostFailed = 202;
  const bool is_pre = script == PlanningGuard::Of::pre_script;
  const std::string_view message = is_pre ? kPreMessage : kPostMessage;
  say(message);
  ::_exit(is_pre ? kPreFailed : kPostFailed);
}

}  // namespace

PlanningGuard::PlanningGuard(Deadline budget, Of script) {
  auto over = new_event();
  if (!over) return;
  over_ = std::move(*over);
  try {
    thread_ = std::thread([this, budget, script] {
      sigset_t all;
      ::sigfillset(&all);
      ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
      if (!wait_readable(over_.get(), budget)) give_up(script);
    });
  } catch (const std::system_error&) {
    return;  // The budget is looked at by everything that comes later.
  }
}

PlanningGuard::~PlanningGuard() {
  raise_event(over_.get());
  if (thread_.joinable()) thread_.join();
}

}  // namespace dlm_freeze
