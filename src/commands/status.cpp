// SPDX-License-Identifier: Apache-2.0
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <ostream>
#include <utility>

#include "commands/command_context.hpp"
#include "commands/report.hpp"
#include "quiesce/forgiving_quiescer.hpp"

namespace dlm_freeze {
namespace {

struct View {
  bool active = false;
  std::optional<SessionRecord> record;

  /// Processes of it are gone, and it has not ended.
  [[nodiscard]] bool orphaned() const { return !active && record && record->is_orphan(current_boot_id()); }
  [[nodiscard]] BootClock::duration left() const {
    return record ? record->left_until_deadline() : BootClock::duration::zero();
  }
};

Result<View> look(const Settings& settings) {
  View view;
  const auto state = StateDirectory::open(settings.state_directory, false);
  if (!state) {
    if (state.error().errno_value == ENOENT) return view;
    return tl::unexpected(state.error());
  }
  const auto locked = state->is_locked();
  if (!locked) return tl::unexpected(locked.error());
  view.active = *locked;
  auto record = state->read_record();
  if (!record) return tl::unexpected(record.error());
  view.record = std::move(*record);
  return view;
}

Json to_json(const View& view) {
  Json::Object object{{"active", view.active}, {"orphaned", view.orphaned()}};
  object.emplace_back("seconds_left", view.active ? Json(std::chrono::duration<double>(view.left()).count()) : Json());
  object.emplace_back("session", view.record ? view.record->to_json() : Json());
  return object;
}

std::string headline(const View& view) {
  if (!view.record)
    return view.active ? "A session is being set up."
                       : "No session is active, and none is on record since the host was started.";
  const SessionRecord& record = *view.record;
  if (view.active && record.phase == Phase::ending) {
    return "A session is being undone: execution " + record.execution_id + ", started at " +
           format_utc(record.started_at) + ". A call to the kernel has not returned; the rest follows when it does.";
  }
  if (view.active && record.phase != Phase::ended) {
    return "A session is active (" + std::string(to_string(record.phase)) + "): execution " + record.execution_id +
           ", started at " + format_utc(record.started_at) + ", ends by itself in " + format_seconds(view.left()) +
           " seconds (" + format_utc(record.deadline_at) + ").";
  }
  if (view.orphaned()) {
    return "The session of execution " + record.execution_id + ", started at " + format_utc(record.started_at) +
           ", has lost all its processes. Filesystems may be frozen: run dlm-freeze post-script.";
  }
  return "No session is active. The last one, execution " + record.execution_id + ", started at " +
         format_utc(record.started_at) + " and ended at " + format_utc(record.ended_at) + ": " +
         std::string(to_string(record.end)) + ".";
}

/// What the count of writes says of the hold, a line for all devices of which it says the same.
std::string witness_text(const SessionRecord& record) {
  std::vector<std::string> quiet;
  std::vector<std::string> watched;
  std::map<std::string, std::vector<std::string>> not_provable;  // By the reason.
  for (const WitnessRecord& device : record.witness) {
    if (device.result == to_string(HoldWitness::Result::quiet)) quiet.push_back(device.device);
    if (device.result == to_string(HoldWitness::Result::watched)) watched.push_back(device.device);
    if (device.result == to_string(HoldWitness::Result::not_provable))
      not_provable[device.why].push_back(device.device);
  }
  std::string text;
  if (!quiet.empty()) text += text_line("  proven: nothing was written to " + list_of(quiet) + " during the hold");
  if (!watched.empty()) text += text_line("  watched for writes: " + list_of(watched));
  for (const auto& [why, devices] : not_provable) text += text_line("  not provable: " + list_of(devices) + ": " + why);
  return text;
}

std::string to_text(const View& view) {
  std::string text = text_line(headline(view));
  if (!view.record) return text;
  const SessionRecord& record = *view.record;
  const std::size_t named = std::min(record.problems.size(), kMostNamed);
  for (std::size_t i = 0; i < named; ++i) text += text_line("  problem: " + record.problems[i]);
  if (named < record.problems.size())
    text += "  and " + std::to_string(record.problems.size() - named) + " more (--json)\n";
  if (!record.group_id.empty()) text += text_line("  of the group " + record.group_id);
  text += witness_text(record);
  if (record.stall_seconds > 0)
    text +=
        text_line("  stall: " + format_seconds(record.stall_seconds) + " s from the first lock until all was frozen");
  if (!record.filesystems.empty()) {
    TextTable table({"MOUNT POINT", "DEVICE", "STATE", "FROZEN FOR", "FREEZE TOOK"});
    for (const FilesystemRecord& filesystem : record.filesystems) {
      double seconds = filesystem.frozen_seconds;
      if (record.phase == Phase::held && (view.active || view.orphaned())) {
        // The record was written when the session was committed and says how long it had been frozen by then.
        seconds += std::chrono::duration<double>(record.since_held()).count();
      }
      table.add({filesystem.mount_point, filesystem.device, filesystem.state, format_seconds(seconds) + " s",
                 format_seconds(filesystem.freeze_seconds) + " s"});
    }
    text += "\n" + table.text();
  }
  if (!record.quiescers.empty()) {
    TextTable table({"DATABASE", "TYPE", "STATE", "FACTS"});
    for (const QuiescerRecord& quiescer : record.quiescers) {
      std::vector<std::string> facts;
      std::string state = quiescer.quiesced ? "quiesced" : "not held";
      for (const Fact& fact : quiescer.facts) {
        if (fact.key == kNotQuiesced) state = "NOT quiesced";
        facts.push_back(fact.key + "=" + fact.value);
      }
      table.add({quiescer.config.name, quiescer.config.type, state, join(facts, " ")});
    }
    text += "\n" + table.text();
  }
  return text;
}

/// Shows the session again and again until it has ended. On a terminal in place.
Result<void> watch(const Settings& settings, CommandContext& context) {
  constexpr int kTick = 1000;
  for (;;) {
    const auto view = look(settings);
    if (!view) return tl::unexpected(view.error());
    if (context.out_takes_escapes) context.out << "\x1b[H\x1b[2J";
    context.out << to_text(*view) << std::flush;
    if (!view->active || !context.out) return {};
    ::poll(nullptr, 0, kTick);  // What is shown is a count-down of seconds; there is no event to wait for.
  }
}

}  // namespace

Result<void> status(const Settings& settings, CommandContext& context) {
  if (settings.watch) return watch(settings, context);
  const auto view = look(settings);
  if (!view) return tl::unexpected(view.error());
  context.out << (settings.json ? to_json(*view).dump_line() : to_text(*view)) << std::flush;
  return {};
}

}  // namespace dlm_freeze
