// SPDX-License-Identifier: Apache-2.0
#include "record/history.hpp"

#include <algorithm>
#include <ostream>
#include <utility>

#include "commands/command_context.hpp"
#include "commands/report.hpp"
#include "record/inventory.hpp"

namespace dlm_freeze {
namespace {

std::string outcome_of(const SessionRecord& record) {
  const std::string outcome(to_string(record.end));
  return record.problems.empty() ? outcome : outcome + " (" + count_of(record.problems.size(), "problem") + ")";
}

std::string what_was_held(const SessionRecord& record) {
  constexpr std::size_t kLongestName = 60;
  std::vector<std::string> names;
  const auto add = [&](const std::string& name) { names.push_back(without_middle(name, kLongestName)); };
  for (const FilesystemRecord& filesystem : record.filesystems) add(filesystem.mount_point);
  for (const QuiescerRecord& quiescer : record.quiescers) add(quiescer.config.name);
  return names.empty() ? "-" : list_of(names);
}

/// Whether the count of writes proves the hold: of all that lies below, of a part, or of nothing.
std::string proof_of(const SessionRecord& record) {
  const auto count = [&](HoldWitness::Result result) {
    return std::count_if(record.witness.begin(), record.witness.end(),
                         [&](const WitnessRecord& device) { return device.result == to_string(result); });
  };
  if (record.witness.empty()) return "-";
  if (count(HoldWitness::Result::written) > 0) return "disproven";
  const auto quiet = static_cast<std::size_t>(count(HoldWitness::Result::quiet));
  if (quiet == record.witness.size()) return "yes";
  return quiet > 0 ? "partly" : "not provable";
}

std::string to_text(const std::vector<SessionRecord>& records) {
  if (records.empty()) return "No session is on record.\n";
  TextTable table({"STARTED", "EXECUTION", "OUTCOME", "PROVEN", "FROZEN FOR", "STALL", "WHAT"});
  for (const SessionRecord& record : records) {
    table.add({format_utc(record.started_at), record.execution_id, outcome_of(record), proof_of(record),
               format_seconds(record.longest_freeze()) + " s", format_seconds(record.stall_seconds) + " s",
               what_was_held(record)});
  }
  return table.text();
}

/// A line for each: what the session's own files, and the databases' options, say is nobody else's business.
std::string to_json_lines(const std::vector<SessionRecord>& records) {
  std::string lines;
  for (SessionRecord record : records) {
    for (QuiescerRecord& quiescer : record.quiescers) quiescer.config.options = Json::Object{};
    const Json whole =
        record.to_json().without({"earlier", "to_put_back", "history_file", "metrics_file", "inventory"});
    Json::Object members = *whole.as_object();
    members.emplace_back("good", was_good(record));
    lines += Json(std::move(members)).dump_line();
  }
  return lines;
}

}  // namespace

Result<void> history(const Settings& settings, CommandContext& context) {
  auto records = read_history(settings.history_file);
  if (!records) return tl::unexpected(records.error());
  const auto surplus = static_cast<std::ptrdiff_t>(records->size() - std::min(records->size(), settings.last));
  records->erase(records->begin(), records->begin() + surplus);
  context.out << (settings.json ? to_json_lines(*records) : to_text(*records)) << std::flush;
  return {};
}

}  // namespace dlm_freeze
