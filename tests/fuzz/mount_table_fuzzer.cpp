// SPDX-License-Identifier: Apache-2.0
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <map>
#include <string>

#include "dlm_freeze/base/unique_fd.hpp"
#include "fs/freeze_plan.hpp"
#include "fuzzer.hpp"

using namespace dlm_freeze;

namespace {

/// Every superblock with a major number lies on a disk; those of loop devices on an image in another one of the table.
BlockStacks stacks_of(const MountTable& table) {
  BlockStacks stacks;
  for (const Mount& mount : table.mounts()) {
    if (major(mount.device) == 0) continue;
    BlockStack& stack = stacks[mount.device];
    stack.devices = {"disk"};
    if (major(mount.device) != 7) continue;
    const Mount& below = table.mounts()[minor(mount.device) % table.mounts().size()];
    stack.backing_files = {below.mount_point + "/image"};
  }
  return stacks;
}

void check(const MountTable& table, const BlockStacks& stacks, const FreezePlan& plan) {
  fuzz::require(plan.mounts.size() == table.mounts().size(), "every mount has a verdict");
  std::map<dev_t, int> levels;
  for (const PlannedFilesystem& filesystem : plan.filesystems) {
    fuzz::require(levels.emplace(filesystem.device, filesystem.level).second, "a filesystem is frozen once");
    fuzz::require(!filesystem.mounts.empty(), "a filesystem has a way in");
  }
  for (const PlannedMount& planned : plan.mounts) {
    const bool frozen = levels.contains(planned.mount.device);
    fuzz::require(frozen == (planned.verdict != Verdict::pass_over), "verdicts and filesystems agree");
    const bool kept_off = planned.mount.mount_point == "/" || lies_within(planned.mount.mount_point, "/boot");
    fuzz::require(!kept_off || !frozen, "neither root nor boot is frozen");
  }
  // Without circles, what lies on a frozen filesystem is frozen before it.
  for (const auto& [device, stack] : stacks) {
    for (const std::string& file : stack.backing_files) {
      const Mount* below = table.resolve(file);
      if (below == nullptr || below->device == device || major(below->device) == 7) continue;
      if (!levels.contains(device) || !levels.contains(below->device)) continue;
      fuzz::require(levels[device] < levels[below->device], "an image is frozen before what it lies on");
    }
  }
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const UniqueFd file(::memfd_create("mountinfo", MFD_CLOEXEC));
  if (::write(file.get(), data, size) != static_cast<ssize_t>(size)) return 0;
  const auto table = MountTable::read("/proc/self/fd/" + std::to_string(file.get()));
  if (!table) return 0;
  for (const Mount& mount : table->mounts()) {
    static_cast<void>(table->resolve(mount.mount_point + "/x"));
    fuzz::require(table->ancestors(mount).size() <= table->mounts().size(), "ancestors end");
  }
  const BlockStacks stacks = stacks_of(*table);
  Selection selection;
  selection.protect = {"/var/lib/amazon/ssm"};
  check(*table, stacks, plan_freeze(*table, stacks, selection));
  return 0;
}
