// SPDX-License-Identifier: Apache-2.0
#include <ostream>
#include <utility>

#include "base/utc.hpp"
#include "commands/command_context.hpp"
#include "commands/evidence_report.hpp"
#include "commands/report.hpp"
#include "commands/verify_cut.hpp"

namespace dlm_freeze {
namespace {

/// What no record tells, so that nobody takes a proof for more.
constexpr std::string_view kNotChecked =
    "Not checked: that these are all hosts of the group, and that no history was altered.";

Result<std::vector<HostHistory>> read_histories(const std::vector<std::string>& paths) {
  std::vector<HostHistory> histories;
  for (const std::string& path : paths) {
    auto history = read_history_of_host(path);
    if (!history) return tl::unexpected(history.error());
    histories.push_back({std::move(*history), path});
  }
  return histories;
}

/// In the middle of what the clock's error allows.
WallTime middle_of(const Bounds& bounds) { return bounds.earliest + (bounds.latest - bounds.earliest) / 2; }

std::string moment_text(const std::optional<Bounds>& bounds) {
  if (!bounds) return "-";
  const auto error = std::chrono::ceil<std::chrono::milliseconds>((bounds->latest - bounds->earliest) / 2);
  return format_utc_milliseconds(middle_of(*bounds)) + " +-" + std::to_string(error.count()) + " ms";
}

std::string headline(const Cut& cut) {
  const std::string text =
      "Group " + cut.group_id + ", " + count_of(cut.hosts.size(), "host") + ": " + std::string(to_string(cut.proof));
  if (cut.proof != CutProof::proven) return text + ": " + cut.decided_by + ": " + cut.why + ".";
  return text + ", with a margin of " + margin_text(cut.margin) + " at " + cut.decided_by + ".";
}

std::string to_text(const Cut& cut) {
  TextTable table({"HOST", "HELD FROM", "UNTIL", "MARGIN", "VERDICT"});
  for (const CutHost& host : cut.hosts) {
    table.add(
        {host.host, moment_text(host.begin), moment_text(host.end), margin_text(host.margin), verdict_text(host)});
  }
  return text_line(headline(cut)) + "\n" + table.text() + "\n" + text_line(kNotChecked);
}

Json time_json(const std::optional<Bounds>& bounds, WallTime Bounds::*moment) {
  return bounds ? Json(format_utc_milliseconds((*bounds).*moment)) : Json();
}

Json to_json(const Cut& cut) {
  Json::Array hosts;
  for (const CutHost& host : cut.hosts) {
    hosts.emplace_back(Json::Object{{"host", host.host},
                                    {"history", host.path},
                                    {"held_from_latest", time_json(host.begin, &Bounds::latest)},
                                    {"held_until_earliest", time_json(host.end, &Bounds::earliest)},
                                    {"margin_ms", margin_json(host.margin)},
                                    {"verdict", to_string(host.proof)},
                                    {"why", host.why}});
  }
  return Json::Object{{"verdict", to_string(cut.proof)},
                      {"group_id", cut.group_id},
                      {"why", cut.why},
                      {"decided_by", cut.decided_by},
                      {"margin_ms", margin_json(cut.margin)},
                      {"hosts", hosts},
                      {"not_checked", Json::Array{"completeness", "authenticity"}}};
}

}  // namespace

Result<void> verify_cut(const Settings& settings, CommandContext& context) {
  const auto histories = read_histories(settings.verify_paths);
  if (!histories) return tl::unexpected(histories.error());
  const auto snapshots = read_snapshots(*settings.snapshots);
  if (!snapshots) return tl::unexpected(snapshots.error());
  const auto cut = judge_cut(*histories, *snapshots, settings.group_id);
  if (!cut) return tl::unexpected(cut.error());
  context.out << (settings.json ? to_json(*cut).dump_line() : to_text(*cut)) << std::flush;
  return result_of(cut->proof, "one point in time over these hosts is not proven",
                   "these snapshots are not of one point in time");
}

}  // namespace dlm_freeze
