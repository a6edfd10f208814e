// SPDX-License-Identifier: Apache-2.0

#include <algorithm>
#include <cerrno>
#include <ostream>
#include <utility>

#include "base/text.hpp"
#include "commands/command_context.hpp"
#include "commands/host_plan.hpp"
#include "commands/report.hpp"
#include "commands/state_check.hpp"
#include "fs/frozen_filesystems.hpp"
#include "quiesce/coverage.hpp"

namespace dlm_freeze {
namespace {

/// What `--probe` found of one database, or of the host.
struct Finding {
  std::string name;
  Result<void> result;
};

const PlannedFilesystem* filesystem_of(const FreezePlan& plan, const PlannedMount& planned) {
  const auto found =
      std::find_if(plan.filesystems.begin(), plan.filesystems.end(),
                   [&](const PlannedFilesystem& filesystem) { return filesystem.device == planned.mount.device; });
  return found == plan.filesystems.end() ? nullptr : &*found;
}

std::string order_of(const PlannedMount& planned) {
  return planned.level < 0 ? "-" : std::to_string(planned.level + 1);
}

Json mount_json(const HostPlan& plan, const PlannedMount& planned) {
  const PlannedFilesystem* filesystem = filesystem_of(plan.freeze, planned);
  Json::Object object{{"mount_point", planned.mount.mount_point},
                      {"verdict", to_string(planned.verdict)},
                      {"reason", to_string(planned.reason)},
                      {"why", planned.why},
                      {"order", planned.level < 0 ? Json() : Json(planned.level + 1)},
                      {"source", planned.mount.source},
                      {"device", device_number(planned.mount.device)},
                      {"type", planned.mount.type}};
  if (filesystem != nullptr) {
    object.emplace_back("volumes", Json(filesystem->stack.volume_ids));
    object.emplace_back("size_bytes", Json(static_cast<std::int64_t>(filesystem->stack.size_bytes)));
  }
  return object;
}

Json quiescer_json(const HostPlan& plan, const FoundQuiescer& found) {
  Json::Array locations;
  for (const DataLocation& location : found.presence.locations) {
    const Coverage coverage = plan.coverage(location.path);
    locations.push_back(Json::Object{{"what", location.what},
                                     {"path", location.path},
                                     {"role", to_string(location.role)},
                                     {"frozen", coverage.frozen},
                                     {"mount_point", coverage.mount_point},
                                     {"why", coverage.why}});
  }
  return Json::Object{{"type", found.planned.config.type},         {"name", found.planned.config.name},
                      {"required", found.planned.config.required}, {"running", found.presence.running},
                      {"detail", found.presence.detail},           {"locations", locations}};
}

Json to_json(const HostPlan& plan, const std::vector<Finding>& findings, const std::vector<LogLine>& notes) {
  Json::Array mounts;
  for (const PlannedMount& planned : plan.freeze.mounts) mounts.push_back(mount_json(plan, planned));
  Json::Array quiescers;
  for (const FoundQuiescer& found : plan.quiescers) quiescers.push_back(quiescer_json(plan, found));
  Json::Array probes;
  for (const Finding& finding : findings) {
    probes.push_back(Json::Object{{"name", finding.name},
                                  {"ready", finding.result.has_value()},
                                  {"message", finding.result ? "" : finding.result.error().message}});
  }
  const Result<void>& possible = plan.on_host ? plan.databases_known : plan.on_host;
  const std::string problem = possible ? "" : possible.error().message;
  Json::Array texts;
  for (const LogLine& note : notes) texts.emplace_back(note.text);
  return Json::Object{
      {"mounts", mounts}, {"quiescers", quiescers}, {"problem", problem}, {"probes", probes}, {"notes", texts}};
}

std::string mount_table(const HostPlan& plan) {
  TextTable table({"ORDER", "MOUNT POINT", "DEVICE", "VOLUME", "TYPE", "SIZE", "VERDICT", "WHY"});
  for (const PlannedMount& planned : plan.freeze.mounts) {
    const PlannedFilesystem* filesystem = filesystem_of(plan.freeze, planned);
    const std::string volumes = filesystem != nullptr ? join(filesystem->stack.volume_ids, ",") : "";
    const std::uint64_t size = filesystem != nullptr ? filesystem->stack.size_bytes : 0;
    table.add({order_of(planned), planned.mount.mount_point, planned.mount.source, volumes.empty() ? "-" : volumes,
               planned.mount.type, size == 0 ? "-" : format_size(size), std::string(to_string(planned.verdict)),
               planned.why});
  }
  return table.text();
}

std::string quiescer_table(const HostPlan& plan) {
  TextTable table({"DATABASE", "TYPE", "STATE", "WHAT", "PATH", "FROZEN", "WHY"});
  for (const FoundQuiescer& found : plan.quiescers) {
    const auto& config = found.planned.config;
    const std::string state =
        found.presence.running ? "found" : (config.required ? "absent, required" : "absent, skipped");
    if (found.presence.locations.empty())
      table.add({config.name, config.type, state, "-", "-", "-", found.presence.detail});
    for (const DataLocation& location : found.presence.locations) {
      const Coverage coverage = plan.coverage(location.path);
      table.add({config.name, config.type, state, location.what, location.path, coverage.frozen ? "yes" : "NO",
                 coverage.why});
    }
  }
  return table.text();
}

/// What a probe would say of where the data lies, as far as that is known without one.
void warn_of_coverage(const HostPlan& plan, Log& log) {
  for (const FoundQuiescer& found : plan.quiescers) {
    if (!found.presence.running) continue;
    const auto coverage = [&plan](const std::string& path) { return plan.coverage(path); };
    for (const LogLine& line : report_coverage(found.planned.config.name, found.presence.locations, coverage, "").lines)
      log.write(line.level, line.text);
  }
}

/// What pre-script would meet in its state directory.
void probe_state(const Settings& settings, const MountTable& table, std::vector<Finding>& findings) {
  const auto state = StateDirectory::open(settings.state_directory, false);
  if (!state && state.error().errno_value != ENOENT) {
    findings.push_back({"state", tl::unexpected(state.error())});
    return;
  }
  findings.push_back({"state", check_state_directory(settings.state_directory, table)});
  if (!state) return;
  const auto locked = state->is_locked();
  Result<void> session;
  if (!locked) session = tl::unexpected(locked.error());
  if (locked && *locked) session = failure("a session is active already", ErrorKind::already_frozen);
  findings.push_back({"session", session});
}

/// Tries, without changing anything, what would make pre-script fail, in pre-script's order: the first failure is its.
std::vector<Finding> probe_all(HostPlan& plan, const Settings& settings, CommandContext& context) {
  std::vector<Finding> findings = {{"privilege", check_privilege()}, {"host", plan.on_host}};
  if (!plan.databases_known) findings.push_back({"databases", plan.databases_known});
  for (const FoundQuiescer& found : plan.quiescers) {
    const QuiescerConfig& config = found.planned.config;
    if (found.presence.running || !config.required) continue;
    findings.push_back({config.name, failure(config.name + " is required and does not run: " + found.presence.detail,
                                             ErrorKind::not_ready)});
  }
  probe_state(settings, plan.table, findings);
  if (const auto opening = FrozenFilesystems::open(plan.freeze, context.control); opening) {
    for (const std::string& warning : opening->warnings) context.log.warn(warning);
  } else {
    findings.push_back({"filesystems", tl::unexpected(opening.error())});
  }
  const Deadline deadline(context.started + settings.timeout);
  for (FoundQuiescer& found : plan.quiescers) {
    const QuiescerConfig& config = found.planned.config;
    if (!found.presence.running) continue;
    StageContext stage{deadline,
                       -1,
                       settings.execution_id,
                       [&plan](const std::string& path) { return plan.coverage(path); },
                       {},
                       Deadline::in(plan.longest_session(settings.auto_thaw))};
    findings.push_back({config.name, found.planned.quiescer->probe(stage)});
    for (const LogLine& note : stage.notes) context.log.write(note.level, note.text);
  }
  return findings;
}

Result<void> look_and_print(const Settings& settings, CommandContext& context) {
  auto plan = plan_host(settings, context);
  if (!plan) return tl::unexpected(plan.error());
  // What is wrong with the configuration is not what pre-script would meet on the host.
  const bool may_be_usage = settings.quiescers && !plan->databases_known && !settings.probe;
  if (may_be_usage && plan->databases_known.error().kind == ErrorKind::failed) {
    plan->databases_known.error().kind = ErrorKind::usage;
    return plan->databases_known;
  }
  std::vector<Finding> findings;
  if (settings.probe) {
    findings = probe_all(*plan, settings, context);
  } else {
    warn_of_coverage(*plan, context.log);
  }
  if (settings.json) {
    context.out << to_json(*plan, findings, context.log.caller().take_held()).dump();
  } else {
    static_cast<void>(plan->auto_thaw(settings.auto_thaw, context.log));
    context.out << mount_table(*plan);
    if (!plan->quiescers.empty()) context.out << "\n" << quiescer_table(*plan);
    for (const std::string& pattern : plan->freeze.unmatched) {
      context.out << "\n" << text_line("The configuration's " + pattern + " matches no mount point.");
    }
    for (const auto* known : {&plan->on_host, &plan->databases_known}) {
      if (!*known) context.out << "\n" << text_line("pre-script would fail: " + known->error().message);
    }
    const auto running = std::count_if(plan->quiescers.begin(), plan->quiescers.end(),
                                       [](const FoundQuiescer& found) { return found.presence.running; });
    context.out << "\n"
                << count_of(plan->freeze.filesystems.size(), "filesystem") << " would be frozen, "
                << count_of(static_cast<std::size_t>(running), "database") << " quiesced. Nothing was changed.\n";
    for (const Finding& finding : findings) {
      if (finding.result) context.out << text_line("probe of " + finding.name + ": ready");
    }
  }
  context.out.flush();
  for (const Finding& finding : findings) {
    if (!finding.result) return finding.result;
  }
  return {};
}

}  // namespace

Result<void> dry_run(const Settings& settings, CommandContext& context) {
  // What a quiescer has to say becomes a part of the document.
  if (settings.json) context.log.caller().hold();
  auto result = look_and_print(settings, context);
  context.log.caller().resume();
  return result;
}

}  // namespace dlm_freeze
