// SPDX-License-Identifier: Apache-2.0
#include "watchdog/sentinel.hpp"

#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <optional>
#include <utility>
#include <vector>

#include "watchdog/background.hpp"
#include "watchdog/take_over.hpp"
#include "watchdog/timer.hpp"

namespace dlm_freeze {
namespace {

/// How long after the deadline a living watchdog must have begun to thaw.
constexpr auto kGrace = std::chrono::milliseconds(100);
constexpr auto kThawPatience = std::chrono::milliseconds(300);
constexpr auto kForever = std::chrono::hours(24 * 365);
constexpr std::size_t kRecordReserve = std::size_t{32} * 1024;

/// The watchdog is dead: does what it would have done.
[[noreturn]] void replace_watchdog(SessionPlan& plan, SessionState& session, Thawer& thawer,
                                   std::optional<AtomicFile>& file) {
  take_over(plan, session, thawer, Deadline::in(kForever));
  if (file) static_cast<void>(file->commit(session.text(plan)));
  plan.filesystems.set_over();
  Log log(nullptr, plan.syslog ? plan.syslog() : nullptr);
  log.error("the watchdog of session " + plan.execution_id + " died; the sentinel has thawed its filesystems");
  ::_exit(0);
}

}  // namespace

void run_sentinel(SessionPlan& plan, SessionState& session, pid_t watchdog, Deadline deadline, int channel,
                  const std::vector<int>& life_lines) {
  std::vector<int> keep = life_lines;
  keep.insert(keep.end(), {channel, plan.lock.get(), plan.state->fd()});
  for (std::size_t i = 0; i < plan.filesystems.size(); ++i) keep.push_back(plan.filesystems[i].fd.get());
  stay_background("dlm-sentinel", std::move(keep));

  sigset_t death;
  ::sigemptyset(&death);
  ::sigaddset(&death, SIGUSR1);
  const UniqueFd signals(::signalfd(-1, &death, SFD_CLOEXEC | SFD_NONBLOCK));
  const auto timer = new_timer(Deadline(deadline.at() + kGrace));
  auto thawer = Thawer::create(plan.filesystems, life_lines);
  if (!signals || !timer || !thawer) ::_exit(1);
  std::optional<AtomicFile> file;
  // Not worth failing for: without it only the record stays behind the facts, and post-script finds that out.
  if (auto created = plan.state->new_record_file("sentinel", session.text(plan).size() + kRecordReserve))
    file = std::move(*created);
  lock_memory();

  // Sent by the kernel when the watchdog's main thread ends, even while another of its threads is stuck in the kernel.
  ::prctl(PR_SET_PDEATHSIG, SIGUSR1);
  bool late = false;
  for (;;) {
    const bool dead = ::getppid() != watchdog;
    if (plan.filesystems.over()) break;
    if (dead) replace_watchdog(plan, session, *thawer, file);
    std::array<pollfd, 2> events = {pollfd{signals.get(), POLLIN, 0}, pollfd{late ? -1 : timer->get(), POLLIN, 0}};
    if (::poll(events.data(), events.size(), -1) < 0) continue;
    signalfd_siginfo info{};
    static_cast<void>(!::read(signals.get(), &info, sizeof info));
    if (events[1].revents != 0) {
      late = true;
      // A watchdog that was stopped (SIGSTOP) or is stuck. What it has begun is left to it.
      ::kill(watchdog, SIGCONT);
      while (!thawer->run(Deadline::in(kThawPatience), ::getppid() != watchdog) && ::getppid() == watchdog) {
      }
    }
  }
  file.reset();
  ::_exit(0);
}

}  // namespace dlm_freeze
