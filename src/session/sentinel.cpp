// SPDX-License-Identifier: Apache-2.0
#include "session/sentinel.hpp"

#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/process.hpp"
#include "base/process_handle.hpp"
#include "base/wait.hpp"
#include "fs/thawer.hpp"
#include "record/history.hpp"
#include "session/limits.hpp"
#include "session/recovery.hpp"
#include "session/rehearsal.hpp"
#include "session/rights.hpp"

namespace dlm_freeze {
namespace {

/// Of the process that forked this one: if it is the parent still, the number was its own all the time.
ProcessHandle handle_of_parent(pid_t parent) {
  ProcessHandle handle = ProcessHandle::of(parent);
  return ::getppid() == parent ? std::move(handle) : ProcessHandle();
}

class Sentinel {
 public:
  Sentinel(SessionPlan& plan, SessionState& session, const SentinelDuty& duty, Thawer thawer)
      : plan_(plan),
        session_(session),
        duty_(duty),
        thawer_(std::move(thawer)),
        watchdog_(handle_of_parent(duty.watchdog)),
        alarm_(duty.deadline.at() + limits::kThawGrace) {}

  [[nodiscard]] bool set_up() {
    sigset_t death;
    ::sigemptyset(&death);
    ::sigaddset(&death, SIGUSR1);
    signals_ = UniqueFd(::signalfd(-1, &death, SFD_CLOEXEC | SFD_NONBLOCK));
    auto timer = new_timer(alarm_);
    if (!timer || !rehearse_end(plan_, duty_.ready)) return false;
    timer_ = std::move(*timer);
    static_cast<void>(lock_memory());  // The watchdog says what comes of it: it is the same for both.
    // Sent by the kernel when the watchdog's main thread ends, even while another of its threads is stuck there.
    if (!signals_ || ::prctl(PR_SET_PDEATHSIG, SIGUSR1) != 0) return false;
    give_up_calls(!plan_.quiescers.empty());
    return true;
  }

  [[noreturn]] void run() {
    for (;;) {
      if (plan_.filesystems.over()) {
        StateDirectory::release(plan_.lock.get());
        end_process(0);
      }
      // While another thread of a killed watchdog is stuck, this process is still that one's child: the signal tells.
      if (is_dead_ || ::getppid() != duty_.watchdog) {
        replace_watchdog(is_late_ ? SessionEnd::auto_thawed : SessionEnd::watchdog_lost);
      }
      wait_for_signal();
      if (alarm_.expired()) on_alarm();
    }
  }

 private:
  void wait_for_signal() {
    std::array<pollfd, 2> events = {pollfd{signals_.get(), POLLIN, 0}, pollfd{timer_.get(), POLLIN, 0}};
    if (::poll(events.data(), events.size(), -1) < 0) return;
    signalfd_siginfo info{};
    if (::read(signals_.get(), &info, sizeof info) == sizeof info) {
      is_dead_ = is_dead_ || info.ssi_pid == static_cast<std::uint32_t>(duty_.watchdog);
    }
  }

  void on_alarm() {
    if (is_killed_) {
      // It hangs in the kernel, where no signal reaches it. Should it come back, it dies before its next instruction.
      replace_watchdog(SessionEnd::auto_thawed);
    }
    const bool is_thawing = plan_.filesystems.ending() && !plan_.filesystems.any([](FreezeState state) {
      return state == FreezeState::frozen || state == FreezeState::thaw_failed;
    });
    if (is_thawing && !is_late_) {
      // A call of the watchdog's may hang, or it was stopped right before the call: made twice it does no harm.
      static_cast<void>(thawer_.run(Deadline::in(limits::kSuccessorThaw)));
      release_by_ = Deadline::in(limits::kReleaseGrace);
    }
    if (is_thawing && !release_by_.expired()) {
      watchdog_.send(SIGCONT);  // The databases are still locked if it was stopped before it released them.
      set_alarm(limits::kThawGrace);
    } else {
      // One that is stopped or stuck has to be dead before its work is done for it: it could still answer that all is
      // well.
      watchdog_.send(SIGKILL);
      is_killed_ = true;
      set_alarm(limits::kKill);
    }
    is_late_ = true;
  }

  void set_alarm(BootClock::duration span) {
    alarm_ = Deadline::in(span);
    set_timer(timer_.get(), alarm_);
  }

  /// Does what the watchdog would have done.
  [[noreturn]] void replace_watchdog(SessionEnd end) {
    const auto thaw = [&](Deadline until) {
      if (thawer_.run(until.or_earlier(Deadline::in(limits::kFreezerHang)))) return true;
      if (until.expired()) return false;
      plan_.freezer.send(SIGKILL);  // As the watchdog does.
      return thawer_.run(until);
    };
    take_over(plan_, session_, thaw, Deadline::in(limits::kForever), end);
    // The directory's own lock decides: a rename by a watchdog that hangs comes before this, or finds nothing.
    for (AtomicFile* file : duty_.watchdogs_files) file->discard();
    plan_.state->stop_listening();
    static_cast<void>(duty_.record_file.commit(session_.text(plan_)));
    plan_.filesystems.set_over();
    StateDirectory::release(plan_.lock.get());  // Also for a watchdog that hangs and never lets go of it.
    Log log(nullptr, plan_.syslog ? plan_.syslog() : nullptr);
    log.error("the watchdog of session " + plan_.execution_id +
              " died or hung; the sentinel has thawed its filesystems");
    if (auto remembered = remember(session_.record); !remembered) log.warn(remembered.error().message);
    end_process(0);
  }

  SessionPlan& plan_;
  SessionState& session_;
  const SentinelDuty& duty_;
  Thawer thawer_;
  ProcessHandle watchdog_;
  UniqueFd signals_;
  UniqueFd timer_;
  Deadline alarm_;                                ///< When to look again.
  Deadline release_by_{BootClock::time_point()};  ///< Until when a watchdog that has thawed may release the databases.
  bool is_late_ = false;                          ///< The deadline has passed.
  bool is_killed_ = false;                        ///< The watchdog, by this process.
  bool is_dead_ = false;                          ///< It is gone.
};

}  // namespace

void run_sentinel(SessionPlan& plan, SessionState& session, const SentinelDuty& duty) {
  std::vector<int> keep = duty.life_lines;
  keep.insert(keep.end(), {duty.channel, duty.ready, duty.life, plan.lock.get(), plan.state->fd(),
                           duty.record_file.fd(), plan.rcu.fd(), plan.caller_files.get()});
  for (const int descriptor : plan.freezer.descriptors()) keep.push_back(descriptor);
  plan.dirty_limit.add_descriptors(keep);
  for (const AtomicFile* file : duty.watchdogs_files) keep.push_back(file->fd());
  for (std::size_t i = 0; i < plan.filesystems.size(); ++i) keep.push_back(plan.filesystems[i].fd.get());
  stay_background("dlm-sentinel", std::move(keep), duty.inherited);

  auto thawer = Thawer::create(plan.filesystems, duty.life_lines, Thawer::Role::successor);
  if (!thawer) end_process(1);
  Sentinel sentinel(plan, session, duty, std::move(*thawer));
  if (!sentinel.set_up()) end_process(1);
  raise_event(duty.ready);
  sentinel.run();
}

}  // namespace dlm_freeze
