// SPDX-License-Identifier: Apache-2.0
#include <chrono>
#include <optional>
#include <ostream>
#include <utility>

#include "commands/command_context.hpp"
#include "commands/dry_run_report.hpp"
#include "commands/host_plan.hpp"
#include "commands/inventory.hpp"
#include "quiesce/coverage.hpp"

namespace dlm_freeze {
namespace {

/// Warns where data is not going to be frozen, as far as its place is known without a probe.
void warn_of_coverage(const HostPlan& plan, Log& log) {
  for (const FoundQuiescer& found : plan.quiescers) {
    if (!found.presence.running) continue;
    const auto coverage = [&plan](const std::string& path) { return plan.coverage(path); };
    for (const LogLine& line : report_coverage(found.presence.locations, coverage, "").lines)
      log.write(line.level, found.planned.config.name + ": " + line.text);
  }
}

DryRunReport look(HostPlan& plan, const Settings& settings, CommandContext& context) {
  Readiness readiness = check_readiness(plan, settings, context);
  if (!settings.probe) warn_of_coverage(plan, context.log);
  const auto auto_thaw = plan.auto_thaw(settings.auto_thaw, context.log);
  const AttachedDisks disks = AttachedDisks::read();
  VolumeReport volumes = report_volumes(plan, disks);
  FreezeEstimate estimate = estimate_freeze(plan.freeze, disks, settings.write_speed, settings.stage_budget());
  if (settings.max_stall) estimate.max_stall = std::chrono::duration<double>(*settings.max_stall).count();
  Consistency consistency = judge_consistency(plan, settings, readiness, volumes, estimate.late());
  std::vector<Hazard> hazards;
  if (settings.probe) {
    hazards = find_hazards(plan, settings, auto_thaw, HostReadings::read(settings.state_directory));
  }
  return {plan,
          settings,
          auto_thaw,
          std::move(readiness),
          std::move(volumes),
          std::move(estimate),
          std::move(consistency),
          std::move(hazards),
          context.log.caller().take_held()};
}

/// Leaves in `item` what is for the inventory.
Result<void> look_and_print(const Settings& settings, CommandContext& context, std::optional<InventoryItem>& item) {
  auto plan = plan_host(settings, context);
  if (!plan) return tl::unexpected(plan.error());
  const auto& known = plan->databases_known;
  if (!known && known.error().kind == ErrorKind::configuration) return known;
  const DryRunReport report = look(*plan, settings, context);
  if (settings.inventory) item = inventory_of(report, context, std::chrono::system_clock::now());
  context.log.caller().resume();
  if (settings.json) {
    context.out << to_json(report).dump() << std::flush;
  } else {
    const DryRunText text = to_text(report);
    context.out << text.head << std::flush;
    for (const LogLine& line : text.lines) context.log.write(line.level, line.text);
    context.out << text.tail << std::flush;
  }
  if (!settings.probe) return {};
  const Finding* failed = report.readiness.first_failure();
  return failed != nullptr ? failed->result : Result<void>();
}

}  // namespace

Result<void> dry_run(const Settings& settings, CommandContext& context) {
  context.log.caller().hold();  // The answer comes first.
  std::optional<InventoryItem> item;
  auto result = look_and_print(settings, context, item);
  context.log.caller().resume();
  if (!settings.inventory) return result;
  if (!item && !result) item = inventory_of(result.error(), context, std::chrono::system_clock::now());
  auto published = publish(std::move(*item), settings);
  // Whoever reads the inventory must not be left with the answer of an earlier probe unnoticed. No code of
  // pre-script's.
  if (!published && result) return failure(published.error().message, ErrorKind::usage);
  if (!published) context.log.warn(published.error().message);
  return result;
}

Result<void> dry_run_without_settings(const Error& error, const std::string& inventory, CommandContext& context) {
  Settings settings;
  settings.inventory = inventory;
  return publish(inventory_of(error, context, std::chrono::system_clock::now()), settings);
}

}  // namespace dlm_freeze
