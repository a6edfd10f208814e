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

#include "dlm_freeze/watchdog/recovery.hpp"
#include "watchdog/background.hpp"
#include "watchdog/timer.hpp"

namespace dlm_freeze {
namespace {

/// How long after the deadline a living watchdog must have begun to thaw.
constexpr auto kGrace = std::chrono::milliseconds(100);
constexpr auto kThawPatience = std::chrono::milliseconds(300);
constexpr auto kReleaseTimeout = std::chrono::seconds(30);
constexpr auto kForever = std::chrono::hours(24 * 365);
constexpr std::size_t kRecordReserve = std::size_t{32} * 1024;

/// What the watchdog recorded last, or what the sentinel knows itself.
SessionRecord last_record(const SessionPlan& plan, const SessionState& session) {
  auto recorded = plan.state->read_record();
  const bool usable = recorded && *recorded && (*recorded)->filesystems.size() == plan.filesystems.size() &&
                      (*recorded)->quiescers.size() == plan.quiescers.size();
  return usable ? std::move(**recorded) : session.record;
}

void release_leftovers(const SessionPlan& plan, SessionState& session, SessionRecord& record) {
  for (std::size_t i = 0; i < plan.quiescers.size(); ++i) {
    if (!session.is_quiesced(i)) continue;
    const auto recovered =
        recover_quiescer(*plan.quiescers[i].type, record.quiescers[i], record.execution_id, Deadline::in(kReleaseTimeout));
    if (recovered) {
      session.set_quiesced(i, false);
    } else {
      record.problems.push_back(recovered.error().message);
    }
  }
}

/// The watchdog is dead: does what it would have done.
[[noreturn]] void take_over(SessionPlan& plan, SessionState& session, Thawer& thawer, std::optional<AtomicFile>& file) {
  const bool finished = thawer.run(Deadline::in(kThawPatience), true);
  session.record = last_record(plan, session);
  mark_lost(session.record);
  release_leftovers(plan, session, session.record);
  if (!finished) static_cast<void>(thawer.run(Deadline::in(kForever), true));
  note_problems(session.record, plan.filesystems);
  if (file) static_cast<void>(file->commit(session.text(plan)));
  plan.filesystems.set_over();
  Log log(nullptr, plan.syslog ? plan.syslog() : nullptr);
  log.error("the watchdog of session " + plan.execution_id + " died; the sentinel has thawed its filesystems");
  ::_exit(0);
}

}  // namespace

void run_sentinel(SessionPlan& plan, SessionState& session, pid_t watchdog, Deadline deadline, int channel, int freezer_life) {
  std::vector<int> keep = {channel, freezer_life, plan.lock.get(), plan.state->fd()};
  for (std::size_t i = 0; i < plan.filesystems.size(); ++i) keep.push_back(plan.filesystems[i].fd.get());
  stay_background("dlm-sentinel", std::move(keep));

  sigset_t death;
  ::sigemptyset(&death);
  ::sigaddset(&death, SIGUSR1);
  const UniqueFd signals(::signalfd(-1, &death, SFD_CLOEXEC | SFD_NONBLOCK));
  const auto timer = new_timer(Deadline(deadline.at() + kGrace));
  auto thawer = Thawer::create(plan.filesystems, freezer_life);
  if (!signals || !timer || !thawer) ::_exit(1);
  std::optional<AtomicFile> file;
  // Not worth failing for: without it only the record stays behind the facts, and post-script finds that out.
  if (auto created = plan.state->new_record_file("sentinel", session.text(plan).size() + kRecordReserve)) file = std::move(*created);
  lock_memory();

  // Sent by the kernel when the watchdog's main thread ends, even while another of its threads is stuck in the kernel.
  ::prctl(PR_SET_PDEATHSIG, SIGUSR1);
  bool late = false;
  for (;;) {
    const bool dead = ::getppid() != watchdog;
    if (plan.filesystems.over()) break;
    if (dead) take_over(plan, session, *thawer, file);
    std::array<pollfd, 2> events = {pollfd{signals.get(), POLLIN, 0}, pollfd{late ? -1 : timer->get(), POLLIN, 0}};
    if (::poll(events.data(), events.size(), -1) < 0) continue;
    signalfd_siginfo info{};
    static_cast<void>(!::read(signals.get(), &info, sizeof info));
    if (events[1].revents != 0) {
      late = true;
      // A watchdog that is stopped or stuck. What it has begun is left to it.
      while (!thawer->run(Deadline::in(kThawPatience), ::getppid() != watchdog) && ::getppid() == watchdog) {
      }
    }
  }
  file.reset();
  ::_exit(0);
}

}  // namespace dlm_freeze
