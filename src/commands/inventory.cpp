// SPDX-License-Identifier: Apache-2.0
#include "commands/inventory.hpp"

#include <algorithm>
#include <sstream>
#include <utility>

#include "base/text.hpp"

namespace dlm_freeze {
namespace {

/// Of the volumes in that state, and of those that are worse where `worst` says so.
template <typename Predicate>
std::string names_of(const VolumeReport& volumes, Predicate predicate) {
  std::vector<std::string> names;
  for (const VolumeRow& row : volumes.rows) {
    if (predicate(row.state)) names.push_back(row.name);
  }
  return join(names, ", ");
}

std::string databases_of(const HostPlan& plan) {
  std::vector<std::string> names;
  for (const FoundQuiescer& found : plan.quiescers) {
    if (found.presence.running) names.push_back(found.planned.config.name);
  }
  return join(names, ", ");
}

/// Why a pre-script would fail; of a database, only that it would.
std::string reason_of(const Finding& finding) {
  const bool is_of_database = finding.is_probe || finding.name == "databases";
  if (!is_of_database) return finding.result.error().message;
  return finding.name + (finding.result.error().kind == ErrorKind::not_ready ? " cannot be quiesced now" : " failed") +
         ": dlm-freeze dry-run --probe on the host says why";
}

std::string causes_of(const Consistency& consistency) {
  std::vector<std::string> causes;
  for (const Advice& cause : consistency.causes) causes.push_back(cause.name + ": " + cause.text);
  return list_of(causes, "; ");
}

InventoryItem item_of(const Error* error, const std::string& reason, const CommandContext& context, WallTime now) {
  InventoryItem item;
  item.set("Ready", error == nullptr ? "yes" : "no");
  item.set("ExitCode", std::to_string(error == nullptr ? 0 : context.code_of_pre_script(error->kind)));
  item.set("Reason", reason);
  item.set("ProbedAt", format_utc(now));
  item.set("Version", context.version);
  return item;
}

std::string decimal(double value) {
  std::ostringstream text;
  text.precision(1);
  text << std::fixed << value;
  return text.str();
}

/// Who writes to what a session has frozen waits for its thaw.
Result<void> check_not_frozen(const std::string& directory, const Settings& settings) {
  const auto state = StateDirectory::open(settings.state_directory, false);
  const auto record = state ? state->read_record() : tl::unexpected(state.error());
  if (!record || !*record || (*record)->phase == Phase::ended || !(*record)->is_of_boot(current_boot_id())) return {};
  const auto table = MountTable::read();
  const auto id = mount_id_of(directory);
  const Mount* mount = table && id ? table->find(*id) : nullptr;
  for (const FilesystemRecord& filesystem : (*record)->filesystems) {
    if (mount != nullptr && filesystem.device == device_number(mount->device)) {
      return failure("the inventory is not written: " + directory + " lies on " + filesystem.mount_point +
                     ", which the active session holds frozen");
    }
  }
  return {};
}

}  // namespace

InventoryItem inventory_of(const DryRunReport& report, const CommandContext& context, WallTime now) {
  const Finding* failed = report.readiness.first_failure();
  const Consistency& consistency = report.consistency;
  InventoryItem item = item_of(failed != nullptr ? &failed->result.error() : nullptr,
                               failed != nullptr ? reason_of(*failed) : causes_of(consistency), context, now);
  // Where nothing is held, a pre-script would succeed for nothing.
  if (consistency.answer == Consistency::Answer::no) item.set("Ready", "no");
  item.set("Consistent", failed != nullptr ? "no" : to_string(consistency.answer));
  item.set("ConfigHash", report.settings.config_hash);
  item.set("VolumesCovered", names_of(report.volumes, [](VolumeState state) { return state == VolumeState::frozen; }));
  item.set("VolumesNotCovered", names_of(report.volumes, [](VolumeState state) {
             return state == VolumeState::not_covered || state == VolumeState::quiesced_only;
           }));
  item.set("Databases", databases_of(report.plan));
  item.set("DirtyBytes", std::to_string(report.estimate.dirty_bytes));
  item.set("FreezeSeconds", report.estimate.seconds ? decimal(*report.estimate.seconds) : "unknown");
  item.set("TimeoutSeconds", std::to_string(report.settings.timeout.count()));
  item.set("AutoThawSeconds", std::to_string(report.auto_thaw.count()));
  return item;
}

InventoryItem inventory_of(const Error& error, const CommandContext& context, WallTime now) {
  InventoryItem item = item_of(&error, error.message, context, now);
  item.set("Consistent", "no");
  return item;
}

Result<void> publish(InventoryItem item, const Settings& settings) {
  std::string directory = settings.inventory.value_or("");
  if (directory.empty()) {
    auto found = find_inventory_directory(kAgentDirectory, instance_id());
    if (!found) return tl::unexpected(found.error());
    directory = std::move(*found);
  }
  if (auto writable = check_not_frozen(directory, settings); !writable) return writable;
  const InventoryItem earlier = read_inventory(directory);
  if (earlier.get("ProbedAt").empty()) {
    const auto sessions = read_history(settings.history_file);
    for (const SessionRecord& session : sessions.value_or(std::vector<SessionRecord>())) item.note_session(session);
  }
  item.keep_session_of(earlier);
  return write_inventory(directory, item);
}

}  // namespace dlm_freeze
