// SPDX-License-Identifier: Apache-2.0
#include <cerrno>
#include <ostream>
#include <utility>

#include "base/utc.hpp"
#include "commands/command_context.hpp"
#include "commands/evidence_report.hpp"
#include "commands/report.hpp"
#include "commands/verify_snapshots.hpp"

namespace dlm_freeze {
namespace {

Result<History> read_sessions(const Settings& settings) {
  const bool is_of_this_host = settings.verify_paths.empty();
  auto history = read_history_of_host(is_of_this_host ? settings.history_file : settings.verify_paths.front());
  const bool is_none = history ? history->sessions.empty() : history.error().errno_value == ENOENT;
  if (is_of_this_host && is_none)
    return failure("no session is on record in " + settings.history_file + ": name the history of the host",
                   ErrorKind::not_ready);
  return history;
}

std::string taken_text(const JudgedSnapshot& judged) {
  return judged.snapshot.id.empty() ? "-" : format_utc_milliseconds(judged.snapshot.started_at);
}

std::string held_text(const JudgedSnapshot& judged) {
  return judged.session == nullptr ? "-" : format_utc_milliseconds(judged.session->held_at);
}

std::string headline(const SnapshotReport& report) {
  std::size_t inside = 0;
  std::size_t missing = 0;
  for (const JudgedSnapshot& judged : report.snapshots) {
    if (judged.snapshot.id.empty()) ++missing;
    if (judged.proof == CutProof::proven) ++inside;
  }
  const std::string text = std::to_string(inside) + " of " + count_of(report.snapshots.size() - missing, "snapshot") +
                           " taken during a hold: " + std::string(to_string(report.proof));
  if (report.proof != CutProof::proven) return text + ": " + report.why + ".";
  return text + ", with a margin of " + margin_text(report.margin) + ".";
}

std::string to_text(const SnapshotReport& report) {
  TextTable table({"SNAPSHOT", "VOLUME", "TAKEN", "HELD FROM", "MARGIN", "VERDICT"});
  for (const JudgedSnapshot& judged : report.snapshots) {
    table.add({judged.snapshot.id.empty() ? "-" : judged.snapshot.id, judged.snapshot.volume_id, taken_text(judged),
               held_text(judged), margin_text(judged.margin), verdict_text(judged)});
  }
  return text_line(headline(report)) + "\n" + table.text() + "\n" +
         text_line("Not checked: what is in the snapshots (--check), and that the history was not altered.");
}

Json to_json(const SnapshotReport& report) {
  Json::Array snapshots;
  for (const JudgedSnapshot& judged : report.snapshots) {
    const bool is_there = !judged.snapshot.id.empty();
    const SessionRecord* session = judged.session;
    snapshots.emplace_back(Json::Object{{"snapshot_id", is_there ? Json(judged.snapshot.id) : Json()},
                                        {"volume_id", judged.snapshot.volume_id},
                                        {"taken_at", is_there ? Json(taken_text(judged)) : Json()},
                                        {"session_id", session != nullptr ? Json(session->session_id) : Json()},
                                        {"execution_id", session != nullptr ? Json(session->execution_id) : Json()},
                                        {"held_at", session != nullptr ? Json(held_text(judged)) : Json()},
                                        {"margin_ms", margin_json(judged.margin)},
                                        {"verdict", to_string(judged.proof)},
                                        {"why", judged.why}});
  }
  return Json::Object{{"verdict", to_string(report.proof)},
                      {"why", report.why},
                      {"margin_ms", margin_json(report.margin)},
                      {"snapshots", snapshots},
                      {"not_checked", Json::Array{"contents", "authenticity"}}};
}

}  // namespace

Result<void> verify_snapshots(const Settings& settings, CommandContext& context) {
  const auto history = read_sessions(settings);
  if (!history) return tl::unexpected(history.error());
  const auto snapshots = read_snapshots(*settings.snapshots);
  if (!snapshots) return tl::unexpected(snapshots.error());
  const SnapshotReport report = judge_snapshots(*history, *snapshots);
  context.out << (settings.json ? to_json(report).dump_line() : to_text(report)) << std::flush;
  return result_of(report.proof, "not all of these snapshots are proven to be of a hold",
                   "not all of these snapshots are of a whole hold");
}

}  // namespace dlm_freeze
