// SPDX-License-Identifier: Apache-2.0
#include "base/text.hpp"
#include "commands/dry_run_report.hpp"

namespace dlm_freeze {
namespace {

Json::Array mounts_json(const HostPlan& plan) {
  Json::Array mounts;
  for (const PlannedMount& planned : plan.freeze.mounts) {
    Json::Object object{{"mount_point", planned.mount.mount_point},
                        {"verdict", to_string(planned.verdict)},
                        {"reason", to_string(planned.reason)},
                        {"why", planned.why},
                        {"order", planned.level < 0 ? Json() : Json(planned.level + 1)},
                        {"source", planned.mount.source},
                        {"device", device_number(planned.mount.device)},
                        {"type", planned.mount.type}};
    if (const PlannedFilesystem* filesystem = plan.filesystem(planned.mount.device)) {
      object.emplace_back("volumes", Json(filesystem->stack.volume_ids));
      object.emplace_back("size_bytes", Json(static_cast<std::int64_t>(filesystem->stack.size_bytes)));
    }
    if (planned.elsewhere) {
      object.emplace_back("elsewhere", Json::Object{{"process", static_cast<std::int64_t>(planned.elsewhere->process)},
                                                    {"command", planned.elsewhere->command},
                                                    {"container", planned.elsewhere->container}});
    }
    mounts.emplace_back(std::move(object));
  }
  return mounts;
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
  return Json::Object{{"type", found.planned.config.type},
                      {"name", found.planned.config.name},
                      {"required", found.planned.config.required},
                      {"running", found.presence.running},
                      {"left_out", found.is_left_out()},
                      {"detail", found.presence.detail},
                      {"locations", locations}};
}

Json::Array probes_json(const DryRunReport& report) {
  Json::Array probes;
  if (!report.settings.probe) return probes;
  for (const Finding& finding : report.readiness.findings) {
    probes.push_back(Json::Object{{"name", finding.name},
                                  {"ready", finding.result.has_value()},
                                  {"message", finding.result ? "" : finding.result.error().message}});
  }
  return probes;
}

Json volume_json(const VolumeRow& row) {
  return Json::Object{{"name", row.name},
                      {"device", row.device},
                      {"size_bytes", static_cast<std::int64_t>(row.size_bytes)},
                      {"state", to_string(row.state)},
                      {"filesystems", row.filesystems},
                      {"why", row.why}};
}

Json::Array advice_json(const std::vector<Advice>& all, const char* key) {
  Json::Array array;
  for (const Advice& advice : all) array.push_back(Json::Object{{"name", advice.name}, {key, advice.text}});
  return array;
}

Json consistency_json(const Consistency& judged) {
  return Json::Object{{"answer", to_string(judged.answer)},
                      {"text", judged.text()},
                      {"covered", judged.covered},
                      {"partly", advice_json(judged.partly, "why")},
                      {"not_covered", advice_json(judged.causes, "why")},
                      {"boot", judged.boot},
                      {"untold", judged.untold},
                      {"conditions", judged.conditions}};
}

Json write_back_json(const FreezeEstimate& estimate) {
  const auto number = [](const std::optional<double>& value) { return value ? Json(*value) : Json(); };
  return Json::Object{{"dirty_bytes", static_cast<std::int64_t>(estimate.dirty_bytes)},
                      {"bytes_per_second", number(estimate.bytes_per_second)},
                      {"basis", estimate.basis},
                      {"seconds", number(estimate.seconds)},
                      {"is_late", estimate.is_late()},
                      {"max_stall_seconds", estimate.max_stall ? Json(*estimate.max_stall) : Json()}};
}

Json::Array hazards_json(const std::vector<Hazard>& hazards) {
  Json::Array array;
  for (const Hazard& hazard : hazards) {
    array.push_back(
        Json::Object{{"name", hazard.name}, {"what", hazard.what}, {"cause", hazard.cause}, {"to_do", hazard.to_do}});
  }
  return array;
}

}  // namespace

Json to_json(const DryRunReport& report) {
  const HostPlan& plan = report.plan;
  Json::Array volumes;
  for (const VolumeRow& row : report.volumes.rows) volumes.push_back(volume_json(row));
  Json::Array quiescers;
  for (const FoundQuiescer& found : plan.quiescers) quiescers.push_back(quiescer_json(plan, found));
  Json::Array notes;
  for (const LogLine& note : report.notes) notes.emplace_back(note.text);
  return Json::Object{{"consistency", consistency_json(report.consistency)},
                      {"volumes", volumes},
                      {"quiescers", quiescers},
                      {"to_do", advice_json(report.volumes.advice, "text")},
                      {"write_back", write_back_json(report.estimate)},
                      {"timeout_seconds", static_cast<std::int64_t>(report.settings.timeout.count())},
                      {"auto_thaw_seconds", static_cast<std::int64_t>(report.auto_thaw.count())},
                      {"problem", report.consistency.failure},
                      {"probes", probes_json(report)},
                      {"hazards", hazards_json(report.hazards)},
                      {"notes", notes},
                      {"mounts", mounts_json(plan)}};
}

}  // namespace dlm_freeze
