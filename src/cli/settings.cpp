// SPDX-License-Identifier: Apache-2.0
#include "cli/settings.hpp"

#include <cstdlib>
#include <utility>

#include "base/text.hpp"
#include "cli/config_file.hpp"

namespace dlm_freeze {
namespace {

constexpr double kMebi = 1 << 20;
constexpr const char* kAutoThawVariable = "AUTO_THAW_DURATION_SECS";

Result<std::optional<std::chrono::seconds>> auto_thaw_of_environment() {
  const char* text = std::getenv(kAutoThawVariable);  // NOLINT(concurrency-mt-unsafe): no thread changes it.
  if (text == nullptr || *text == '\0') return std::nullopt;
  const auto seconds = parse_decimal(text, 1, kLongestAutoThaw);
  if (!seconds) {
    return failure(std::string(kAutoThawVariable) + " is '" + text + "' in the environment; it must be " +
                       whole_number(kLongestAutoThaw),
                   ErrorKind::usage);
  }
  return std::optional(std::chrono::seconds(*seconds));
}

}  // namespace

Result<Settings> resolve_settings(const CommandLine& line, QuiescerRegistry& registry) {
  Settings settings;
  settings.probe = line.probe;
  settings.all = line.all;
  if (line.write_speed) settings.write_speed = *line.write_speed * kMebi;
  settings.json = line.json;
  settings.watch = line.watch;
  settings.inventory = line.inventory;
  if (line.execution_id) settings.execution_id = *line.execution_id;
  settings.group_id = line.group_id.value_or("");
  settings.hold_at = line.hold_at;
  settings.snapshots = line.snapshots;
  settings.cut = line.cut;
  if (line.state_directory) {
    settings.state_directory = *line.state_directory;
    settings.history_file = settings.state_directory + "/history.jsonl";
  }
  settings.verify_paths = line.paths;
  settings.verify = line.verify;
  settings.verify.json = line.json;
  if (line.memory) settings.verify.memory = static_cast<std::uint64_t>(*line.memory) << 20U;
  if (line.timeout) settings.verify.timeout = std::chrono::seconds(*line.timeout);
  if (line.last) settings.last = static_cast<std::size_t>(*line.last);
  if (line.command == Command::pre_script || line.command == Command::dry_run) {
    auto file = read_config(line.config.value_or(kDefaultConfigFile), !line.config, registry);
    if (!file) return tl::unexpected(file.error());
    settings.config_hash = std::move(file->hash);
    settings.filesystems = std::move(file->filesystems);
    settings.quiescers = std::move(file->quiescers);
    settings.metrics_file = line.metrics_file.value_or(std::move(file->metrics_file));
    settings.manifest = file->manifest;
    settings.max_stall = file->max_stall;
    settings.dirty_limit = file->dirty_limit;
    settings.undiscovered = file->undiscovered;
    if (file->timeout) settings.timeout = *file->timeout;
    if (file->auto_thaw) {
      settings.auto_thaw = *file->auto_thaw;
    } else if (!line.auto_thaw) {
      const auto environment = auto_thaw_of_environment();
      if (!environment) return tl::unexpected(environment.error());
      if (*environment) settings.auto_thaw = **environment;
    }
  }
  if (line.auto_thaw) settings.auto_thaw = std::chrono::seconds(*line.auto_thaw);
  if (line.timeout) settings.timeout = std::chrono::seconds(*line.timeout);
  return settings;
}

}  // namespace dlm_freeze
