// SPDX-License-Identifier: Apache-2.0
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "commands/command_context.hpp"
#include "commands/host_plan.hpp"
#include "commands/report.hpp"
#include "fs/mount_table.hpp"
#include "session/client.hpp"
#include "session/recovery.hpp"
#include "session/scope.hpp"

namespace dlm_freeze {
namespace {

/// What the databases leave of the time budget, so that their own errors are heard before it is spent.
constexpr auto kReserve = std::chrono::milliseconds(300);
/// How long a failed pre-script waits for the undoing beyond its budget.
constexpr auto kRollBackPatience = std::chrono::milliseconds(800);

/// Measures the stages of the run, one after the other.
class StageClock {
 public:
  explicit StageClock(BootClock::time_point start) : last_(start) {}

  void finish(std::string stage) {
    const auto now = BootClock::now();
    seconds_.emplace_back(std::move(stage), std::chrono::duration<double>(now - last_).count());
    last_ = now;
  }
  [[nodiscard]] const std::vector<std::pair<std::string, double>>& seconds() const { return seconds_; }

  [[nodiscard]] std::string summary() const {
    std::string text;
    for (const auto& [stage, seconds] : seconds_) {
      text += (text.empty() ? "" : ", ") + stage + " " + format_seconds(seconds);
    }
    return text;
  }

 private:
  BootClock::time_point last_;
  std::vector<std::pair<std::string, double>> seconds_;
};

/// Raises the limit on descriptors, where it is too low for so many filesystems: each takes its own and a life line.
void allow_descriptors_for(std::size_t filesystems) {
  constexpr rlim_t kEach = 3;
  constexpr rlim_t kOthers = 128;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  const rlim_t needed = std::min<rlim_t>(kEach * filesystems + kOthers, limit.rlim_max);
  if (limit.rlim_cur >= needed) return;
  limit.rlim_cur = needed;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

Error session_is_active(const StateDirectory& state) {
  std::string message = "a session is active already";
  const auto record = state.read_record();
  if (record && *record && (*record)->phase != Phase::ended) {
    message += ": execution " + (*record)->execution_id + ", started at " + format_utc((*record)->started_at) +
               ", ends by itself at " + format_utc((*record)->deadline_at);
  }
  return {ErrorKind::already_frozen, message + "; end it with dlm-freeze post-script", 0};
}

/// Undoes what a session whose processes were all killed may have left behind.
void recover_earlier_session(const StateDirectory& state, CommandContext& context, Deadline deadline) {
  auto record = state.read_record();
  if (!record) {
    context.log.warn("the record of the last session is not readable and is replaced: " + record.error().message);
    return;
  }
  if (!*record || (*record)->boot_id != current_boot_id()) return;
  const bool orphan = (*record)->is_orphan(current_boot_id());
  if (!orphan && !(*record)->has_leftovers()) return;
  context.log.warn("the processes of session " + (*record)->execution_id +
                   " were killed; undoing what they left behind");
  recover_orphan(state, **record, context.registry, context.control, deadline);
  for (const std::string& problem : (*record)->problems) context.log.warn(problem);
  if (!orphan) return;
  if (auto remembered = remember(**record); !remembered) context.log.warn(remembered.error().message);
}

void log_plan(const HostPlan& plan, CommandContext& context) {
  log_gaps(plan, context.log);
  for (const PlannedMount& planned : plan.freeze.mounts) {
    context.log.debug(printable(planned.mount.mount_point) + ": " + std::string(to_string(planned.verdict)) + ", " +
                      printable(planned.why));
  }
  for (const std::string& pattern : plan.freeze.unmatched) {
    context.log.warn("the configuration's " + printable(pattern) + " matches no mount point");
  }
}

/// Sorts out which of the databases take part.
Result<std::vector<PlannedQuiescer>> choose_quiescers(HostPlan& plan, CommandContext& context) {
  std::vector<PlannedQuiescer> chosen;
  for (FoundQuiescer& found : plan.quiescers) {
    const QuiescerConfig& config = found.planned.config;
    if (found.presence.running) {
      chosen.push_back(std::move(found.planned));
    } else if (config.required) {
      return failure(config.name + " is required and does not run: " + found.presence.detail, ErrorKind::not_ready);
    } else {
      context.log.info(config.name + " is skipped: " + found.presence.detail);
    }
  }
  return chosen;
}

class PreScript {
 public:
  PreScript(const Settings& settings, CommandContext& context)
      : settings_(settings), context_(context), budget_(context.started + settings.timeout), clock_(context.started) {}

  Result<void> run() {
    if (auto allowed = check_privilege(); !allowed) return allowed;
    auto plan = plan_host(settings_, context_);
    if (!plan) return tl::unexpected(plan.error());
    if (!plan->on_host) return plan->on_host;
    if (!plan->databases_known) return plan->databases_known;
    log_plan(*plan, context_);
    const std::chrono::seconds auto_thaw = plan->auto_thaw(settings_.auto_thaw, context_.log);
    auto chosen = choose_quiescers(*plan, context_);
    if (!chosen) return tl::unexpected(chosen.error());

    auto state = StateDirectory::open(settings_.state_directory, true);
    if (!state) return tl::unexpected(state.error());
    auto lock = state->try_lock(StateDirectory::Lock::session);
    if (!lock) return tl::unexpected(lock.error());
    if (!*lock) return tl::unexpected(session_is_active(*state));
    recover_earlier_session(*state, context_, budget_);
    auto freezer_lock = state->open_lock(StateDirectory::Lock::freezer);
    if (!freezer_lock) return tl::unexpected(freezer_lock.error());

    allow_descriptors_for(plan->freeze.filesystems.size());
    auto opening = FrozenFilesystems::open(plan->freeze, context_.control);
    if (!opening) return tl::unexpected(opening.error());
    for (const std::string& warning : opening->warnings) context_.log.warn(printable(warning));
    clock_.finish("plan");

    SessionPlan session{.state = &*state,
                        .lock = std::move(**lock),
                        .freezer_lock = std::move(*freezer_lock),
                        .filesystems = std::move(opening->filesystems),
                        .rcu = ExpeditedRcu::open(),
                        .quiescers = std::move(*chosen),
                        .execution_id = settings_.execution_id,
                        .auto_thaw = auto_thaw,
                        .started_at = std::chrono::system_clock::now(),
                        .history_file = settings_.history_file,
                        .metrics_file = settings_.metrics_file,
                        .coverage = [&plan](const std::string& path) { return plan->coverage(path); },
                        .syslog = context_.syslog};
    if (session.filesystems.size() == 0 && session.quiescers.empty()) {
      context_.log.warn(
          "there is nothing to freeze and no database to quiesce: a snapshot is no better than without this");
    }
    const bool output_will_freeze = plan->may_wait_for_thaw(STDOUT_FILENO) || plan->may_wait_for_thaw(STDERR_FILENO);
    return run_session(session, output_will_freeze);
  }

 private:
  Result<void> run_session(SessionPlan& session, bool output_will_freeze) {
    auto client = SessionClient::start(session, budget_);
    if (!client) return tl::unexpected(client.error());
    auto held = hold(*client, session, output_will_freeze);
    if (!held) {
      const Deadline patience(std::max(budget_.at(), BootClock::now()) + kRollBackPatience);
      const std::vector<std::string> left = client->roll_back(patience);
      if (!left.empty()) {
        held.error().message += "; everything else is undone, and the watchdog undoes " + join(left, ", ") +
                                " as soon as the kernel lets it";
      } else {
        context_.log.syslog().resume();
      }
      log_notes(*client);
      context_.log.caller().resume();
    }
    return held;
  }

  Result<void> hold(SessionClient& client, const SessionPlan& session, bool output_will_freeze) {
    leave_callers_cgroup(client);
    clock_.finish("start");
    const Deadline stage_deadline(budget_.at() - std::min<BootClock::duration>(kReserve, settings_.timeout / 4));
    if (auto prepared = client.prepare(stage_deadline); !prepared) return prepared;
    clock_.finish("prepare");
    log_notes(client);
    if (!session.quiescers.empty()) context_.log.info("quiescing " + count_of(session.quiescers.size(), "database"));
    if (auto quiesced = client.quiesce(stage_deadline); !quiesced) return quiesced;
    clock_.finish("quiesce");
    log_notes(client);

    context_.log.syslog().hold();
    if (output_will_freeze) context_.log.caller().hold();
    if (auto frozen = client.freeze(budget_); !frozen) return frozen;
    clock_.finish("freeze");
    log_notes(client);
    std::size_t frozen_count = 0;
    for (std::size_t i = 0; i < session.filesystems.size(); ++i) {
      if (session.filesystems.state(i) == FreezeState::frozen) ++frozen_count;
    }
    context_.log.info("froze " + count_of(frozen_count, "filesystem") + " (" + clock_.summary() + "); auto-thaw in " +
                      count_of(static_cast<std::size_t>(session.auto_thaw.count()), "second"));
    // Written before the hand-over: after it, nothing may come between success and exit.
    log_completion("pre-script", context_);
    return client.commit(budget_, clock_.seconds(), context_.log.syslog().take_held());
  }

  /// While the freezer writes back. The session is worth no less without it, as long as the caller is not stopped.
  void leave_callers_cgroup(const SessionClient& client) {
    if (!host_runs_systemd()) return;
    if (auto moved = move_to_own_scope(context_.module_directory, client.processes()); !moved) {
      context_.log.warn("the watchdog stays in the caller's cgroup: " + moved.error().message);
    }
  }

  void log_notes(SessionClient& client) {
    for (const LogLine& note : client.take_notes()) context_.log.write(note.level, printable(note.text));
  }

  const Settings& settings_;
  CommandContext& context_;
  Deadline budget_;
  StageClock clock_;
};

}  // namespace

Result<void> pre_script(const Settings& settings, CommandContext& context) {
  return PreScript(settings, context).run();
}

}  // namespace dlm_freeze
