// SPDX-License-Identifier: Apache-2.0
#include "record/session_record.hpp"

#include <algorithm>
#include <array>

#include "base/process.hpp"
#include "dlm_freeze/base/files.hpp"
#include "record/member_reader.hpp"
#include "record/moments.hpp"

namespace dlm_freeze {
namespace {

constexpr std::int64_t kVersion = 1;
/// The execution id of who has none.
constexpr std::string_view kNoExecution = "None";

constexpr std::array kPhases = {Phase::preparing, Phase::freezing, Phase::held, Phase::ending, Phase::ended};
constexpr std::array kEnds = {SessionEnd::none, SessionEnd::completed, SessionEnd::auto_thawed, SessionEnd::rolled_back,
                              SessionEnd::watchdog_lost};

Json optional_time(WallTime time) { return time == WallTime() ? Json() : Json(format_utc(time)); }

/// From `begin` to `end`, on the boot clock where that is known; never negative.
BootClock::duration span(BootClock::time_point begin, BootClock::time_point end, WallTime begin_wall,
                         WallTime end_wall) {
  const bool is_known = begin != BootClock::time_point() && end != BootClock::time_point();
  const auto span = is_known ? end - begin : std::chrono::duration_cast<BootClock::duration>(end_wall - begin_wall);
  return std::max(span, BootClock::duration::zero());
}

Json to_json(const FilesystemRecord& filesystem) {
  return Json::Object{{"mount_point", filesystem.mount_point},
                      {"device", filesystem.device},
                      {"state", filesystem.state},
                      {"frozen_seconds", filesystem.frozen_seconds},
                      {"freeze_seconds", filesystem.freeze_seconds},
                      {"may_be_frozen", filesystem.may_be_frozen},
                      {"volumes", filesystem.volumes},
                      {"where", filesystem.where}};
}

Json to_json(const QuiescerRecord& quiescer) {
  Json::Object facts;
  for (const Fact& fact : quiescer.facts) facts.emplace_back(fact.key, fact.value);
  return Json::Object{{"type", quiescer.config.type},
                      {"name", quiescer.config.name},
                      {"quiesced", quiescer.quiesced},
                      {"facts", facts},
                      {"options", quiescer.config.options}};
}

Json to_json(const WitnessRecord& witness) {
  return Json::Object{
      {"device", witness.device}, {"result", witness.result}, {"why", witness.why}, {"sectors", witness.sectors}};
}

Json to_json(const KernelVariable& variable) {
  return Json::Object{{"path", variable.path}, {"value", variable.value}};
}

Json to_json(const EarlierSession& earlier) {
  return Json::Object{{"execution_id", earlier.execution_id},
                      {"end", to_string(earlier.end)},
                      {"ended_at", optional_time(earlier.ended_at)},
                      {"ended_at_ms", to_count(earlier.ended_at)},
                      {"ended_by", earlier.ended_by},
                      {"had_problems", earlier.had_problems},
                      {"reported", earlier.reported}};
}

template <typename Enum, std::size_t N>
Result<Enum> enum_from(const std::array<Enum, N>& all, std::string_view text) {
  const auto found = std::find_if(all.begin(), all.end(), [&](Enum value) { return to_string(value) == text; });
  if (found == all.end())
    return failure("the record of the session says '" + std::string(text) + "', which is not known");
  return *found;
}

/// None where an earlier version wrote the record.
Result<std::vector<KernelVariable>> variables_from(const Json& json) {
  std::vector<KernelVariable> all;
  const Json* member = json.find("to_put_back");
  if (member == nullptr || member->as_array() == nullptr) return all;
  for (const Json& element : *member->as_array()) {
    MemberReader reader(element);
    all.push_back({reader.text("path"), reader.text("value")});
    if (!reader.first_missing().empty())
      return failure("the record of the session is damaged: '" + reader.first_missing() + "' is missing or wrong");
  }
  return all;
}

/// The same.
Result<std::vector<EarlierSession>> earlier_from(const Json& json) {
  std::vector<EarlierSession> all;
  const Json* member = json.find("earlier");
  if (member == nullptr || member->as_array() == nullptr) return all;
  for (const Json& element : *member->as_array()) {
    MemberReader reader(element);
    const auto end = enum_from(kEnds, reader.text("end"));
    if (!end) return tl::unexpected(end.error());
    all.push_back({reader.text("execution_id"), *end, from_count(reader.integer("ended_at_ms")),
                   reader.text("ended_by"), reader.boolean("had_problems"), reader.boolean("reported")});
    if (!reader.first_missing().empty())
      return failure("the record of the session is damaged: '" + reader.first_missing() + "' is missing or wrong");
  }
  return all;
}

}  // namespace

std::string_view to_string(Phase phase) {
  switch (phase) {
    case Phase::preparing:
      return "preparing";
    case Phase::freezing:
      return "freezing";
    case Phase::held:
      return "held";
    case Phase::ending:
      return "ending";
    case Phase::ended:
      return "ended";
  }
  return "";
}

std::string_view to_string(SessionEnd end) {
  switch (end) {
    case SessionEnd::none:
      return "none";
    case SessionEnd::completed:
      return "completed";
    case SessionEnd::auto_thawed:
      return "auto_thawed";
    case SessionEnd::rolled_back:
      return "rolled_back";
    case SessionEnd::watchdog_lost:
      return "watchdog_lost";
  }
  return "";
}

Json SessionRecord::to_json() const {
  Json::Object stages;
  for (const auto& [stage, seconds] : stage_seconds) stages.emplace_back(stage, seconds);
  Json::Array filesystem_list;
  for (const FilesystemRecord& filesystem : filesystems) filesystem_list.push_back(dlm_freeze::to_json(filesystem));
  Json::Array quiescer_list;
  for (const QuiescerRecord& quiescer : quiescers) quiescer_list.push_back(dlm_freeze::to_json(quiescer));
  Json::Array witness_list;
  for (const WitnessRecord& device : witness) witness_list.push_back(dlm_freeze::to_json(device));
  Json::Array variables;
  for (const KernelVariable& variable : to_put_back) variables.push_back(dlm_freeze::to_json(variable));
  Json::Array earlier_list;
  for (const EarlierSession& session : earlier) earlier_list.push_back(dlm_freeze::to_json(session));
  return Json::Object{{"version", kVersion},
                      {"phase", to_string(phase)},
                      {"session_id", session_id},
                      {"execution_id", execution_id},
                      {"group_id", group_id},
                      {"host", host},
                      {"boot_id", boot_id},
                      {"time_namespace", time_namespace},
                      {"started_at", optional_time(started_at)},
                      {"started_at_ms", to_count(started_at)},
                      {"started_boot_ns", to_count(started_boot)},
                      {"hold_wanted_at", optional_time(hold_wanted_at)},
                      {"hold_wanted_at_ms", to_count(hold_wanted_at)},
                      {"held_at", optional_time(held_at)},
                      {"held_at_ms", to_count(held_at)},
                      {"held_boot_ns", to_count(held_boot)},
                      {"held_clock_error_us", clock_error_json(held_clock_error)},
                      {"hold_ended_at", optional_time(hold_ended_at)},
                      {"hold_ended_at_ms", to_count(hold_ended_at)},
                      {"hold_ended_boot_ns", to_count(hold_ended_boot)},
                      {"hold_ended_clock_error_us", clock_error_json(hold_ended_clock_error)},
                      {"deadline_at", optional_time(deadline_at)},
                      {"deadline_at_ms", to_count(deadline_at)},
                      {"deadline_boot_ns", to_count(deadline_boot)},
                      {"stage_seconds", stages},
                      {"stall_seconds", stall_seconds},
                      {"filesystems", filesystem_list},
                      {"quiescers", quiescer_list},
                      {"witness", witness_list},
                      {"end", to_string(end)},
                      {"ended_at", optional_time(ended_at)},
                      {"ended_at_ms", to_count(ended_at)},
                      {"ended_boot_ns", to_count(ended_boot)},
                      {"ended_by", ended_by},
                      {"problems", problems},
                      {"reported", reported},
                      {"earlier", earlier_list},
                      {"to_put_back", variables},
                      {"history_file", history_file},
                      {"metrics_file", metrics_file},
                      {"inventory", inventory}};
}

Result<SessionRecord> SessionRecord::from_json(const Json& json) {
  MemberReader reader(json);
  if (const std::int64_t version = reader.integer("version"); reader.first_missing().empty() && version != kVersion) {
    return failure("the record of the session is of version " + std::to_string(version) +
                   "; this program knows version " + std::to_string(kVersion));
  }
  const auto phase = enum_from(kPhases, reader.text("phase"));
  const auto end = enum_from(kEnds, reader.text("end"));
  if (!phase) return tl::unexpected(phase.error());
  if (!end) return tl::unexpected(end.error());
  SessionRecord record;
  record.phase = *phase;
  record.end = *end;
  record.session_id = reader.text_if_there("session_id");
  record.execution_id = reader.text("execution_id");
  record.group_id = reader.text_if_there("group_id");
  record.host = reader.text_if_there("host");
  record.boot_id = reader.text("boot_id");
  record.started_at = from_count(reader.integer("started_at_ms"));
  record.hold_wanted_at = from_count(reader.integer_if_there("hold_wanted_at_ms"));
  record.held_at = from_count(reader.integer("held_at_ms"));
  record.hold_ended_at = from_count(reader.integer_if_there("hold_ended_at_ms"));
  record.held_clock_error = clock_error_from(json, "held_clock_error_us");
  record.hold_ended_clock_error = clock_error_from(json, "hold_ended_clock_error_us");
  record.deadline_at = from_count(reader.integer("deadline_at_ms"));
  record.ended_at = from_count(reader.integer("ended_at_ms"));
  record.time_namespace = reader.text_if_there("time_namespace");
  if (record.time_namespace.empty() || record.time_namespace == current_time_namespace()) {
    record.started_boot = boot_from_count(reader.integer_if_there("started_boot_ns"));
    record.held_boot = boot_from_count(reader.integer_if_there("held_boot_ns"));
    record.hold_ended_boot = boot_from_count(reader.integer_if_there("hold_ended_boot_ns"));
    record.deadline_boot = boot_from_count(reader.integer_if_there("deadline_boot_ns"));
    record.ended_boot = boot_from_count(reader.integer_if_there("ended_boot_ns"));
  }
  record.stall_seconds = reader.number_if_there("stall_seconds");
  record.ended_by = reader.text("ended_by");
  record.reported = reader.boolean("reported");
  record.history_file = reader.text_if_there("history_file");
  record.metrics_file = reader.text_if_there("metrics_file");
  record.inventory = reader.text_if_there("inventory");
  for (const auto& [stage, seconds] : reader.object("stage_seconds")) {
    const double* value = std::get_if<double>(&seconds.value());
    record.stage_seconds.emplace_back(stage, value != nullptr ? *value : 0);
  }
  record.problems = reader.texts("problems");
  auto earlier = earlier_from(json);
  if (!earlier) return tl::unexpected(earlier.error());
  record.earlier = std::move(*earlier);
  auto variables = variables_from(json);
  if (!variables) return tl::unexpected(variables.error());
  record.to_put_back = std::move(*variables);
  std::string missing;
  for (const Json& element : reader.array("filesystems")) {
    MemberReader member(element);
    record.filesystems.push_back({member.text("mount_point"), member.text("device"), member.text("state"),
                                  std::max(member.number("frozen_seconds"), 0.0), member.boolean("may_be_frozen"),
                                  member.number_if_there("freeze_seconds"), member.texts_if_there("volumes"),
                                  member.text_if_there("where")});
    if (missing.empty()) missing = member.first_missing();
  }
  for (const Json& element : reader.array("quiescers")) {
    MemberReader member(element);
    QuiescerRecord quiescer;
    quiescer.config = {member.text("type"), member.text("name"), false, Json(member.object("options"))};
    quiescer.quiesced = member.boolean("quiesced");
    for (const auto& [key, value] : member.object("facts")) {
      quiescer.facts.push_back({key, value.as_string() != nullptr ? *value.as_string() : ""});
    }
    record.quiescers.push_back(std::move(quiescer));
    if (missing.empty()) missing = member.first_missing();
  }
  for (const Json& element : reader.array_if_there("witness")) {
    MemberReader member(element);
    record.witness.push_back(
        {member.text("device"), member.text("result"), member.text("why"), member.integer("sectors")});
    if (missing.empty()) missing = member.first_missing();
  }
  if (!reader.first_missing().empty()) missing = reader.first_missing();
  if (!missing.empty()) return failure("the record of the session is damaged: '" + missing + "' is missing or wrong");
  return record;
}

bool SessionRecord::is_of_boot(const std::string& current_boot_id) const {
  if (boot_id.empty() || current_boot_id.empty()) return started_boot <= BootClock::now();
  return boot_id == current_boot_id;
}

bool SessionRecord::has_leftovers() const {
  return std::any_of(filesystems.begin(), filesystems.end(),
                     [](const FilesystemRecord& f) { return f.may_be_frozen; }) ||
         std::any_of(quiescers.begin(), quiescers.end(), [](const QuiescerRecord& q) { return q.quiesced; });
}

const EarlierSession* SessionRecord::earlier_of(const std::string& id) const {
  if (id == kNoExecution || id == execution_id || id == ended_by) return nullptr;
  // Who has no ids tells nothing by which id he ends a session.
  const bool has_id = execution_id != kNoExecution;
  const auto found = std::find_if(earlier.begin(), earlier.end(), [&](const EarlierSession& session) {
    return session.execution_id == id || (has_id && session.ended_by == id);
  });
  return found == earlier.end() ? nullptr : &*found;
}

std::vector<EarlierSession> SessionRecord::earlier_for_next() const {
  constexpr std::size_t kMost = 16;
  std::vector<EarlierSession> all = earlier;
  const bool has_id = execution_id != kNoExecution || (!ended_by.empty() && ended_by != kNoExecution);
  if (has_id) all.insert(all.begin(), {execution_id, end, ended_at, ended_by, !problems.empty(), reported});
  if (all.size() > kMost) all.resize(kMost);
  return all;
}

BootClock::duration SessionRecord::left_until_deadline() const {
  return span(BootClock::now(), deadline_boot, std::chrono::system_clock::now(), deadline_at);
}

BootClock::duration SessionRecord::past_deadline() const {
  return span(deadline_boot, BootClock::now(), deadline_at, std::chrono::system_clock::now());
}

BootClock::duration SessionRecord::since_held() const {
  return span(held_boot, BootClock::now(), held_at, std::chrono::system_clock::now());
}

double SessionRecord::longest_freeze() const {
  double longest = 0;
  for (const FilesystemRecord& filesystem : filesystems) longest = std::max(longest, filesystem.frozen_seconds);
  return longest;
}

std::string current_boot_id() {
  auto text = read_file("/proc/sys/kernel/random/boot_id");
  if (!text) return "";
  if (text->ends_with('\n')) text->pop_back();
  return *text;
}

std::string current_time_namespace() { return own_namespace("time"); }

}  // namespace dlm_freeze
