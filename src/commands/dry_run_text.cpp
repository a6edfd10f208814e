// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "base/text.hpp"
#include "commands/dry_run_report.hpp"
#include "commands/report.hpp"

namespace dlm_freeze {
namespace {

constexpr std::size_t kUnlimited = std::size_t{1} << 30;

/// How much of everything is shown.
struct Detail {
  std::size_t rows = kUnlimited;  ///< Of a table or list.
  std::size_t cell = kUnlimited;  ///< Bytes of a cell; one that explains may have twice as many.
  std::size_t line = kUnlimited;  ///< Bytes of a line; the answer may have twice as many.
};

/// The rows to show where not all of them fit, in their order: of each state some, and then the worst.
std::vector<bool> choose(const std::vector<VolumeRow>& rows, std::size_t most) {
  std::set<VolumeState> states;
  for (const VolumeRow& row : rows) states.insert(row.state);
  std::vector<bool> chosen(rows.size());
  std::size_t left = most;
  std::map<VolumeState, std::size_t> count;
  for (std::size_t i = 0; i < rows.size() && left > 0; ++i) {
    if (count[rows[i].state]++ >= std::max<std::size_t>(1, most / states.size())) continue;
    chosen[i] = true;
    --left;
  }
  for (std::size_t i = 0; i < rows.size() && left > 0; ++i) {
    if (!chosen[i]) --left;
    chosen[i] = true;
  }
  return chosen;
}

/// "  and 18 more: 17 frozen, 1 not mounted (--all)", for the rows of a table that are left out.
std::string rest_of(const std::vector<VolumeRow>& rows, const std::vector<bool>& shown) {
  std::map<VolumeState, std::size_t> counts;
  std::size_t left = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (shown[i]) continue;
    ++left;
    ++counts[rows[i].state];
  }
  if (left == 0) return "";
  std::vector<std::string> words;
  words.reserve(counts.size());
  for (const auto& [state, count] : counts) words.push_back(std::to_string(count) + " " + std::string(words_of(state)));
  return "  and " + std::to_string(left) + " more: " + join(words, ", ") + " (--all)\n";
}

std::string filesystems_cell(const VolumeRow& row, const Detail& detail) {
  constexpr std::size_t kMost = 3;
  if (row.filesystems.empty()) return "-";
  const std::size_t shown = std::min(kMost, detail.rows);
  if (row.filesystems.size() <= shown) return join(row.filesystems, ", ");
  const std::vector<std::string> named(row.filesystems.begin(),
                                       row.filesystems.begin() + static_cast<std::ptrdiff_t>(shown));
  return join(named, ", ") + " +" + std::to_string(row.filesystems.size() - shown);
}

std::string volume_table(const DryRunReport& report, const Detail& detail) {
  const auto& rows = report.volumes.rows;
  if (rows.empty()) return "";
  TextTable table({"VOLUME", "SIZE", "STATE", "FILESYSTEMS", "WHY"});
  const std::vector<bool> shown = choose(rows, detail.rows);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (!shown[i]) continue;
    const VolumeRow& row = rows[i];
    const bool has_device = report.settings.all && !row.device.empty() && row.device != row.name;
    table.add({without_middle(has_device ? row.name + " (" + row.device + ")" : row.name, detail.cell),
               row.size_bytes == 0 ? "-" : format_size(row.size_bytes), std::string(words_of(row.state)),
               without_middle(filesystems_cell(row, report.settings.all ? Detail() : detail), detail.cell),
               without_middle(row.why, 2 * detail.cell)});
  }
  return "\n" + table.text() + rest_of(rows, shown);
}

std::string state_of(const DryRunReport& report, const FoundQuiescer& found) {
  if (!found.presence.running) return found.planned.config.required ? "absent, required" : "absent, skipped";
  if (found.is_left_out()) return "NOT quiesced";
  const Finding* probe = report.readiness.probe_of(found.planned.config.name);
  if (probe == nullptr) return "found";
  return probe->result ? "ready" : "NOT ready";
}

/// What protects a database that runs: quiescing always, the freeze as far as it goes.
std::string protection_of(const HostPlan& plan, const FoundQuiescer& found) {
  if (!found.presence.running) return "-";
  std::size_t parts = 0;
  std::size_t frozen = 0;
  for (const DataLocation& location : found.presence.locations) {
    if (!location.may_be_frozen || location.role != DataRole::data) continue;
    ++parts;
    if (plan.coverage(location.path).frozen) ++frozen;
  }
  if (found.is_left_out()) return frozen == 0 ? "nothing" : "freeze ALONE";
  if (parts == 0) return "quiescing";
  if (frozen == parts) return "quiescing, freeze";
  if (frozen == 0) return "quiescing ALONE";
  return "quiescing, freeze of " + std::to_string(frozen) + " of " + std::to_string(parts);
}

/// "data /var/lib/mysql (vol-1), binary log /binlog (vol-2)", in `most` bytes if one fits.
std::string places_of(const DryRunReport& report, const FoundQuiescer& found, std::size_t most) {
  const auto& locations = found.presence.locations;
  const std::string& detail = found.presence.detail;
  if (locations.empty()) return detail.empty() ? "-" : without_middle(detail, most);
  std::string text;
  std::size_t shown = 0;
  for (const DataLocation& location : locations) {
    const Mount* mount = report.plan.taker_of(location.path);
    const auto volume = mount == nullptr ? report.volumes.volumes.end() : report.volumes.volumes.find(mount->device);
    const std::string where = volume == report.volumes.volumes.end() ? "no volume" : volume->second;
    const std::string place = location.what + " " + location.path + " (" + where + ")";
    if (shown > 0 && text.size() + place.size() > most) break;
    text += (shown > 0 ? ", " : "") + place;
    ++shown;
  }
  text = without_middle(text, most);
  return shown == locations.size() ? text : text + " +" + std::to_string(locations.size() - shown);
}

/// After the first `shown` of `all` rows or lines.
std::string and_more(std::size_t all, std::size_t shown) {
  return all > shown ? "  and " + std::to_string(all - shown) + " more (--all)\n" : "";
}

std::string database_table(const DryRunReport& report, const Detail& detail) {
  const auto& quiescers = report.plan.quiescers;
  if (quiescers.empty()) return "";
  TextTable table({"DATABASE", "STATE", "PROTECTED BY", "LIES ON"});
  const std::size_t shown = std::min(quiescers.size(), detail.rows);
  for (std::size_t i = 0; i < shown; ++i) {
    const FoundQuiescer& found = quiescers[i];
    table.add({without_middle(found.planned.config.name, detail.cell), state_of(report, found),
               protection_of(report.plan, found), places_of(report, found, 2 * detail.cell)});
  }
  return "\n" + table.text() + and_more(quiescers.size(), shown);
}

/// The same to do for several things is one line.
std::string to_do_list(const DryRunReport& report, const Detail& detail) {
  std::vector<std::pair<std::string, std::vector<std::string>>> lines;
  for (const Advice& advice : report.volumes.advice) {
    auto line = std::find_if(lines.begin(), lines.end(), [&](const auto& one) { return one.first == advice.text; });
    if (line == lines.end()) line = lines.insert(lines.end(), {advice.text, {}});
    line->second.push_back(without_middle(advice.name, detail.cell));
  }
  if (lines.empty()) return "";
  std::string text = "\nTo do:\n";
  const std::size_t shown = std::min(lines.size(), detail.rows);
  for (std::size_t i = 0; i < shown; ++i) text += "  " + text_line(list_of(lines[i].second) + ": " + lines[i].first);
  return text + and_more(lines.size(), shown);
}

std::string mount_table(const HostPlan& plan) {
  TextTable table({"ORDER", "MOUNT POINT", "DEVICE", "VOLUME", "TYPE", "SIZE", "VERDICT", "WHY"});
  for (const PlannedMount& planned : plan.freeze.mounts) {
    const PlannedFilesystem* filesystem = plan.filesystem(planned.mount.device);
    const BlockStack stack = filesystem == nullptr ? BlockStack() : filesystem->stack;
    table.add({planned.level < 0 ? "-" : std::to_string(planned.level + 1),
               planned.elsewhere ? planned.name() : planned.mount.mount_point, planned.mount.source,
               stack.volume_ids.empty() ? "-" : join(stack.volume_ids, ","), planned.mount.type,
               stack.size_bytes == 0 ? "-" : format_size(stack.size_bytes), std::string(to_string(planned.verdict)),
               planned.why});
  }
  return "\n" + table.text();
}

/// A row for each place of each database.
std::string location_table(const DryRunReport& report) {
  const HostPlan& plan = report.plan;
  if (plan.quiescers.empty()) return "";
  TextTable table({"DATABASE", "TYPE", "STATE", "WHAT", "PATH", "FROZEN", "WHY"});
  for (const FoundQuiescer& found : plan.quiescers) {
    const auto& config = found.planned.config;
    const std::string state = state_of(report, found);
    if (found.presence.locations.empty())
      table.add({config.name, config.type, state, "-", "-", "-", found.presence.detail});
    for (const DataLocation& location : found.presence.locations) {
      const Coverage coverage = plan.coverage(location.path);
      table.add({config.name, config.type, state, location.what, location.path, coverage.frozen ? "yes" : "NO",
                 coverage.why});
    }
  }
  return "\n" + table.text();
}

/// What only `--all` shows, in the places of what is short.
std::string details(const DryRunReport& report) {
  std::string probes;
  for (const Finding& finding : report.readiness.findings) {
    if (finding.result && report.settings.probe) probes += text_line("probe of " + finding.name + ": ready");
  }
  return mount_table(report.plan) + location_table(report) + (probes.empty() ? "" : "\n" + probes);
}

std::vector<LogLine> lines_of(const DryRunReport& report, const Detail& detail) {
  std::vector<LogLine> lines = report.notes;
  for (const Hazard& hazard : report.hazards) lines.push_back({LogLevel::warn, hazard.text()});
  std::stable_sort(lines.begin(), lines.end(), [](const LogLine& a, const LogLine& b) { return a.level > b.level; });
  const std::size_t left = lines.size() - std::min(lines.size(), detail.rows);
  lines.resize(lines.size() - left);
  for (LogLine& line : lines) line.text = without_middle(line.text, detail.line);
  if (left > 0) lines.push_back({LogLevel::warn, count_of(left, "more line") + " of this kind (--all)"});
  return lines;
}

/// What would go wrong besides the failure that the answer names.
std::string problems(const DryRunReport& report, const Detail& detail) {
  std::vector<std::string> others;
  for (const Finding& finding : report.readiness.findings) {
    if (!finding.result) others.push_back(finding.result.error().message);
  }
  if (!others.empty()) others.erase(others.begin());
  std::string text;
  if (!report.plan.freeze.unmatched.empty())
    text += text_line(without_middle("The configuration's " + unmatched_text(report.plan.freeze) + ".", detail.line));
  for (std::size_t i = 0; i < others.size() && i < detail.rows; ++i)
    text += text_line(without_middle("pre-script would also fail: " + others[i] + ".", detail.line));
  return text.empty() ? text : "\n" + text;
}

std::string summary(const DryRunReport& report) {
  const std::size_t hidden = report.volumes.without_device;
  std::string text = "\n";
  if (hidden > 0 && !report.settings.all) {
    text +=
        count_of(hidden, "mount") + " without a block device " + (hidden == 1 ? "is" : "are") + " left out (--all). ";
  }
  return text + count_of(report.plan.freeze.filesystems.size(), "filesystem") + " would be frozen, " +
         count_of(report.consistency.databases, "database") + " quiesced. Nothing was changed.\n";
}

DryRunText text_with(const DryRunReport& report, const Detail& detail) {
  DryRunText text;
  text.head = text_line(without_middle(report.consistency.text(), 2 * detail.line));
  text.head += volume_table(report, detail);
  text.head += report.settings.all ? details(report) : database_table(report, detail);
  text.head += "\n" + report.estimate.text() + "\n";
  text.head += problems(report, detail) + to_do_list(report, detail);
  text.lines = lines_of(report, detail);
  text.tail = summary(report);
  return text;
}

std::size_t size_of(const DryRunText& text) {
  constexpr std::size_t kLevelAndEnd = 8;
  std::size_t size = text.head.size() + text.tail.size();
  for (const LogLine& line : text.lines) size += printable(line.text).size() + kLevelAndEnd;
  return size;
}

}  // namespace

DryRunText to_text(const DryRunReport& report) {
  constexpr std::size_t kShown = 2'450;  // Of the 2,500 that the agent shows.
  constexpr std::array kDetails = {Detail{64, 60, 400}, Detail{32, 40, 300}, Detail{26, 40, 300}, Detail{20, 40, 300},
                                   Detail{16, 40, 300}, Detail{12, 40, 300}, Detail{8, 40, 250},  Detail{5, 30, 200},
                                   Detail{3, 24, 160},  Detail{2, 20, 120}};
  if (report.settings.all) return text_with(report, {});
  DryRunText text;
  for (const Detail& detail : kDetails) {
    text = text_with(report, detail);
    if (size_of(text) <= kShown) break;
  }
  return text;
}

}  // namespace dlm_freeze
