// SPDX-License-Identifier: Apache-2.0
#include "quiesce/iris/iris_quiescer.hpp"

#include <algorithm>
#include <chrono>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/text.hpp"
#include "dlm_freeze/base/thread.hpp"
#include "quiesce/coverage.hpp"
#include "quiesce/iris/instance_hold.hpp"
#include "quiesce/iris/locations.hpp"
#include "quiesce/iris/options.hpp"
#include "quiesce/iris/tools.hpp"

namespace dlm_freeze::iris {
namespace {

/// Journal writes that wait for 30 seconds freeze all updates, or after some minutes end journaling.
constexpr std::chrono::seconds kLongestFreeze{25};

// The names of the instances, as facts: of `prepare`, and of `quiesce`.
constexpr const char* kToSuspendFact = "to_suspend";
constexpr const char* kInstancesFact = "instances";

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
  using Step = std::function<Result<void>(InstanceHold& hold, StageContext& context)>;
  Result<void> each(StageContext& context, const Step& step);

  Result<void> find_instances(const Patience& patience);
  [[nodiscard]] Presence presence() const;
  [[nodiscard]] std::string names() const;

  IrisOptions options_;
  IrisTools tools_;
  std::vector<DataLocation> locations_;
  std::vector<InstanceHold> holds_;  ///< Of the instances that run.
  std::vector<std::string> down_;    ///< The names of the others.
};

/// Does one thing with each instance, all at the same time. The first error; further ones become notes.
Result<void> IrisQuiescer::each(StageContext& context, const Step& step) {
  std::vector<StageContext> contexts(holds_.size(), context);
  std::vector<Result<void>> results(holds_.size());
  std::vector<std::function<void()>> jobs;
  for (std::size_t i = 0; i < holds_.size(); ++i) {
    contexts[i].notes.clear();
    jobs.emplace_back([&, i] { results[i] = step(holds_[i], contexts[i]); });
  }
  run_in_parallel(jobs);

  Result<void> first;
  for (std::size_t i = 0; i < holds_.size(); ++i) {
    for (LogLine& note : contexts[i].notes) context.notes.push_back(std::move(note));
    if (results[i]) continue;
    const Error error = results[i].error().with_context("instance " + holds_[i].instance().name);
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
    auto container = tools_.inspect(context.patience());
    if (!container) return tl::unexpected(container.error());
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
  if (auto found = find_instances(context.patience()); !found) return tl::unexpected(found.error());
  Presence there = presence();
  if (!there.running) return there;
  if (!tools_.in_container()) {
    for (const InstanceHold& hold : holds_) {
      for (DataLocation& location : locations_of(hold.instance())) {
        location.may_be_frozen = options_.freeze_filesystems;
        locations.push_back(std::move(location));
      }
    }
  }
  locations_ = locations;
  there.locations = std::move(locations);
  if (options_.freeze_filesystems) there.longest_freeze = kLongestFreeze;
  return there;
}

/// Fills `holds_` and `down_`.
Result<void> IrisQuiescer::find_instances(const Patience& patience) {
  auto instances = tools_.list(patience);
  if (!instances) return tl::unexpected(instances.error());
  holds_.clear();
  down_.clear();
  for (IrisInstance& instance : *instances) {
    if (!options_.instance.empty() && instance.name != options_.instance) continue;
    if (instance.status == IrisInstance::Status::down) {
      down_.push_back(instance.name);
    } else {
      holds_.emplace_back(std::move(instance), tools_);
    }
  }
  return {};
}

/// By the instances that were found.
Presence IrisQuiescer::presence() const {
  Presence presence;
  presence.running = !holds_.empty();
  for (const InstanceHold& hold : holds_)
    presence.detail += (presence.detail.empty() ? "instances: " : ", ") + hold.instance().name;
  if (presence.running) return presence;
  for (const std::string& name : down_)
    presence.detail += (presence.detail.empty() ? "instance " : ", instance ") + name + " is down";
  if (presence.detail.empty())
    presence.detail = "there is no instance" + (options_.instance.empty() ? "" : " " + options_.instance);
  return presence;
}

std::string IrisQuiescer::names() const {
  std::string names;
  for (const InstanceHold& hold : holds_) names += (names.empty() ? "" : ",") + hold.instance().name;
  return names;
}

Result<void> IrisQuiescer::probe(StageContext& context) {
  for (const std::string& name : down_)
    context.notes.push_back({LogLevel::info, "instance " + name + " is down: skipped"});
  if (!options_.log_directory.empty() && !tools_.in_container() && context.coverage) {
    const Coverage coverage = context.coverage(options_.log_directory);
    if (coverage.frozen) {
      return failure("log_directory " + options_.log_directory + " lies on " + coverage.mount_point +
                     ", which is going to be frozen: choose another one");
    }
  }
  if (context.coverage) {
    const CoverageReport report =
        report_coverage(locations_, context.coverage, "IRIS writes nothing to databases while it is suspended");
    context.notes.insert(context.notes.end(), report.lines.begin(), report.lines.end());
  }
  return each(context, [](const InstanceHold& hold, StageContext& stage) { return hold.check(stage); });
}

Result<std::vector<Fact>> IrisQuiescer::prepare(StageContext& context) {
  auto prepared = each(context, [this](InstanceHold& hold, const StageContext&) {
    return hold.choose_log_file(options_.log_directory);
  });
  if (!prepared) return tl::unexpected(prepared.error());
  return std::vector<Fact>{{kToSuspendFact, names()}};
}

Result<std::vector<Fact>> IrisQuiescer::quiesce(StageContext& context) {
  auto begun = each(context, [](InstanceHold& hold, StageContext& stage) { return hold.begin(stage); });
  if (!begun) return tl::unexpected(begun.error());
  std::vector<Fact> facts;
  for (const InstanceHold& hold : holds_) {
    const IrisInstance& instance = hold.instance();
    facts.push_back({"version of " + instance.name, instance.version});
    if (!instance.mirror.empty()) facts.push_back({"mirror of " + instance.name, instance.mirror});
  }
  facts.push_back({kInstancesFact, names()});
  return facts;
}

Result<void> IrisQuiescer::release(StageContext& context, Outcome outcome) {
  return each(context, [&](const InstanceHold& hold, StageContext& stage) {
    return hold.end(stage, outcome, options_.set_history);
  });
}

Result<void> IrisQuiescer::recover(StageContext& context, const std::vector<Fact>& facts) {
  const auto missing = tools_.find();
  if (!missing) return tl::unexpected(missing.error());
  if (!missing->empty()) return failure("instances may still be suspended: " + *missing);
  if (tools_.in_container()) {
    const auto container = tools_.inspect(context.patience());
    if (!container) return tl::unexpected(container.error().with_context("instances may still be suspended"));
    if (!container->running) return {};  // They have ended with it.
  }
  if (auto found = find_instances(context.patience()); !found)
    return tl::unexpected(found.error().with_context("instances may still be suspended"));

  // Without names any may be suspended.
  std::vector<std::string> ours;
  bool may_still_come = true;
  for (const Fact& fact : facts) {
    if (fact.key == kInstancesFact) may_still_come = false;
    if (fact.key != kInstancesFact && fact.key != kToSuspendFact) continue;
    for (const std::string_view name : split(fact.value, ',')) {
      if (!name.empty()) ours.emplace_back(name);
    }
  }
  const auto is_ours = [&](const std::string& name) {
    return ours.empty() || std::find(ours.begin(), ours.end(), name) != ours.end();
  };
  auto undone = each(context, [&](const InstanceHold& hold, const StageContext& stage) {
    return is_ours(hold.instance().name) ? hold.undo(stage.patience(), may_still_come) : Result<void>();
  });
  if (!undone) return undone;
  for (const std::string& name : ours) {
    const bool is_listed =
        std::find(down_.begin(), down_.end(), name) != down_.end() ||
        std::any_of(holds_.begin(), holds_.end(), [&](const auto& hold) { return hold.instance().name == name; });
    if (!is_listed)
      return failure("instance " + name + " is no longer listed, and may still be suspended: " + how_to_resume(name));
  }
  return {};
}

Result<std::unique_ptr<Quiescer>> create(const QuiescerConfig& config) {
  auto options = read_options(config.options);
  if (!options) return tl::unexpected(options.error());
  return std::make_unique<IrisQuiescer>(std::move(*options));
}

/// One for the host, whatever instances it has.
std::vector<QuiescerConfig> detect() {
  IrisTools tools({});
  const auto missing = tools.find();
  if ((missing && !missing->empty()) || !tools.is_certain()) return {};
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
