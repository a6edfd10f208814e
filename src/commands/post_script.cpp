// SPDX-License-Identifier: Apache-2.0
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>
#include <vector>

#include "base/text.hpp"
#include "commands/command_context.hpp"
#include "commands/host_plan.hpp"
#include "commands/planning_guard.hpp"
#include "commands/report.hpp"
#include "fs/expedited_rcu.hpp"
#include "session/client.hpp"
#include "session/limits.hpp"
#include "session/recovery.hpp"

namespace dlm_freeze {
namespace {

/// What a session's end means for the post-script that ended it, or is the first one after it.
Result<void> verdict(const SessionRecord& record) {
  const std::string problems = list_of(record.problems, "; ");
  switch (record.end) {
    case SessionEnd::completed:
      if (!record.problems.empty()) return failure(problems);
      return {};
    case SessionEnd::auto_thawed:
      return failure("the session was ended at " + format_utc(record.ended_at) + ", before post-script came" +
                         (problems.empty() ? ", by its deadline; raise auto_thaw_seconds if post-script needs longer"
                                           : ": " + problems),
                     ErrorKind::auto_thawed);
    case SessionEnd::watchdog_lost:
      return failure("the quiesced and frozen state did not last: " + problems);
    case SessionEnd::rolled_back:
    case SessionEnd::none:
      return failure(problems.empty() ? "the session was rolled back" : "the session was rolled back: " + problems);
  }
  return {};
}

class PostScript {
 public:
  PostScript(const Settings& settings, CommandContext& context)
      : settings_(settings), context_(context), budget_(context.started + settings.timeout) {}

  Result<void> run() {
    // Whatever these lines are written to may be frozen; nothing waits for them before the thaw.
    context_.log.caller().hold();
    context_.log.syslog().hold();
    auto done = end_session();
    // A caller's pipe or terminal is not frozen; a file may be, by another program, and then waits without this
    // process.
    context_.caller_files->hand_over();
    context_.log.caller().resume();
    if (!still_frozen_) context_.log.syslog().resume();
    return done;
  }

 private:
  Result<void> end_session() {
    log_start("post-script", settings_.execution_id, context_.log);
    if (auto allowed = check_privilege(); !allowed) return allowed;
    const auto state = open_state();
    if (!state && state.error().errno_value == ENOENT) return no_session();
    if (!state) return tl::unexpected(state.error());

    thaw_if_overdue(*state);
    EndAnswer asked = ask_to_end(*state, settings_.execution_id, budget_);
    if (asked.record) {
      // Who has the lock now may be the next session, whose record is its own.
      const auto lock = state->try_lock(StateDirectory::Lock::session);
      return judge(*state, *asked.record, lock && *lock, !asked.by_another);
    }
    if (asked.request == EndRequest::not_his) return not_his(*state);
    const auto lock = state->lock_by(StateDirectory::Lock::session, budget_);
    if (!lock) return tl::unexpected(lock.error());
    if (!*lock) return not_in_time(*state, asked.request);
    auto record = state->read_record();
    if (!record) {
      return failure(record.error().message +
                     "; what the session left behind is unknown: find the filesystems on which writes hang, and use "
                     "fsfreeze --unfreeze");
    }
    if (!*record || !(*record)->is_of_boot(current_boot_id())) return no_session();
    if (asked.lost && (*record)->reported) {
      return failure("the session has ended, but its watchdog's report could not be read: " + asked.lost->message +
                     "; see dlm-freeze status");
    }
    return judge(*state, **record, true, false);
  }

  /// In what it lies on every later look is like the first.
  [[nodiscard]] Result<StateDirectory> open_state() const {
    const PlanningGuard guard(budget_, PlanningGuard::Of::post_script);
    auto state = StateDirectory::open(settings_.state_directory, false);
    if (state) static_cast<void>(state->read_record());
    return state;
  }

  /// Nobody else does, as long as the session's processes are stopped.
  void thaw_if_overdue(const StateDirectory& state) {
    auto record = state.read_record();
    const auto locked = state.is_locked();
    if (!record || !*record || !locked || !*locked || !is_overdue(**record)) return;
    thaw_overdue(**record, context_.control, Deadline::in(limits::kSuccessorThaw));
    context_.log.warn(
        "the session is past its deadline and its processes have not ended it: they are stopped, or paused with "
        "their container; its filesystems were thawed; end it with pkill -CONT -x 'dlm-.*'");
  }

  /// What `record` says, and means for this post-script. `is_locked`: it is still the one on file, and may be replaced.
  /// `is_ender`: this post-script has ended it.
  Result<void> judge(const StateDirectory& state, SessionRecord& record, bool is_locked, bool is_ender) {
    const bool orphan = record.is_orphan(current_boot_id());
    const bool is_to_be_undone = is_locked && (orphan || record.has_leftovers());
    if (is_to_be_undone) {
      recover_orphan(state, record, context_.registry, context_.control, budget_);
      static_cast<void>(ExpeditedRcu::open());  // Puts back what a freezer of it left set.
      if (orphan) record.problems.emplace_back("the sentinel was lost as well");
      record.end = SessionEnd::watchdog_lost;
      record.reported = false;
    }
    if (const EarlierSession* earlier = record.earlier_of(settings_.execution_id)) {
      if (is_to_be_undone) warn_of(state.write_record(record));
      if (orphan) warn_of(remember_for(record, limits::kHistory));
      return answer_for(*earlier);
    }
    if (!is_ender && is_answered(record)) return repeated(record);
    log_outcome(record);
    record.reported = true;
    if (record.ended_by.empty()) record.ended_by = settings_.execution_id;
    if (is_locked) warn_of(state.write_record(record));
    if (orphan) warn_of(remember_for(record, limits::kHistory));
    auto judged = verdict(record);
    if (judged) log_completion("post-script", context_);
    return judged;
  }

  void warn_of(const Result<void>& result) {
    if (!result) context_.log.warn(result.error().message);
  }

  void log_outcome(const SessionRecord& record) {
    if (record.execution_id != settings_.execution_id) {
      context_.log.warn("the session was started by execution " + record.execution_id);
    }
    if (record.end == SessionEnd::completed) context_.log.info(what_was_ended(record));
  }

  /// "thawed 2 filesystems, frozen for 1.519 seconds; released 1 database", or one of them where there was nothing of
  /// the other.
  static std::string what_was_ended(const SessionRecord& record) {
    const auto thawed = std::count_if(
        record.filesystems.begin(), record.filesystems.end(),
        [](const FilesystemRecord& filesystem) { return filesystem.state == to_string(FreezeState::thawed); });
    const auto released = std::count_if(record.quiescers.begin(), record.quiescers.end(),
                                        [](const QuiescerRecord& quiescer) { return !quiescer.quiesced; });
    const std::string of_filesystems = "thawed " + count_of(static_cast<std::size_t>(thawed), "filesystem") +
                                       ", frozen for " + format_seconds(record.longest_freeze()) + " seconds";
    const std::string of_databases = "released " + count_of(static_cast<std::size_t>(released), "database");
    if (record.quiescers.empty()) return of_filesystems;
    return record.filesystems.empty() ? of_databases : of_filesystems + "; " + of_databases;
  }

  /// Whether the answer is another post-script's, given or not, or nobody's. One that was killed before its answer may
  /// be repeated, also without an id.
  [[nodiscard]] bool is_answered(const SessionRecord& record) const {
    const bool is_anothers = !record.ended_by.empty() && record.ended_by != settings_.execution_id;
    return record.reported || is_anothers || (record.end == SessionEnd::rolled_back && record.ended_by.empty());
  }

  /// The answer to a post-script after the one that ended the session, if not by itself.
  Result<void> repeated(const SessionRecord& record) {
    const bool is_own = record.ended_by == settings_.execution_id && record.ended_by != "None";
    if (!is_own || record.end != SessionEnd::completed || !record.problems.empty()) return no_session();
    context_.log.info("the session was ended at " + format_utc(record.ended_at) + " already");
    log_completion("post-script", context_);
    return {};
  }

  /// The answer to the post-script of a session that another one has followed.
  Result<void> answer_for(const EarlierSession& earlier) {
    context_.log.info("this execution's session is not the last one: it ended at " + format_utc(earlier.ended_at) +
                      " (" + std::string(to_string(earlier.end)) + "); nothing else was ended");
    SessionRecord record;
    record.execution_id = earlier.execution_id;
    record.end = earlier.end;
    record.ended_at = earlier.ended_at;
    record.ended_by = earlier.ended_by;
    record.reported = earlier.reported;
    if (earlier.had_problems) record.problems.emplace_back("see dlm-freeze history --json");
    if (is_answered(record) || record.end == SessionEnd::completed) return repeated(record);
    return verdict(record);
  }

  /// Another session is active, and goes on.
  Result<void> not_his(const StateDirectory& state) {
    const auto record = state.read_record();
    const EarlierSession* earlier = record && *record ? (*record)->earlier_of(settings_.execution_id) : nullptr;
    return earlier != nullptr ? answer_for(*earlier) : no_session();
  }

  Result<void> not_in_time(const StateDirectory& state, EndRequest asked) {
    still_frozen_ = true;
    const auto record = state.read_record();
    if (record && *record && (*record)->phase == Phase::ending) asked = EndRequest::stuck;
    std::string deadline = "; it ends by itself at its deadline";
    if (record && *record) {
      deadline = is_overdue(**record) ? "; its deadline has passed"
                                      : "; it ends by itself at " + format_utc((*record)->deadline_at);
    }
    switch (asked) {
      case EndRequest::not_heard:
        return failure("a session is active, but its watchdog cannot be reached" + deadline);
      case EndRequest::stuck:
        return failure("a filesystem is not thawed yet" + (record && *record ? names_of_unthawed(**record) : "") +
                       ": a call to the kernel has not returned, and the watchdog continues as soon as it does; "
                       "everything else is thawed and released");
      case EndRequest::heard:
      case EndRequest::not_his:
        break;
    }
    return failure("the session has not ended in time" + deadline + "; see dlm-freeze status");
  }

  /// " (/data, /logs)"
  static std::string names_of_unthawed(const SessionRecord& record) {
    std::vector<std::string> names;
    for (const FilesystemRecord& filesystem : record.filesystems) {
      if (filesystem.may_be_frozen) names.push_back(filesystem.mount_point);
    }
    return names.empty() ? "" : " (" + list_of(names) + ")";
  }

  Result<void> no_session() { return failure("there is no session to end", ErrorKind::not_frozen); }

  const Settings& settings_;
  CommandContext& context_;
  Deadline budget_;
  bool still_frozen_ = false;
};

}  // namespace

Result<void> post_script(const Settings& settings, CommandContext& context) {
  return PostScript(settings, context).run();
}

}  // namespace dlm_freeze
