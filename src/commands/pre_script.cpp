// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/directory.hpp"
#include "base/process.hpp"
#include "commands/command_context.hpp"
#include "commands/hold_time.hpp"
#include "commands/host_plan.hpp"
#include "commands/manifest_plan.hpp"
#include "commands/mount_watch.hpp"
#include "commands/planning_guard.hpp"
#include "commands/report.hpp"
#include "commands/state_check.hpp"
#include "dlm_freeze/base/files.hpp"
#include "fs/sysfs.hpp"
#include "record/inventory.hpp"
#include "session/client.hpp"
#include "session/limits.hpp"
#include "session/recovery.hpp"
#include "session/scope.hpp"

namespace dlm_freeze {
namespace {

/// For a session that is being undone to be over, before it is looked at again.
constexpr auto kLockSlice = std::chrono::milliseconds(100);

/// Measures the stages of the run, one after the other.
class StageClock {
 public:
  explicit StageClock(BootClock::time_point start) : last_(start) {}

  /// The stage, the next of kStages, has ended.
  void finish_stage() {
    const auto now = BootClock::now();
    seconds_.at(finished_++) = std::chrono::duration<double>(now - last_).count();
    last_ = now;
  }
  /// What went by since is of no stage.
  void skip() { last_ = BootClock::now(); }
  [[nodiscard]] const StageSeconds& seconds() const { return seconds_; }

  [[nodiscard]] std::string summary() const {
    std::vector<std::string> stages;
    for (std::size_t i = 0; i < finished_; ++i)
      stages.push_back(std::string(kStages.at(i)) + " " + format_seconds(seconds_.at(i)));
    return join(stages, ", ");
  }

 private:
  BootClock::time_point last_;
  StageSeconds seconds_{};
  std::size_t finished_ = 0;
};

/// Whether the caller has gone: nobody can read what is written to it any more. A pipe says so by POLLERR, a socket or
/// terminal by POLLHUP.
bool caller_has_gone() {
  pollfd event = {STDOUT_FILENO, 0, 0};
  return ::poll(&event, 1, 0) > 0 && (event.revents & (POLLERR | POLLHUP)) != 0;
}

/// The record of a session that has not ended.
std::optional<SessionRecord> unended_record(const StateDirectory& state) {
  auto record = state.read_record();
  if (!record || !*record || (*record)->phase == Phase::ended) return std::nullopt;
  return std::move(**record);
}

Error is_held(const SessionRecord& record) {
  return {ErrorKind::already_frozen,
          "a session is active already: execution " + record.execution_id + ", started at " +
              format_utc(record.started_at) + ", ends by itself at " + format_utc(record.deadline_at) +
              "; end it with dlm-freeze post-script",
          0};
}

Error is_busy(const std::optional<SessionRecord>& record, bool is_listening) {
  std::string message = is_listening ? "another pre-script is running" : "the session before is still being undone";
  if (record) message += ": execution " + record->execution_id + ", started at " + format_utc(record->started_at);
  return {ErrorKind::already_frozen, message + "; run pre-script again when dlm-freeze status shows that it has ended",
          0};
}

/// The session's lock. A session that is held is an error at once. One that is being undone is waited for, and so is
/// one that is not held yet: its pre-script may have been killed, and its watchdog be about to notice.
Result<UniqueFd> take_lock(const StateDirectory& state, Deadline budget) {
  for (;;) {
    auto lock = state.try_lock(StateDirectory::Lock::session);
    if (!lock) return tl::unexpected(lock.error());
    if (*lock) return std::move(**lock);
    const bool is_listening = state.is_listening(budget.or_earlier(Deadline::in(kLockSlice)));
    const auto record = unended_record(state);
    if (is_listening && record && record->phase == Phase::held) return tl::unexpected(is_held(*record));
    lock = state.lock_by(StateDirectory::Lock::session, budget.or_earlier(Deadline::in(kLockSlice)));
    if (!lock) return tl::unexpected(lock.error());
    if (*lock) return std::move(**lock);
    if (budget.expired()) return tl::unexpected(is_busy(record, is_listening));
  }
}

/// Undoes what a session whose processes were all killed may have left behind. What cannot be undone stays on record.
/// Gives what the next record is to know of the sessions before it.
Result<std::vector<EarlierSession>> recover_earlier_session(const StateDirectory& state, CommandContext& context,
                                                            Deadline deadline) {
  auto record = state.read_record();
  if (!record) {
    // Only what is damaged is replaced: what cannot be read now may say what is frozen.
    if (record.error().errno_value != 0) return tl::unexpected(record.error());
    context.log.warn("the record of the last session is damaged and is replaced: " + record.error().message);
    return std::vector<EarlierSession>();
  }
  if (!*record) return std::vector<EarlierSession>();
  const bool orphan = (*record)->is_orphan(current_boot_id());
  const bool is_of_this_boot = (*record)->is_of_boot(current_boot_id());
  if (!is_of_this_boot || (!orphan && !(*record)->has_leftovers())) return (*record)->earlier_for_next();
  context.log.warn(orphan ? "the processes of session " + (*record)->execution_id +
                                " were killed; undoing what they left behind"
                          : "session " + (*record)->execution_id + " could not undo everything; trying again");
  recover_orphan(state, **record, context.registry, context.control, deadline);
  if (orphan) {
    if (auto remembered = remember_for(**record, limits::kHistory); !remembered)
      context.log.warn(remembered.error().message);
  }
  const std::string problems = list_of((*record)->problems, "; ");
  if (!(*record)->has_leftovers()) {
    if (!(*record)->problems.empty()) context.log.warn(problems);
    return (*record)->earlier_for_next();
  }
  if (auto written = state.write_record(**record); !written) context.log.warn(written.error().message);
  return failure("the session of execution " + (*record)->execution_id +
                 " left behind what cannot be undone: " + problems);
}

void log_plan(const HostPlan& plan, CommandContext& context) {
  log_gaps(plan, context.log);
  for (const PlannedMount& planned : plan.freeze.mounts) {
    context.log.debug(planned.mount.mount_point + ": " + std::string(to_string(planned.verdict)) + ", " + planned.why);
  }
  if (!plan.freeze.unmatched.empty()) {
    context.log.warn("the configuration's " + unmatched_text(plan.freeze));
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
      : settings_(settings), context_(context), budget_(context.started + settings.timeout), clock_(context.started) {
    if (settings.hold_at) hold_time_.emplace(*settings.hold_at);
  }

  Result<void> run() {
    if (auto allowed = check_privilege(); !allowed) return allowed;
    if (auto in_time = hold_time_ ? hold_time_->check(stage_deadline()) : Result<void>(); !in_time) return in_time;
    auto guard = std::make_optional<PlanningGuard>(planning_deadline());
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
    if (auto safe = check_state_directory(settings_.state_directory, plan->table); !safe) return safe;
    guard.reset();  // The rest checks the budget itself, and may fork.
    auto lock = take_lock(*state, budget_);
    if (!lock) return tl::unexpected(lock.error());
    state->remove_stale_files();
    auto earlier = recover_earlier_session(*state, context_, budget_);
    if (!earlier) return tl::unexpected(earlier.error());
    if (auto room = check_state_room(settings_.state_directory); !room) return room;
    auto freezer_lock = state->open_lock(StateDirectory::Lock::freezer);
    if (!freezer_lock) return tl::unexpected(freezer_lock.error());

    reserve_descriptors(*plan);          // While there is no thread.
    guard.emplace(planning_deadline());  // A listener that decides on opens (fanotify) may not answer.
    auto filesystems = open_filesystems(*plan, context_.control, context_.log);
    if (!filesystems) return tl::unexpected(filesystems.error());
    const auto session_id = new_session_id();
    if (!session_id) return tl::unexpected(session_id.error());
    ManifestPlan manifests = plan_manifests(*plan, *filesystems, *session_id, settings_, context_);
    clock_.finish_stage();

    SessionPlan session{.state = &*state,
                        .lock = std::move(*lock),
                        .freezer_lock = std::move(*freezer_lock),
                        .filesystems = std::move(*filesystems),
                        .rcu = ExpeditedRcu::open(),
                        .quiescers = std::move(*chosen),
                        .manifests = std::move(manifests),
                        .session_id = *session_id,
                        .execution_id = settings_.execution_id,
                        .group_id = settings_.group_id,
                        .host = host_name(),
                        .hold_wanted_at = settings_.hold_at.value_or(WallTime()),
                        .auto_thaw = auto_thaw,
                        .max_stall = settings_.max_stall,
                        .host_dirty = settings_.max_stall ? DirtyMemory::open({std::string(kHost)}) : DirtyMemory(),
                        .started_at = std::chrono::system_clock::now(),
                        .earlier = std::move(*earlier),
                        .history_file = settings_.history_file,
                        .metrics_file = settings_.metrics_file,
                        .inventory = inventory_in_use(),
                        .coverage = [&plan](const std::string& path) { return plan->coverage(path); },
                        .syslog = context_.syslog};
    if (session.filesystems.size() == 0 && session.quiescers.empty()) {
      context_.log.warn(
          "there is nothing to freeze and no database to quiesce: the snapshot will only be crash-consistent");
    }
    if (auto untraced = check_tracer(*plan); !untraced) return untraced;
    const bool output_will_freeze = plan->may_wait_for_thaw(STDOUT_FILENO) || plan->may_wait_for_thaw(STDERR_FILENO);
    if (is_any_to_freeze(*plan)) {
      session.caller_files = UniqueFd(::fcntl(context_.caller_files->lease().get(), F_DUPFD_CLOEXEC, 0));
    }
    context_.caller_files->close();
    guard.reset();
    return run_session(session, *plan, output_will_freeze);
  }

 private:
  Result<void> run_session(SessionPlan& session, const HostPlan& plan, bool output_will_freeze) {
    if (hold_time_) session.until_hold = std::max(hold_time_->remaining(), BootClock::duration::zero());
    auto client = SessionClient::start(session, budget_, [&] { complete(session, plan); });
    if (!client) return tl::unexpected(client.error());
    auto held = hold(*client, session, plan, output_will_freeze);
    if (!held) {
      const Deadline patience(std::max(budget_.at(), BootClock::now()) + limits::kRollBack);
      const SessionClient::Leftovers left = client->roll_back(patience);
      if (left.frozen.empty()) context_.log.syslog().resume();
      say_what_is_left(left, held.error());
      context_.caller_files->go_on();
      log_notes(*client);
      context_.log.caller().resume();
    }
    return held;
  }

  /// What only the watchdog needs to know.
  void complete(SessionPlan& session, const HostPlan& plan) {
    if (session.filesystems.size() == 0) return;
    const PlanningGuard guard(planning_deadline());
    const AttachedDisks disks = AttachedDisks::read();
    session.witness = plan_witness(plan, session.filesystems, disks);
    session.volumes = volumes_below(plan, session.filesystems, disks);
    LimitedDevices limited = open_dirty_limit(plan, settings_.dirty_limit);
    session.dirty_limit = std::move(limited.limit);
    session.dirty_memory = std::move(limited.memory);
    ::malloc_trim(0);  // As in plan_host.
  }

  /// By the text of the descriptor's /proc/PID/fdinfo.
  static bool is_for_writing(const Result<std::string>& info) {
    constexpr std::string_view kKey = "flags:";
    const std::size_t at = info ? info->find(kKey) : std::string::npos;
    if (at == std::string::npos) return false;
    return (std::strtoul(info->c_str() + at + kKey.size(), nullptr, 8) & O_ACCMODE) != O_RDONLY;
  }

  /// Who traces this process traces all that it forks: if he waits for the thaw, none of them goes on, and nobody
  /// thaws.
  static Result<void> check_tracer(const HostPlan& plan) {
    const std::uint64_t pid = value_of(read_file("/proc/self/status").value_or(""), "TracerPid:");
    if (pid == 0) return {};
    const std::string tracer = std::to_string(pid);
    const std::string directory = "/proc/" + tracer + "/fd";
    for (const std::string& name : names_in(directory)) {
      const UniqueFd file(::open((directory + "/" + name).c_str(), O_PATH | O_CLOEXEC));
      if (!file || !plan.may_wait_for_thaw(file.get()) || !is_for_writing(read_file(directory + "info/" + name)))
        continue;
      std::error_code error;
      return failure("dlm-freeze is traced by process " + tracer + ", which has " +
                     std::filesystem::read_symlink(directory + "/" + name, error).string() +
                     " open: once that is frozen, nobody could thaw it; trace to a file that is not");
    }
    return {};
  }

  /// Whether stdout or stderr is a file on what is going to be frozen.
  [[nodiscard]] bool is_any_to_freeze(const HostPlan& plan) const {
    const std::vector<UniqueFd>& files = context_.caller_files->outputs();
    return std::any_of(files.begin(), files.end(),
                       [&](const UniqueFd& file) { return plan.may_wait_for_thaw(file.get()); });
  }

  static void say_what_is_left(const SessionClient::Leftovers& left, Error& error) {
    if (!left.frozen.empty()) {
      error.message += "; " + list_of(left.frozen) + " will be thawed once the kernel call returns";
    }
    if (!left.quiesced.empty())
      error.message +=
          "; " + list_of(left.quiesced) + (left.quiesced.size() == 1 ? " is" : " are") + " still being released";
    if (!left.frozen.empty() || !left.quiesced.empty()) error.message += "; everything else is undone";
  }

  Result<void> hold(SessionClient& client, const SessionPlan& session, const HostPlan& plan, bool output_will_freeze) {
    leave_callers_cgroup(client);
    clock_.finish_stage();
    const Deadline stage_deadline = this->stage_deadline();
    MountWatch mounts(plan, session.filesystems);
    const auto look_for_changes = [&] {
      // It may take as long as a plan, and look into what hangs: then the watchdog rolls back.
      const PlanningGuard guard(stage_deadline);
      mounts.look(context_.log);
    };
    if (auto prepared = prepare(client, stage_deadline, look_for_changes); !prepared) return prepared;
    log_notes(client);
    clock_.finish_stage();
    if (hold_time_) {
      if (auto waited = hold_time_->await(client, mounts, stage_deadline, context_.log); !waited) return waited;
      clock_.skip();
    }
    if (!session.quiescers.empty()) context_.log.info("quiescing " + count_of(session.quiescers.size(), "database"));
    if (auto quiesced = client.quiesce(stage_deadline); !quiesced) return quiesced;
    clock_.finish_stage();
    log_notes(client);

    mounts.look_before_freeze(context_.log);
    context_.log.syslog().hold();
    context_.caller_files->flush();
    if (session.caller_files) context_.caller_files->pause();
    if (output_will_freeze) context_.log.caller().hold();
    if (auto frozen = client.freeze(budget_); !frozen) return frozen;
    clock_.finish_stage();
    log_notes(client);
    mounts.look_while_frozen(context_.log);
    context_.log.info(what_is_held(session) + " (" + clock_.summary() + "); auto-thaw in " +
                      count_of(static_cast<std::size_t>(session.auto_thaw.count()), "second"));
    if (caller_has_gone())
      return failure("success cannot be reported: the reader of standard output is gone, so everything is undone");
    // Written before the hand-over: after it, nothing may come between success and exit.
    log_completion("pre-script", context_);
    if (!session.caller_files) context_.caller_files->flush();
    return client.commit(budget_, clock_.seconds(), context_.log.syslog().take_held());
  }

  /// "quiesced 1 database, froze 2 filesystems", or one of them where there is nothing of the other.
  static std::string what_is_held(const SessionPlan& session) {
    std::size_t frozen = 0;
    for (std::size_t i = 0; i < session.filesystems.size(); ++i) {
      if (session.filesystems.state(i) == FreezeState::frozen) ++frozen;
    }
    const std::string froze = "froze " + count_of(frozen, "filesystem");
    if (session.quiescers.empty()) return froze;
    const std::string quiesced = "quiesced " + count_of(session.quiescers.size(), "database");
    return session.filesystems.size() == 0 ? quiesced : quiesced + ", " + froze;
  }

  /// Each look-up has the budget as its own limit, and can say what hangs.
  [[nodiscard]] Deadline planning_deadline() const { return Deadline(budget_.at() + limits::kBudgetReserve); }

  [[nodiscard]] Deadline stage_deadline() const { return Deadline(context_.started + settings_.stage_budget()); }

  /// Until the hold is to begin, where that is known.
  Result<void> prepare(SessionClient& client, Deadline stage_deadline, const std::function<void()>& meanwhile) {
    if (!hold_time_) return client.prepare(stage_deadline, meanwhile);
    auto prepared = client.prepare(hold_time_->deadline().or_earlier(stage_deadline), meanwhile);
    if (!prepared) return tl::unexpected(hold_time_->judge(prepared.error()));
    return prepared;
  }

  /// While the freezer writes back. The session is worth no less without it, as long as the caller is not stopped.
  void leave_callers_cgroup(const SessionClient& client) {
    if (!host_runs_systemd()) return;
    if (auto moved = move_to_own_scope(context_.module_directory, client.processes()); !moved) {
      context_.log.warn("the watchdog stays in the caller's cgroup: " + moved.error().message);
    }
  }

  void log_notes(SessionClient& client) {
    for (const LogLine& note : client.take_notes()) context_.log.write(note.level, note.text);
  }

  const Settings& settings_;
  CommandContext& context_;
  Deadline budget_;
  StageClock clock_;
  std::optional<HoldTime> hold_time_;
};

}  // namespace

Result<void> pre_script(const Settings& settings, CommandContext& context) {
  return PreScript(settings, context).run();
}

}  // namespace dlm_freeze
