// SPDX-License-Identifier: Apache-2.0
#include "commands/mount_watch.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "dlm_freeze/base/files.hpp"
#include "fs/block_stack.hpp"
#include "fs/host_facts.hpp"

namespace dlm_freeze {

namespace {

/// With databases locked. Some hundred mount namespaces take a tenth of it, unless others have the processors.
constexpr auto kLockedPatience = std::chrono::milliseconds(100);

bool are_the_same(const MountTable& one, const MountTable& other) {
  const auto fields = [](const Mount& mount) {
    return std::tie(mount.id, mount.parent_id, mount.device, mount.root, mount.mount_point, mount.type, mount.source,
                    mount.options, mount.super_options);
  };
  return std::equal(one.mounts().begin(), one.mounts().end(), other.mounts().begin(), other.mounts().end(),
                    [&](const Mount& a, const Mount& b) { return fields(a) == fields(b); });
}

/// All mounts of the filesystem of each gap that is worth a WARN.
std::vector<std::pair<std::string, std::vector<const PlannedMount*>>> worth_a_warning(const FreezePlan& plan) {
  std::vector<std::pair<std::string, std::vector<const PlannedMount*>>> found;
  const auto mounts_of = [&](dev_t device) {
    std::vector<const PlannedMount*> mounts;
    for (const PlannedMount& planned : plan.mounts) {
      if (planned.mount.device == device) mounts.push_back(&planned);
    }
    return mounts;
  };
  for (const PlannedFilesystem& filesystem : plan.filesystems) {
    const bool is_elsewhere = !filesystem.elsewhere.empty();
    found.emplace_back(filesystem.mount_point() + (is_elsewhere ? " (" + filesystem.mounts.front().source + ")" : ""),
                       mounts_of(filesystem.device));
  }
  for (const Gap& gap : plan.gaps) {
    if (!gap.expected) found.emplace_back(places_of(plan, gap), mounts_of(plan.mounts[gap.mount].mount.device));
  }
  return found;
}

}  // namespace

MountWatch::MountWatch(const HostPlan& plan, const FrozenFilesystems& session)
    : plan_(plan),
      all_seen_(plan.all_processes_seen),
      file_(::open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC)),
      root_(mount_id_of("/")),
      stacks_(plan.stacks),
      facts_(plan.facts) {
  for (std::size_t i = 0; i < session.size(); ++i) session_.insert(session[i].device);
  note_named(plan.freeze);
}

void MountWatch::note_named(const FreezePlan& plan) {
  for (const auto& [name, mounts] : worth_a_warning(plan)) {
    for (const PlannedMount* planned : mounts) named_.insert(name_of(planned->mount));
  }
}

bool MountWatch::read_table(Log& log) {
  if (!plan_.selection.freeze) return false;
  auto text = read_from_start(file_.get());
  if (text && *text == text_) return true;
  auto table = text ? MountTable::parse(*text, root_) : tl::unexpected(text.error());
  if (!table) {
    log.warn("what was mounted since the plan was made cannot be told: " + table.error().message);
    return false;
  }
  text_ = std::move(*text);
  table_ = std::move(*table);
  is_new_ = true;
  return true;
}

void MountWatch::look(Log& log) {
  if (!read_table(log)) return;
  if (!are_the_same(table_, plan_.table)) {
    stacks_ = read_block_stacks(table_);
    facts_.file_mounts = find_file_mounts(table_);
    facts_.layers = find_layers(table_);
    for (const auto& [device, stack] : plan_.stacks) {
      if (session_.contains(device)) stacks_.emplace(device, stack);  // It may be unmounted by now.
    }
  }
  std::set<dev_t> known = facts_.roots_of_others;
  known.insert(session_.begin(), session_.end());
  compare(search_.look(table_, stacks_, known, kUnseenPatience), log);
}

void MountWatch::look_before_freeze(Log& log) {
  if (!read_table(log)) return;
  compare(search_.look_again_and_at_newcomers(table_, Deadline::in(kLockedPatience)), log);
}

void MountWatch::look_while_frozen(Log& log) {
  if (!read_table(log)) return;
  compare(search_.look_again(table_, Deadline::in(kLockedPatience)), log);
}

void MountWatch::compare(Unseen unseen, Log& log) {
  if (std::exchange(all_seen_, all_seen_ && unseen.complete) && !unseen.complete) warn_not_all_seen(log);
  std::erase_if(unseen.filesystems, [&](const auto& one) { return session_.contains(one.mount().device); });
  if (!std::exchange(is_new_, false) && unseen.filesystems.empty()) return;  // All there is was named before.
  facts_.unseen = std::move(unseen.filesystems);
  const FreezePlan now = plan_freeze(table_, stacks_, plan_.selection, facts_);
  std::vector<NotFrozen> changed;
  for (const auto& [name, mounts] : worth_a_warning(now)) {
    const bool is_known = std::any_of(mounts.begin(), mounts.end(), [&](const PlannedMount* planned) {
      return session_.contains(planned->mount.device) || named_.contains(name_of(planned->mount));
    });
    if (is_known) continue;
    changed.push_back({name, mounts.front()->is_elsewhere() ? mounts.front()->why + "; it came while pre-script ran"
                                                            : "mounted, or made writable, while pre-script ran"});
  }
  note_named(now);
  warn_not_frozen(changed, log);
}

}  // namespace dlm_freeze
