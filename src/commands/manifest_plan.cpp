// SPDX-License-Identifier: Apache-2.0
#include "commands/manifest_plan.hpp"

#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <set>
#include <string_view>
#include <utility>

#include "base/text.hpp"
#include "fs/filesystem_uuid.hpp"
#include "session/manifest_writers.hpp"

namespace dlm_freeze {
namespace {

std::set<std::string> data_directories(const HostPlan& plan) {
  std::set<std::string> directories;
  for (const FoundQuiescer& found : plan.quiescers) {
    for (const DataLocation& location : found.presence.locations) directories.insert(location.path);
  }
  return directories;
}

const PlannedFilesystem& planned_of(const HostPlan& plan, dev_t device) {
  return *std::find_if(plan.freeze.filesystems.begin(), plan.freeze.filesystems.end(),
                       [&](const PlannedFilesystem& planned) { return planned.device == device; });
}

ManifestMember member_of(const PlannedFilesystem& planned, int fd, const ManifestPlace& place) {
  return {planned.name(),
          planned.mounts.front().type,
          filesystem_uuid(fd, planned.stack.devices),
          device_number(planned.device),
          planned.stack.devices,
          planned.stack.volume_ids,
          planned.stack.size_bytes,
          place.root,
          place.why_not};
}

std::vector<ManifestGap> gaps_of(const FreezePlan& plan) {
  std::vector<ManifestGap> gaps;
  for (const Gap& gap : plan.gaps) {
    const PlannedMount& planned = plan.mounts[gap.mount];
    gaps.push_back({planned.name(), planned.mount.type, planned.why, gap.expected});
  }
  return gaps;
}

void say_which_have_none(const std::vector<ManifestPlace>& places, Log& log) {
  constexpr std::size_t kLongestName = 60;
  std::vector<std::string> owned;
  std::vector<std::string> elsewhere;
  WithoutManifest others;
  for (const ManifestPlace& place : places) {
    if (place.directory && !place.is_removal) continue;
    if (place.is_meant) {
      (place.is_elsewhere ? elsewhere : owned).push_back(without_middle(place.mount_point, kLongestName));
    } else {
      others.add(place.mount_point, place.why_not);
    }
  }
  for (const LogLine& line : others.lines()) log.write(line.level, line.text);
  if (!owned.empty())
    log.info("no manifest in root directories that databases or other accounts own: " + list_of(owned));
  if (!elsewhere.empty()) log.info("no manifest in other mount namespaces: " + list_of(elsewhere));
}

}  // namespace

ManifestPlan plan_manifests(const HostPlan& plan, const FrozenFilesystems& filesystems, const std::string& session_id,
                            const Settings& settings, CommandContext& context) {
  ManifestPlan manifests;
  Manifest& manifest = manifests.manifest;
  manifest.program = "dlm-freeze " + context.version;
  manifest.session_id = session_id;
  manifest.execution_id = settings.execution_id;
  manifest.group_id = settings.group_id;
  manifest.host = host_name();
  manifest.boot_id = current_boot_id();
  manifest.started_at = std::chrono::system_clock::now();
  manifest.started_boot = BootClock::now();
  const std::set<std::string> data = data_directories(plan);
  for (std::size_t i = 0; i < filesystems.size(); ++i) {
    const PlannedFilesystem& planned = planned_of(plan, filesystems[i].device);
    ManifestPlace place = find_manifest_place(planned, data);
    manifest.members.push_back(member_of(planned, filesystems[i].fd.get(), place));
    manifests.places.push_back(std::move(place));
  }
  if (!settings.manifest) {
    for (ManifestPlace& place : manifests.places) place.is_removal = true;
    return manifests;
  }
  manifest.not_covered = gaps_of(plan.freeze);
  say_which_have_none(manifests.places, context.log);
  return manifests;
}

HoldWitness plan_witness(const HostPlan& plan, const FrozenFilesystems& filesystems, const AttachedDisks& disks) {
  std::set<dev_t> frozen;
  for (std::size_t i = 0; i < filesystems.size(); ++i) frozen.insert(filesystems[i].device);
  if (frozen.empty()) return {};
  return HoldWitness(choose_witnesses(plan.table, plan.freeze, plan.stacks, frozen, disks));
}

std::vector<std::vector<std::string>> volumes_below(const HostPlan& plan, const FrozenFilesystems& filesystems,
                                                    const AttachedDisks& disks) {
  std::vector<std::vector<std::string>> all;
  for (std::size_t i = 0; i < filesystems.size(); ++i) {
    const std::vector<std::string>& devices = planned_of(plan, filesystems[i].device).stack.all_devices;
    std::vector<std::string>& volumes = all.emplace_back();
    for (const Disk& disk : disks.disks()) {
      if (std::find(devices.begin(), devices.end(), disk.name) != devices.end()) volumes.push_back(disk.label());
    }
  }
  return all;
}

std::string host_name() {
  constexpr std::size_t kLongest = 256;
  std::array<char, kLongest> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

/// A UUID of version 4 (RFC 9562). Not /proc's: that may show processes only.
Result<std::string> new_session_id() {
  std::array<unsigned char, 16> bytes{};
  if (::getrandom(bytes.data(), bytes.size(), GRND_NONBLOCK) != static_cast<ssize_t>(bytes.size()))
    return system_failure("the kernel has no random numbers yet for the session's id", errno);
  bytes[6] = static_cast<unsigned char>((bytes[6] & 0x0F) | 0x40);
  bytes[8] = static_cast<unsigned char>((bytes[8] & 0x3F) | 0x80);
  return uuid_text(bytes);
}

}  // namespace dlm_freeze
