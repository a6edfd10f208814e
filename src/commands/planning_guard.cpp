// SPDX-License-Identifier: Apache-2.0
#include "commands/planning_guard.hpp"

#include <poll.h>
#include <unistd.h>

#include <csignal>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/wait.hpp"

namespace dlm_freeze {
namespace {

[[noreturn]] void give_up() {
  constexpr std::string_view kMessage =
      "ERROR: the time budget ran out while looking at the host: a filesystem, a device or a name service does not "
      "answer. Return Error Code: 201\n";
  constexpr int kFailed = 201;
  pollfd reader = {STDERR_FILENO, POLLOUT, 0};
  if (::poll(&reader, 1, 0) > 0) static_cast<void>(!::write(STDERR_FILENO, kMessage.data(), kMessage.size()));
  ::_exit(kFailed);
}

}  // namespace

PlanningGuard::PlanningGuard(Deadline budget) {
  auto over = new_event();
  if (!over) return;
  over_ = std::move(*over);
  try {
    thread_ = std::thread([this, budget] {
      sigset_t all;
      ::sigfillset(&all);
      ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
      if (!wait_readable(over_.get(), budget)) give_up();
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
