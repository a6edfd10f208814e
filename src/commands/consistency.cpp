// SPDX-License-Identifier: Apache-2.0
#include "commands/consistency.hpp"

#include <algorithm>
#include <utility>

#include "base/text.hpp"

namespace dlm_freeze {
namespace {

/// Data of a database that lies on no volume of the report: on another host, in memory, or on what is not known.
std::vector<Advice> data_off_the_volumes(const HostPlan& plan, const VolumeReport& volumes,
                                         const FoundQuiescer& found) {
  std::vector<Advice> causes;
  for (const DataLocation& location : found.presence.locations) {
    if (!location.may_be_frozen || location.role != DataRole::data) continue;
    const Coverage coverage = plan.coverage(location.path);
    if (coverage.frozen) continue;
    const Mount* mount = plan.taker_of(location.path);
    if (mount != nullptr && volumes.volumes.contains(mount->device)) continue;  // The volume's row says so.
    causes.push_back({found.planned.config.name,
                      "its " + location.what + " (" + location.path + ") is not frozen: " + coverage.why});
  }
  return causes;
}

/// The first of its warnings that concern what the snapshot is worth.
const LogLine* first_gap(const std::vector<LogLine>& notes) {
  const auto found = std::find_if(notes.begin(), notes.end(),
                                  [](const LogLine& note) { return note.level == LogLevel::warn && note.is_gap; });
  return found == notes.end() ? nullptr : &*found;
}

void judge_database(const HostPlan& plan, const Readiness& readiness, const VolumeReport& volumes,
                    const FoundQuiescer& found, Consistency& judged) {
  if (!found.presence.running) return;
  if (!found.is_left_out()) ++judged.databases;
  const std::string& name = found.planned.config.name;
  const Finding* probe = readiness.probe_of(name);
  for (const auto* notes : {&found.notes, probe != nullptr ? &probe->notes : nullptr}) {
    const LogLine* gap = notes != nullptr ? first_gap(*notes) : nullptr;
    if (gap == nullptr) continue;
    judged.causes.push_back({name, without_name(gap->text, name)});
    return;
  }
  const auto off = data_off_the_volumes(plan, volumes, found);
  if (!off.empty()) judged.causes.push_back(off.front());
}

bool is_place_known(const FoundQuiescer& found) {
  const auto& locations = found.presence.locations;
  return std::any_of(locations.begin(), locations.end(),
                     [](const DataLocation& location) { return location.role == DataRole::data; });
}

/// What has to hold for databases that were not asked.
void add_conditions_of_databases(const HostPlan& plan, Consistency& judged) {
  judged.conditions.emplace_back("the databases can be quiesced (--probe asks them)");
  std::vector<std::string> unknown;
  for (const FoundQuiescer& found : plan.quiescers) {
    if (found.presence.running && !is_place_known(found)) unknown.push_back(found.planned.config.name);
  }
  if (unknown.empty()) return;
  const std::string data = "the data of " + list_of(unknown);
  judged.conditions.push_back(
      (plan.freeze.filesystems.empty() ? "quiescing alone protects " + data : data + " lies on what is frozen") +
      " (dry-run does not know where it is)");
}

void judge_volumes(const VolumeReport& volumes, Consistency& judged) {
  for (const VolumeRow& row : volumes.rows) {
    switch (row.state) {
      case VolumeState::not_covered:
      case VolumeState::quiesced_only:
        judged.causes.push_back({row.name, row.cause});
        break;
      case VolumeState::boot:
        judged.boot.push_back(row.name);
        break;
      case VolumeState::partly_covered:
        judged.partly.push_back({row.name, row.cause});
        break;
      case VolumeState::frozen:
        judged.covered.push_back(row.name);
        break;
      case VolumeState::not_mounted:
        judged.untold.push_back(row.name);
        break;
      case VolumeState::read_only:
      case VolumeState::not_needed:
        break;
    }
  }
}

bool contains(const std::vector<std::string>& words, const std::string& word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

/// "vol-0c (not mounted: nvme2n1p2)".
std::string partly_text(const std::vector<Advice>& partly) {
  std::vector<std::string> texts;
  texts.reserve(partly.size());
  for (const Advice& volume : partly) texts.push_back(volume.name + " (" + volume.text + ")");
  return list_of(texts);
}

std::string causes_text(const std::vector<Advice>& causes) {
  constexpr std::size_t kMostCauses = 2;
  std::string text;
  for (std::size_t i = 0; i < causes.size() && i < kMostCauses; ++i) {
    constexpr std::size_t kLongest = 200;
    text += "; no for " + without_middle(causes[i].name, kLongest) + ", because " +
            without_middle(causes[i].text, kLongest);
  }
  if (causes.size() > kMostCauses) text += "; no for " + std::to_string(causes.size() - kMostCauses) + " more";
  return text;
}

}  // namespace

std::string Consistency::text() const {
  if (!failure.empty()) return "Consistent: no, pre-script would fail: " + failure + ".";
  std::string text;
  if (!covered.empty()) {
    text = "yes, for " + list_of(covered);
  } else if (!partly.empty()) {
    text = "partly, for " + partly_text(partly);
  } else if (databases > 0 && causes.empty()) {
    text = "yes, for " + count_of(databases, "database") + " alone, since nothing is frozen";
  } else if (causes.empty()) {
    text = "no, there is nothing to freeze and no database to quiesce";
  }
  std::string rest = causes_text(causes);
  if (text.empty()) rest.erase(0, std::string_view("; ").size());
  if (!covered.empty() && !partly.empty()) text += "; partly, for " + partly_text(partly);
  text += rest;
  if (!boot.empty()) text += "; crash-consistent for " + list_of(boot) + " (boot)";
  if (!untold.empty()) text += "; unknown for " + list_of(untold) + " (nothing mounted)";
  if (!conditions.empty() && answer != Answer::no) text += "; provided that " + list_of(conditions, ", and that ");
  return "Consistent: " + text + ".";
}

Consistency judge_consistency(const HostPlan& plan, const Settings& settings, const Readiness& readiness,
                              const VolumeReport& volumes, const std::string& late) {
  Consistency judged;
  if (const Finding* failed = readiness.first_failure()) judged.failure = failed->result.error().message;
  judge_volumes(volumes, judged);
  for (const FoundQuiescer& found : plan.quiescers) judge_database(plan, readiness, volumes, found, judged);
  for (const std::string& pattern : plan.freeze.unmatched) {
    if (contains(settings.filesystems.include, pattern) && settings.filesystems.freeze)
      judged.causes.push_back({pattern, "filesystems.include names it and it is not mounted"});
  }
  if (!plan.all_processes_seen) {
    judged.causes.push_back(
        {"what is mounted in other mount namespaces only", "there was no time to examine all processes"});
  }
  if (judged.databases > 0 && !settings.probe) add_conditions_of_databases(plan, judged);
  if (!late.empty()) judged.conditions.push_back(late);
  if (!readiness.leftovers.empty()) judged.conditions.push_back(readiness.leftovers);
  if (!readiness.sees_all) judged.conditions.emplace_back("this run saw everything (it was not run as root)");

  const bool holds_something =
      judged.failure.empty() && (!judged.covered.empty() || !judged.partly.empty() || judged.databases > 0);
  if (holds_something) {
    const bool is_whole = judged.causes.empty() && judged.partly.empty() && judged.untold.empty() && late.empty() &&
                          readiness.leftovers.empty();
    judged.answer = is_whole ? Consistency::Answer::yes : Consistency::Answer::partly;
  }
  return judged;
}

std::string_view to_string(Consistency::Answer answer) {
  switch (answer) {
    case Consistency::Answer::yes:
      return "yes";
    case Consistency::Answer::partly:
      return "partly";
    case Consistency::Answer::no:
      return "no";
  }
  return "";
}

}  // namespace dlm_freeze
