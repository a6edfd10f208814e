// SPDX-License-Identifier: Apache-2.0
#include "quiesce/iris/instance_hold.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <optional>

#include "base/wait.hpp"
#include "quiesce/iris/backup_general.hpp"
#include "quiesce/iris/log_files.hpp"

namespace dlm_freeze::iris {
namespace {

using std::chrono::seconds;

/// How long after our deadline the write daemon resumes by itself, in case that everything of ours is gone by then.
constexpr seconds kMargin{10};
/// For a session that has no deadline: the longest there is.
constexpr seconds kLongestSession{3600};
/// After what time of suspension processes that update are made to wait: the default of IRIS, and the most it takes.
constexpr seconds kBlockAfterLeast{600};
constexpr seconds kBlockAfterMost{1200};
/// How long at most an ExternalFreeze whose end was not seen is watched for. On the host its process was killed; in a
/// container it outlives `docker exec`.
constexpr auto kHostPatience = std::chrono::milliseconds(500);
constexpr auto kContainerPatience = seconds(3);
constexpr auto kStragglerPause = std::chrono::milliseconds(250);
/// Of the time that is left, what a question gets before the instance is resumed: it may hang.
constexpr int kShareOfQuestion = 4;

std::string ending_of(const Result<ProgramResult>& ran) {
  return ran ? exited(ran->exit_status, ran->output) : ran.error().message;
}

bool said_yes_or_no(const Result<ProgramResult>& ran) {
  return ran && (ran->exit_status == kIrisYes || ran->exit_status == kIrisNo);
}

}  // namespace

std::string how_to_resume(const std::string& instance) {
  return "irissession " + instance + " -U %SYS '" + thaw_call("") + "'";
}

Result<void> InstanceHold::check(StageContext& context) const {
  if (instance_.status != IrisInstance::Status::running)
    return failure("is not ready: " + instance_.status_text, ErrorKind::not_ready);
  if (instance_.is_hung()) return failure("hangs, according to iris qlist: see its messages.log", ErrorKind::not_ready);
  const auto suspended = is_suspended(context.patience());
  if (!suspended) return failure(suspended.error().message, ErrorKind::not_ready);
  if (*suspended) {
    return failure("is already suspended by another program (ExternalFreeze): try again when that has ended",
                   ErrorKind::already_frozen);
  }
  if (instance_.is_mirror_primary() && context.session_deadline &&
      context.session_deadline->remaining() > kBlockAfterMost) {
    context.notes.push_back(
        {LogLevel::warn,
         "instance " + instance_.name +
             " is the primary of a mirror, which may fail over: the session can last longer than 20 minutes, after "
             "which updates block; lower auto_thaw_seconds",
         false});
  }
  return {};
}

Result<void> InstanceHold::choose_log_file(const std::string& directory) {
  if (!directory.empty() || tools_->in_container()) {
    log_file_ = (directory.empty() ? "/tmp" : directory) + "/dlm-freeze-" + instance_.name + ".log";
    return {};
  }
  const auto user = tools_->user_of(instance_);
  if (!user) return tl::unexpected(user.error());
  const auto own = log_directory_of(*user);
  if (!own) return tl::unexpected(own.error());
  log_file_ = *own + "/" + instance_.name + ".log";
  ::unlink(log_file_.c_str());  // That of the last time: every method appends to it.
  return {};
}

Result<void> InstanceHold::begin(StageContext& context) {
  const BootClock::duration left =
      context.session_deadline ? context.session_deadline->remaining() : BootClock::duration(kLongestSession);
  const seconds limit = std::chrono::ceil<seconds>(left) + kMargin;
  const auto call_with = [&](std::optional<seconds> suspend_limit) {
    has_limit_ = suspend_limit.has_value();
    return call(freeze_call(log_file_, "dlm-freeze " + context.execution_id,
                            std::clamp(limit, kBlockAfterLeast, kBlockAfterMost), suspend_limit),
                context.patience());
  };
  asked_ = true;
  uncertain_ = true;
  auto ran = call_with(limit);
  if (ran && !said_yes_or_no(ran) && has_too_many_arguments(ran->output)) {
    context.notes.push_back({LogLevel::warn,
                             "instance " + instance_.name +
                                 ": its ExternalFreeze does not know WDSuspendLimit: if all of dlm-freeze is killed, "
                                 "it stays suspended until the next dlm-freeze post-script",
                             false});
    ran = call_with(std::nullopt);
  }
  if (!ran) return tl::unexpected(ran.error().with_context("ExternalFreeze"));
  uncertain_ = !said_yes_or_no(ran);
  if (ran->exit_status == kIrisYes) return {};
  return failure("ExternalFreeze " + ending_of(ran) + ": see " + log_file_ + " and its messages.log");
}

Result<bool> InstanceHold::is_suspended(const Patience& patience) const {
  const auto ran = call(is_suspended_call(), patience);
  if (!ran) return tl::unexpected(ran.error());
  if (said_yes_or_no(ran)) return ran->exit_status == kIrisYes;
  return failure("irissession " + ending_of(ran) +
                 ": enable operating system authentication for the account that it runs as (docs/iris.md)");
}

/// Whether there is nothing that could be suspended.
bool InstanceHold::is_down(const Patience& patience) const {
  if (tools_->in_container()) {
    const auto container = tools_->inspect(patience);
    if (container && !container->running) return true;
  }
  const auto instances = tools_->list(patience);
  return instances && std::any_of(instances->begin(), instances->end(), [&](const IrisInstance& instance) {
           return instance.name == instance_.name && instance.status == IrisInstance::Status::down;
         });
}

Result<void> InstanceHold::resume(const Patience& patience) const {
  const auto ran = call(thaw_call(log_file_), patience.share(2));
  if (ran && ran->exit_status == kIrisYes) return {};
  const auto suspended = is_suspended(patience.share(2));
  if ((suspended && !*suspended) || (!suspended && is_down(patience))) return {};
  return failure("may still be suspended: ExternalThaw " + ending_of(ran) +
                     (has_limit_ ? "; it resumes by itself some seconds after the deadline of the session"
                                 : "; resume it: " + how_to_resume(instance_.name)),
                 ErrorKind::not_ready);
}

/// After a freeze whose end was not seen: it may come to that yet.
Result<void> InstanceHold::resume_straggler(const Patience& patience) const {
  const BootClock::duration longest =
      tools_->in_container() ? BootClock::duration(kContainerPatience) : BootClock::duration(kHostPatience);
  const auto until = Deadline::in(longest).or_earlier(patience.share(4).deadline);
  do {
    const auto suspended = is_suspended(patience.share(kShareOfQuestion));
    if (!suspended && is_down(patience.share(kShareOfQuestion))) return {};
    if (!suspended || *suspended) return resume(patience);
  } while (!until.expired() && pause_for(kStragglerPause, patience));
  return {};
}

Result<void> InstanceHold::undo(const Patience& patience, bool may_still_come) const {
  return may_still_come ? resume_straggler(patience) : resume(patience);
}

Result<void> InstanceHold::end(StageContext& context, Outcome outcome, bool set_history) const {
  if (!asked_) return {};
  Result<void> held;
  if (outcome == Outcome::completed) {
    const auto suspended = is_suspended(context.patience().share(kShareOfQuestion));
    if (!suspended || !*suspended) {
      held = failure(suspended ? "was resumed by another program, or restarted, while it was held"
                               : "does not tell whether it was held until now: " + suspended.error().message,
                     ErrorKind::protection_lost);
    }
  }
  if (auto resumed = undo(context.patience(), uncertain_); !resumed) return resumed;
  if (held && outcome == Outcome::completed && set_history) {
    const auto ran = call(set_history_call(log_file_, "dlm-freeze " + context.execution_id), context.patience());
    if (!ran || ran->exit_status == kIrisNo) {
      context.notes.push_back(
          {LogLevel::warn, "instance " + instance_.name + ": ExternalSetHistory " + ending_of(ran)});
    }
  }
  return held;
}

}  // namespace dlm_freeze::iris
