// SPDX-License-Identifier: Apache-2.0
#include "session/sentinel.hpp"

#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/process.hpp"
#include "record/history.hpp"
#include "session/recovery.hpp"

namespace dlm_freeze {
namespace {

/// How long after the deadline a working watchdog has thawed, and how long after that it has released the databases.
constexpr auto kThawGrace = std::chrono::seconds(1);
constexpr auto kReleaseGrace = std::chrono::seconds(60);
constexpr auto kForever = std::chrono::hours(24 * 365);

/// The watchdog is dead: does what it would have done.
[[noreturn]] void replace_watchdog(SessionPlan& plan, SessionState& session, Thawer& thawer, AtomicFile& record_file,
                                   SessionEnd end) {
  const auto thaw = [&](Deadline until) { return thawer.run(until, true); };
  take_over(plan, session, thaw, Deadline::in(kForever), end);
  static_cast<void>(record_file.commit(session.text(plan)));
  plan.filesystems.set_over();
  Log log(nullptr, plan.syslog ? plan.syslog() : nullptr);
  log.error("the watchdog of session " + plan.execution_id + " died; the sentinel has thawed its filesystems");
  plan.lock.reset();
  static_cast<void>(remember(session.record));
  ::_exit(0);
}

}  // namespace

void run_sentinel(SessionPlan& plan, SessionState& session, pid_t watchdog, Deadline deadline, int channel,
                  const std::vector<int>& life_lines, AtomicFile& record_file) {
  std::vector<int> keep = life_lines;
  keep.insert(keep.end(), {channel, plan.lock.get(), plan.state->fd(), record_file.fd(), plan.rcu.fd()});
  for (std::size_t i = 0; i < plan.filesystems.size(); ++i) keep.push_back(plan.filesystems[i].fd.get());
  stay_background("dlm-sentinel", std::move(keep));

  sigset_t death;
  ::sigemptyset(&death);
  ::sigaddset(&death, SIGUSR1);
  const UniqueFd signals(::signalfd(-1, &death, SFD_CLOEXEC | SFD_NONBLOCK));
  auto timer_or_error = new_timer(Deadline(deadline.at() + kThawGrace));
  auto thawer = Thawer::create(plan.filesystems, life_lines);
  if (!signals || !timer_or_error || !thawer) ::_exit(1);
  UniqueFd timer = std::move(*timer_or_error);
  const UniqueFd watchdog_life = open_pidfd(watchdog);

  bool late = false;
  lock_memory();

  // Sent by the kernel when the watchdog's main thread ends, even while another of its threads is stuck in the kernel.
  ::prctl(PR_SET_PDEATHSIG, SIGUSR1);
  bool dead = false;
  for (;;) {
    // Seen by the signal too: while another thread of a killed watchdog is stuck, this process is that thread's child.
    dead = dead || ::getppid() != watchdog;
    if (plan.filesystems.over()) break;
    if (dead) {
      replace_watchdog(plan, session, *thawer, record_file, late ? SessionEnd::auto_thawed : SessionEnd::watchdog_lost);
    }
    std::array<pollfd, 2> events = {pollfd{signals.get(), POLLIN, 0}, pollfd{timer.get(), POLLIN, 0}};
    if (::poll(events.data(), events.size(), -1) < 0) continue;
    signalfd_siginfo info{};
    if (::read(signals.get(), &info, sizeof info) == sizeof info) {
      dead = info.ssi_pid == static_cast<std::uint32_t>(watchdog);
    }
    if (events[1].revents == 0) continue;
    // A watchdog that is stopped (SIGSTOP, a debugger) or stuck has overrun. It must be dead before its work is done
    // for it: one that wakes up half-way could still answer that all is well.
    const auto left = [](FreezeState state) { return state == FreezeState::frozen || state == FreezeState::thawing; };
    const bool thawed = plan.filesystems.ending() && !plan.filesystems.any(left);
    if (!thawed || late) ::syscall(SYS_pidfd_send_signal, watchdog_life.get(), SIGKILL, nullptr, 0);
    late = true;
    timer = std::move(*new_timer(Deadline::in(kReleaseGrace)));
  }
  ::_exit(0);
}

}  // namespace dlm_freeze
