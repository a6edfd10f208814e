// SPDX-License-Identifier: Apache-2.0
#include "commands/host_plan.hpp"

#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "fs/block_stack.hpp"

namespace dlm_freeze {
namespace {

constexpr auto kLocateTimeout = std::chrono::seconds(5);

/// The paths that exist, with their symbolic links resolved: a path that is not there protects nothing.
std::vector<std::string> existing(const std::vector<std::string>& paths) {
  std::vector<std::string> found;
  for (const std::string& path : paths) {
    std::error_code error;
    const auto resolved = std::filesystem::canonical(path, error);
    if (!error) found.push_back(resolved);
  }
  return found;
}

Result<void> find_quiescers(const Settings& settings, CommandContext& context, std::vector<FoundQuiescer>& found) {
  std::vector<QuiescerConfig> configs;
  if (settings.quiescers) {
    configs = *settings.quiescers;
  } else {
    auto detected = context.registry.detect();
    if (!detected) return tl::unexpected(detected.error());
    configs = std::move(*detected);
  }
  for (QuiescerConfig& config : configs) {
    const auto type = context.registry.find(config.type);
    if (!type) return tl::unexpected(type.error());
    auto quiescer = (*type)->create(config);
    if (!quiescer) return tl::unexpected(quiescer.error());
    StageContext stage{Deadline::in(kLocateTimeout).or_earlier(Deadline(context.started + settings.timeout)),
                       -1,
                       settings.execution_id,
                       nullptr,
                       {}};
    auto presence = (*quiescer)->locate(stage);
    if (!presence) return tl::unexpected(presence.error());
    for (const LogLine& note : stage.notes) context.log.write(note.level, note.text);
    found.push_back({{std::move(config), *type, std::move(*quiescer)}, std::move(*presence)});
  }
  return {};
}

/// Says which database keeps a filesystem from being frozen.
void explain(FreezePlan& plan, const std::vector<FoundQuiescer>& quiescers) {
  for (const FoundQuiescer& found : quiescers) {
    for (const DataLocation& location : found.presence.locations) {
      if (location.may_be_frozen) continue;
      for (PlannedMount& planned : plan.mounts) {
        if (planned.reason == Reason::protected_path && planned.why == "holds " + location.path)
          planned.why += ", which " + found.planned.config.name + " needs (" + location.what + ")";
      }
    }
  }
}

}  // namespace

Coverage HostPlan::coverage(const std::string& path) const {
  std::error_code error;
  const auto resolved = std::filesystem::weakly_canonical(path, error);
  const Mount* mount = table.resolve(error ? path : resolved.string());
  if (mount == nullptr) return {false, "", "it lies on no mount"};
  const auto planned = std::find_if(freeze.mounts.begin(), freeze.mounts.end(),
                                    [&](const PlannedMount& candidate) { return candidate.mount.id == mount->id; });
  if (planned == freeze.mounts.end()) return {false, mount->mount_point, "it is not in the mount table"};
  return {planned->verdict != Verdict::pass_over, mount->mount_point, planned->why};
}

std::chrono::seconds HostPlan::auto_thaw(std::chrono::seconds wanted, Log& log) const {
  std::chrono::seconds longest = wanted;
  for (const FoundQuiescer& found : quiescers) {
    const Presence& presence = found.presence;
    const bool is_frozen = std::any_of(presence.locations.begin(), presence.locations.end(),
                                       [&](const DataLocation& location) { return coverage(location.path).frozen; });
    if (!presence.running || !is_frozen || !presence.longest_freeze || *presence.longest_freeze >= longest) continue;
    longest = *presence.longest_freeze;
    log.warn("auto-thaw in " + std::to_string(longest.count()) + " seconds instead of " +
             std::to_string(wanted.count()) + ": " + found.planned.config.name + " must not be frozen for longer");
  }
  return longest;
}

Result<HostPlan> plan_host(const Settings& settings, CommandContext& context) {
  auto table = MountTable::read();
  if (!table) return tl::unexpected(table.error());
  std::vector<FoundQuiescer> quiescers;
  Result<void> databases_known = find_quiescers(settings, context, quiescers);

  Selection selection = settings.filesystems;
  selection.protect = existing(selection.protect);
  // The state directory may be yet to be made.
  std::error_code error;
  const auto state = std::filesystem::weakly_canonical(settings.state_directory, error);
  selection.protect.push_back(error ? settings.state_directory : state.string());
  for (const FoundQuiescer& quiescer : quiescers) {
    for (const DataLocation& location : quiescer.presence.locations) {
      if (!location.may_be_frozen) selection.protect.push_back(location.path);
    }
  }
  const BlockStacks stacks = read_block_stacks(*table);
  FreezePlan freeze = plan_freeze(*table, stacks, selection);
  explain(freeze, quiescers);
  return HostPlan{std::move(*table), std::move(freeze), std::move(quiescers), std::move(databases_known)};
}

Result<void> check_privilege() {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> data{};
  if (::syscall(SYS_capget, &header, data.data()) != 0)
    return system_failure("cannot read this process's capabilities", errno);
  if ((data[0].effective & (1U << CAP_SYS_ADMIN)) == 0) {
    return failure("freezing and thawing need root (CAP_SYS_ADMIN), and this process runs as uid " +
                   std::to_string(::geteuid()) + ": run it as root");
  }
  return {};
}

}  // namespace dlm_freeze
