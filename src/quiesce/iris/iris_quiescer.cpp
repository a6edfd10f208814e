// SPDX-License-Identifier: Apache-2.0
#include "quiesce/iris/iris_quiescer.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <optional>
#include <utility>

#include "base/text.hpp"
#include "base/wait.hpp"
#include "dlm_freeze/base/thread.hpp"
#include "quiesce/coverage.hpp"
#include "quiesce/iris/backup_general.hpp"
#include "quiesce/iris/locations.hpp"
#include "quiesce/iris/log_files.hpp"
#include "quiesce/iris/options.hpp"
#include "quiesce/iris/tools.hpp"

namespace dlm_freeze::iris {
namespace {

using std::chrono::seconds;

/// Journal writes that wait for 30 seconds freeze all updates, or after some minutes end journaling.
constexpr seconds kLongestFreeze{25};
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

constexpr const char* kInstancesFact = "instances";

/// "exited with status 1 (Access Denied)".
std::string ending_of(const ProgramResult& result) {
  const std::string said = last_line(result.output);
  return "exited with status " + std::to_string(result.exit_status) + (said.empty() ? "" : " (" + said + ")");
}

Error not_ready(Error error) {
  error.kind = ErrorKind::not_ready;
  return error;
}

/// An instance that takes part.
struct Target {
  IrisInstance instance;
  std::string log_file;
  bool asked = false;      ///< ExternalFreeze was called.
  bool uncertain = false;  ///< And its end was not seen: it may be at it still.
};

class IrisQuiescer final : public Quiescer {
 public:
  explicit IrisQuiescer(IrisOptions options) : options_(std::move(options)), tools_(options_.tools) {}

  Result<Presence> locate(StageContext& context) override;
  Result<void> probe(StageContext& context) override;
  Result<std::vector<Fact>> prepare(StageContext& context) override;
  Result<std::vector<Fact>> quiesce(StageContext& context) override;
  Result<void> release(StageContext& context, Outcome outcome) override;
  Result<void> recover(StageContext& context, const std::vector<Fact>& facts) override;

 private:
  using Step = std::function<Result<void>(Target& target, StageContext& context)>;
  Result<void> each(StageContext& context, const Step& step);

  Result<Presence> find_instances(const StageContext& context);
  [[nodiscard]] Result<void> check(const Target& target, StageContext& context) const;
  Result<void> freeze(Target& target, StageContext& context) const;
  Result<void> finish(const Target& target, StageContext& context, Outcome outcome) const;
  [[nodiscard]] Result<void> thaw(const Target& target, const StageContext& context) const;
  [[nodiscard]] Result<void> thaw_straggler(const Target& target, const StageContext& context) const;
  [[nodiscard]] Result<bool> is_suspended(const Target& target, const StageContext& context) const;
  [[nodiscard]] bool is_down(const Target& target, const StageContext& context) const;

  IrisOptions options_;
  IrisTools tools_;
  std::vector<DataLocation> locations_;
  std::vector<Target> targets_;
  std::vector<std::string> down_;
};

/// Does one thing with each instance, all at the same time. The first error; further ones become notes.
Result<void> IrisQuiescer::each(StageContext& context, const Step& step) {
  std::vector<StageContext> contexts(targets_.size(), context);
  std::vector<Result<void>> results(targets_.size());
  std::vector<std::function<void()>> jobs;
  for (std::size_t i = 0; i < targets_.size(); ++i) {
    contexts[i].notes.clear();
    jobs.emplace_back([&, i] { results[i] = step(targets_[i], contexts[i]); });
  }
  run_in_parallel(jobs);

  Result<void> first;
  for (std::size_t i = 0; i < targets_.size(); ++i) {
    for (LogLine& note : contexts[i].notes) context.notes.push_back(std::move(note));
    if (results[i]) continue;
    const Error error = results[i].error().with_context("instance " + targets_[i].instance.name);
    if (first) {
      first = tl::unexpected(error);
    } else {
      context.notes.push_back({LogLevel::warn, error.message});
    }
  }
  return first;
}

Result<Presence> IrisQuiescer::locate(StageContext& context) {
  const auto missing = tools_.find();
  if (!missing) return tl::unexpected(missing.error());
  if (!missing->empty()) return Presence{false, *missing, {}};
  std::vector<DataLocation> locations;
  if (tools_.in_container()) {
    auto container = tools_.inspect(context);
    if (!container) return tl::unexpected(not_ready(container.error()));
    if (!container->running)
      return Presence{false, "the container " + tools_.settings().container + " does not run", {}};
    for (DataLocation& volume : container->volumes) {
      volume.may_be_frozen = options_.freeze_filesystems;
      locations.push_back(std::move(volume));
    }
    // Without these `docker exec` hangs.
    for (const auto& storage : {container->storage, container_storage()}) {
      for (const DataLocation& place : storage) locations.push_back({place.what, place.path, false});
    }
  }
  auto presence = find_instances(context);
  if (!presence || !presence->running) return presence;
  if (!tools_.in_container()) {
    for (const Target& target : targets_) {
      for (DataLocation& location : locations_of(target.instance)) {
        location.may_be_frozen = options_.freeze_filesystems;
        locations.push_back(std::move(location));
      }
    }
  }
  locations_ = locations;
  presence->locations = std::move(locations);
  if (options_.freeze_filesystems) presence->longest_freeze = kLongestFreeze;
  return presence;
}

/// Fills `targets_` and `down_`.
Result<Presence> IrisQuiescer::find_instances(const StageContext& context) {
  auto instances = tools_.list(context);
  if (!instances && instances.error().kind == ErrorKind::not_ready) return tl::unexpected(instances.error());
  if (!instances) return Presence{false, instances.error().message, {}};
  targets_.clear();
  down_.clear();
  for (IrisInstance& instance : *instances) {
    if (!options_.instance.empty() && instance.name != options_.instance) continue;
    if (instance.status == IrisInstance::Status::down) {
      down_.push_back("instance " + instance.name + " is down");
    } else {
      targets_.push_back({std::move(instance), "", false, false});
    }
  }
  Presence presence;
  for (const Target& target : targets_)
    presence.detail += (presence.detail.empty() ? "instances: " : ", ") + target.instance.name;
  if (!targets_.empty()) return presence;
  presence.running = false;
  for (const std::string& down : down_) presence.detail += (presence.detail.empty() ? "" : ", ") + down;
  if (presence.detail.empty()) presence.detail = "there is no instance " + options_.instance;
  return presence;
}

Result<void> IrisQuiescer::probe(StageContext& context) {
  for (const std::string& down : down_) context.notes.push_back({LogLevel::info, down + ": skipped"});
  if (!options_.log_directory.empty() && !tools_.in_container() && context.coverage) {
    const Coverage coverage = context.coverage(options_.log_directory);
    if (coverage.frozen) {
      return failure("log_directory " + options_.log_directory + " lies on " + coverage.mount_point +
                     ", which is going to be frozen: take another one");
    }
  }
  if (context.coverage) {
    const CoverageReport report =
        report_coverage(locations_, context.coverage, "IRIS writes nothing to databases while it is suspended");
    context.notes.insert(context.notes.end(), report.lines.begin(), report.lines.end());
  }
  return each(context, [this](const Target& target, StageContext& stage) { return check(target, stage); });
}

Result<void> IrisQuiescer::check(const Target& target, StageContext& context) const {
  const IrisInstance& instance = target.instance;
  if (instance.status != IrisInstance::Status::running)
    return failure("is not ready: " + instance.status_text, ErrorKind::not_ready);
  if (instance.is_hung())
    return failure("hangs, by what iris qlist says: look at its messages.log", ErrorKind::not_ready);
  const auto suspended = is_suspended(target, context);
  if (!suspended) return tl::unexpected(not_ready(suspended.error()));
  if (*suspended) {
    return failure("was frozen by somebody else already (ExternalFreeze); when that is over, repeat",
                   ErrorKind::already_frozen);
  }
  if (instance.is_mirror_primary() && context.session_deadline &&
      context.session_deadline->remaining() > kBlockAfterMost) {
    context.notes.push_back(
        {LogLevel::warn,
         "instance " + instance.name +
             " is a mirror's primary, which may be failed over while it is held: the session can last longer than the "
             "20 minutes after which its processes wait; lower auto_thaw_seconds",
         false});
  }
  return {};
}

Result<std::vector<Fact>> IrisQuiescer::prepare(StageContext& context) {
  auto prepared = each(context, [this](Target& target, const StageContext&) -> Result<void> {
    if (!options_.log_directory.empty()) {
      target.log_file = options_.log_directory + "/dlm-freeze-" + target.instance.name + ".log";
    } else if (tools_.in_container()) {
      target.log_file = "/tmp/dlm-freeze-" + target.instance.name + ".log";
    } else {
      const auto user = tools_.user_of(target.instance);
      if (!user) return tl::unexpected(user.error());
      const auto directory = log_directory_of(*user);
      if (!directory) return tl::unexpected(directory.error());
      target.log_file = *directory + "/" + target.instance.name + ".log";
      ::unlink(target.log_file.c_str());  // That of the last time: every method appends to it.
    }
    return {};
  });
  if (!prepared) return tl::unexpected(prepared.error());
  return std::vector<Fact>();
}

Result<std::vector<Fact>> IrisQuiescer::quiesce(StageContext& context) {
  auto frozen = each(context, [this](Target& target, StageContext& stage) { return freeze(target, stage); });
  if (!frozen) return tl::unexpected(frozen.error());
  Fact instances{kInstancesFact, ""};
  std::vector<Fact> facts;
  for (const Target& target : targets_) {
    const IrisInstance& instance = target.instance;
    instances.value += (instances.value.empty() ? "" : ",") + instance.name;
    facts.push_back({"version of " + instance.name, instance.version});
    if (!instance.mirror.empty()) facts.push_back({"mirror of " + instance.name, instance.mirror});
  }
  facts.push_back(std::move(instances));
  return facts;
}

Result<void> IrisQuiescer::freeze(Target& target, StageContext& context) const {
  const BootClock::duration left =
      context.session_deadline ? context.session_deadline->remaining() : BootClock::duration(kLongestSession);
  const seconds limit = std::chrono::ceil<seconds>(left) + kMargin;
  const auto call_with = [&](std::optional<seconds> suspend_limit) {
    return tools_.call(target.instance,
                       freeze_call(target.log_file, "dlm-freeze " + context.execution_id,
                                   std::clamp(limit, kBlockAfterLeast, kBlockAfterMost), suspend_limit),
                       context);
  };
  const auto said_no_or_yes = [](const Result<ProgramResult>& ran) {
    return ran && (ran->exit_status == kIrisYes || ran->exit_status == kIrisNo);
  };
  target.asked = true;
  target.uncertain = true;
  auto ran = call_with(limit);
  if (ran && !said_no_or_yes(ran) && has_too_many_arguments(ran->output)) {
    context.notes.push_back({LogLevel::warn,
                             "instance " + target.instance.name +
                                 ": its ExternalFreeze knows no WDSuspendLimit: should all of dlm-freeze be killed, it "
                                 "stays suspended until the next dlm-freeze post-script",
                             false});
    ran = call_with(std::nullopt);
  }
  if (!ran) return tl::unexpected(ran.error().with_context("ExternalFreeze"));
  target.uncertain = !said_no_or_yes(ran);
  if (ran->exit_status == kIrisYes) return {};
  return failure("ExternalFreeze " + ending_of(*ran) + ": see " + target.log_file + " and its messages.log");
}

Result<bool> IrisQuiescer::is_suspended(const Target& target, const StageContext& context) const {
  const auto ran = tools_.call(target.instance, is_suspended_call(), context);
  if (!ran) return tl::unexpected(ran.error());
  if (ran->exit_status == kIrisYes) return true;
  if (ran->exit_status == kIrisNo) return false;
  return failure("irissession " + ending_of(*ran) +
                 ": operating system authentication has to be enabled for the account it is called as (docs/iris.md)");
}

/// Whether there is nothing that could be suspended.
bool IrisQuiescer::is_down(const Target& target, const StageContext& context) const {
  if (tools_.in_container()) {
    const auto container = tools_.inspect(context);
    if (container && !container->running) return true;
  }
  const auto instances = tools_.list(context);
  return instances && std::none_of(instances->begin(), instances->end(), [&](const IrisInstance& instance) {
           return instance.name == target.instance.name && instance.status != IrisInstance::Status::down;
         });
}

Result<void> IrisQuiescer::thaw(const Target& target, const StageContext& context) const {
  StageContext half = context;  // What is left is for finding out, when it hangs.
  half.deadline = Deadline::in(context.deadline.remaining() / 2);
  const auto ran = tools_.call(target.instance, thaw_call(target.log_file), half);
  if (ran && ran->exit_status == kIrisYes) return {};
  const auto suspended = is_suspended(target, context);
  if ((suspended && !*suspended) || (!suspended && is_down(target, context))) return {};
  return failure("may still be frozen: ExternalThaw " + (ran ? ending_of(*ran) : ran.error().message) +
                 "; it resumes by itself some seconds after the deadline of the session");
}

/// For a freeze whose end was not seen: it may come to that yet.
Result<void> IrisQuiescer::thaw_straggler(const Target& target, const StageContext& context) const {
  const BootClock::duration patience = tools_.in_container() ? BootClock::duration(kContainerPatience) : kHostPatience;
  const auto until = Deadline::in(std::min(patience, context.deadline.remaining() / 4));
  do {
    const auto suspended = is_suspended(target, context);
    if (!suspended && is_down(target, context)) return {};
    if (!suspended || *suspended) return thaw(target, context);
  } while (!until.expired() && pause_for(kStragglerPause, context.patience()));
  return {};
}

Result<void> IrisQuiescer::release(StageContext& context, Outcome outcome) {
  return each(context, [&](const Target& target, StageContext& stage) { return finish(target, stage, outcome); });
}

Result<void> IrisQuiescer::finish(const Target& target, StageContext& context, Outcome outcome) const {
  if (!target.asked) return {};
  Result<void> held;
  if (outcome == Outcome::completed) {
    const auto suspended = is_suspended(target, context);
    if (!suspended || !*suspended) {
      held = failure(suspended ? "was thawed by somebody else, or restarted, while it was held"
                               : "cannot be asked whether it was held until now: " + suspended.error().message,
                     ErrorKind::protection_lost);
    }
  }
  auto thawed = target.uncertain ? thaw_straggler(target, context) : thaw(target, context);
  if (!thawed) return thawed;
  if (held && outcome == Outcome::completed && options_.set_history) {
    const auto ran =
        tools_.call(target.instance, set_history_call(target.log_file, "dlm-freeze " + context.execution_id), context);
    if (!ran || ran->exit_status == kIrisNo) {
      context.notes.push_back({LogLevel::warn, "instance " + target.instance.name + ": ExternalSetHistory " +
                                                   (ran ? ending_of(*ran) : ran.error().message)});
    }
  }
  return held;
}

Result<void> IrisQuiescer::recover(StageContext& context, const std::vector<Fact>& facts) {
  const auto found = locate(context);
  if (!found) return tl::unexpected(found.error());
  // Without facts it died half-way: any may be frozen, or become so.
  const auto is_ours = [&](const Target& target) {
    return facts.empty() || std::any_of(facts.begin(), facts.end(), [&](const Fact& fact) {
             const auto names = split(fact.value, ',');
             return fact.key == kInstancesFact &&
                    std::find(names.begin(), names.end(), target.instance.name) != names.end();
           });
  };
  return each(context, [&](Target& target, const StageContext& stage) -> Result<void> {
    if (!is_ours(target)) return {};
    if (facts.empty()) return thaw_straggler(target, stage);
    return thaw(target, stage);
  });
}

Result<std::unique_ptr<Quiescer>> create(const QuiescerConfig& config) {
  auto options = read_options(config.options);
  if (!options) return tl::unexpected(options.error());
  return std::make_unique<IrisQuiescer>(std::move(*options));
}

/// One for the host, whatever instances it has.
std::vector<QuiescerConfig> detect() {
  const auto missing = IrisTools({}).find();
  if (missing && !missing->empty()) return {};
  return {{.type = "iris", .name = "iris", .required = false, .options = Json::Object()}};
}

}  // namespace

const QuiescerType& quiescer_type() {
  static const QuiescerType kType = {
      .name = "iris",
      .description = "InterSystems IRIS, by ExternalFreeze and ExternalThaw: docs/iris.md.",
      .options = option_table().specs(),
      .create = create,
      .detect = detect,
  };
  return kType;
}

}  // namespace dlm_freeze::iris
