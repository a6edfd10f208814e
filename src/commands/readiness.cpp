// SPDX-License-Identifier: Apache-2.0
#include "commands/readiness.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "commands/state_check.hpp"

namespace dlm_freeze {
namespace {

/// What pre-script has to undo before it begins, or cannot read.
void check_record(const StateDirectory& state, Readiness& readiness) {
  const auto record = state.read_record();
  if (!record && record.error().errno_value != 0) {
    readiness.findings.push_back({"record", tl::unexpected(record.error())});
  }
  if (!record || !*record || !(*record)->is_of_boot(current_boot_id())) return;
  if ((*record)->has_leftovers() || (*record)->is_orphan(current_boot_id())) {
    readiness.leftovers =
        "pre-script can undo what the session of execution " + (*record)->execution_id + " left behind";
  }
}

/// What pre-script would meet in its state directory.
void check_state(const Settings& settings, const MountTable& table, Readiness& readiness) {
  std::vector<Finding>& findings = readiness.findings;
  const auto state = StateDirectory::open(settings.state_directory, false);
  if (!state && state.error().errno_value != ENOENT) {
    findings.push_back({"state", tl::unexpected(state.error())});
    return;
  }
  findings.push_back({"state", check_state_directory(settings.state_directory, table)});
  findings.push_back({"room", check_state_room(settings.state_directory)});
  if (!state) return;
  const auto locked = state->is_locked();
  Result<void> session;
  if (!locked) session = tl::unexpected(locked.error());
  if (locked && *locked) session = failure("a session is active already", ErrorKind::already_frozen);
  const bool is_free = session.has_value();
  findings.push_back({"session", std::move(session)});
  if (is_free) check_record(*state, readiness);
}

void check_absent(const HostPlan& plan, std::vector<Finding>& findings) {
  for (const FoundQuiescer& found : plan.quiescers) {
    const QuiescerConfig& config = found.planned.config;
    if (found.presence.running || !config.required) continue;
    findings.push_back({config.name, failure(config.name + " is required and does not run: " + found.presence.detail,
                                             ErrorKind::not_ready)});
  }
}

void probe_databases(HostPlan& plan, const Settings& settings, CommandContext& context,
                     std::vector<Finding>& findings) {
  const Deadline deadline(context.started + settings.timeout);
  for (FoundQuiescer& found : plan.quiescers) {
    if (!found.presence.running) continue;
    StageContext stage{deadline,
                       -1,
                       settings.execution_id,
                       [&plan](const std::string& path) { return plan.coverage(path); },
                       {},
                       Deadline::in(plan.longest_session(settings.auto_thaw))};
    auto result = found.planned.quiescer->probe(stage);
    for (const LogLine& note : stage.notes) context.log.write(note.level, note.text);
    findings.push_back({found.planned.config.name, std::move(result), true, std::move(stage.notes)});
  }
}

}  // namespace

const Finding* Readiness::first_failure() const {
  const auto found =
      std::find_if(findings.begin(), findings.end(), [](const Finding& finding) { return !finding.result; });
  return found == findings.end() ? nullptr : &*found;
}

const Finding* Readiness::probe_of(const std::string& database) const {
  const auto found = std::find_if(findings.begin(), findings.end(),
                                  [&](const Finding& finding) { return finding.is_probe && finding.name == database; });
  return found == findings.end() ? nullptr : &*found;
}

Readiness check_readiness(HostPlan& plan, const Settings& settings, CommandContext& context) {
  Readiness readiness;
  std::vector<Finding>& findings = readiness.findings;
  const Result<void> privilege = check_privilege();
  readiness.sees_all = privilege.has_value();
  if (settings.probe) findings.push_back({"privilege", privilege});
  findings.push_back({"host", plan.on_host});
  if (!plan.databases_known) findings.push_back({"databases", plan.databases_known});
  check_absent(plan, findings);
  if (!settings.probe && !privilege) return readiness;
  check_state(settings, plan.table, readiness);
  reserve_descriptors(plan);
  if (auto opened = open_filesystems(plan, context.control, context.log); !opened) {
    findings.push_back({"filesystems", tl::unexpected(opened.error())});
  }
  if (settings.probe) probe_databases(plan, settings, context, findings);
  return readiness;
}

}  // namespace dlm_freeze
