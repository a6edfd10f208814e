// SPDX-License-Identifier: Apache-2.0
#include "commands/host_plan.hpp"

#include <linux/capability.h>
#include <linux/magic.h>
#include <malloc.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <map>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/process.hpp"
#include "base/text.hpp"
#include "fs/block_stack.hpp"
#include "fs/foreign_path.hpp"
#include "fs/host_facts.hpp"
#include "fs/host_root.hpp"
#include "fs/path_trail.hpp"
#include "fs/pid_namespace.hpp"
#include "fs/unseen.hpp"
#include "fs/writes.hpp"

namespace dlm_freeze {
namespace {

constexpr auto kLocateTimeout = std::chrono::seconds(5);

/// Those paths that are not known to be absent, with their symbolic links resolved: what is not there needs no
/// protection.
std::vector<std::string> existing(const MountTable& table, const std::vector<std::string>& paths) {
  std::vector<std::string> found;
  for (const std::string& path : paths) {
    Trail trail = follow(table, path);
    if (trail.end != Trail::End::absent) found.push_back(std::move(trail.path));
  }
  return found;
}

/// The database that is going to be frozen and must not be for longest; null when there is none.
const FoundQuiescer* strictest_of(const HostPlan& plan) {
  const FoundQuiescer* strictest = nullptr;
  for (const FoundQuiescer& found : plan.quiescers) {
    const Presence& presence = found.presence;
    const bool is_frozen = std::any_of(presence.locations.begin(), presence.locations.end(),
                                       [&](const auto& location) { return plan.coverage(location.path).frozen; });
    if (!presence.running || !is_frozen || !presence.longest_freeze) continue;
    if (strictest == nullptr || *presence.longest_freeze < *strictest->presence.longest_freeze) strictest = &found;
  }
  return strictest;
}

/// Adds what runs in containers, or listens elsewhere than is usual. What keeps it from being quiesced is a WARN, or an
/// error, as `undiscovered` says.
Result<void> detect_foreign(const Settings& settings, CommandContext& context, std::vector<QuiescerConfig>& configs) {
  if (settings.undiscovered == Undiscovered::ignore) return {};
  const bool may_fail = settings.undiscovered == Undiscovered::fail;
  ForeignDatabases foreign = context.registry.detect_foreign();
  if (may_fail && !foreign.problems.empty()) return failure(list_of(foreign.problems, "; "), ErrorKind::not_ready);
  for (const std::string& problem : foreign.problems) context.log.warn(problem);
  for (QuiescerConfig& config : foreign.configs) {
    config.may_be_left_out = !may_fail;
    configs.push_back(std::move(config));
  }
  return {};
}

Result<std::vector<QuiescerConfig>> wanted_quiescers(const Settings& settings, CommandContext& context) {
  if (settings.quiescers) return *settings.quiescers;
  auto configs = context.registry.detect();
  if (!configs) return configs;
  if (auto added = detect_foreign(settings, context, *configs); !added) return tl::unexpected(added.error());
  return configs;
}

Result<void> find_quiescers(const Settings& settings, CommandContext& context, std::vector<FoundQuiescer>& found) {
  auto wanted = wanted_quiescers(settings, context);
  if (!wanted) return tl::unexpected(wanted.error());
  std::vector<QuiescerConfig>& configs = *wanted;
  for (QuiescerConfig& config : configs) {
    const auto type = context.registry.find(config.type);
    if (!type) return tl::unexpected(type.error());
    auto quiescer = make_quiescer(**type, config);
    if (!quiescer) {
      if (settings.quiescers) quiescer.error().kind = ErrorKind::configuration;
      return tl::unexpected(quiescer.error());
    }
    StageContext stage{Deadline::in(kLocateTimeout).or_earlier(Deadline(context.started + settings.timeout)),
                       -1,
                       settings.execution_id,
                       nullptr,
                       {}};
    auto presence = (*quiescer)->locate(stage);
    if (!presence) return tl::unexpected(presence.error());
    for (const LogLine& note : stage.notes) context.log.write(note.level, note.text);
    found.push_back({{std::move(config), *type, std::move(*quiescer)}, std::move(*presence), std::move(stage.notes)});
  }
  return {};
}

/// Says which database keeps a filesystem from being frozen.
void explain(FreezePlan& plan, const std::vector<FoundQuiescer>& quiescers) {
  for (const FoundQuiescer& found : quiescers) {
    for (const DataLocation& location : found.presence.locations) {
      if (location.may_be_frozen) continue;
      for (PlannedMount& planned : plan.mounts) {
        if (planned.holds == location.path)
          planned.why += ", which " + found.planned.config.name + " needs (" + location.what + ")";
      }
    }
  }
}

/// Root of a user namespace may do nothing to what the host has mounted, whatever its capabilities say.
bool in_user_namespace() {
  constexpr std::string_view kInitial = "user:[4026531837]";  // PROC_USER_INIT_INO in include/linux/proc_ns.h.
  const std::string own = own_namespace("user");
  return !own.empty() && own != kInitial;
}

/// Whether what is going to be frozen is what the caller means, and the session outlives this process.
Result<void> check_root(const HostRoot& root, const Selection& selection) {
  if (ends_with_caller()) {
    return failure(
        "process 1 of this PID namespace is this process or the command that runs it: when it ends, the kernel kills "
        "everything in the namespace, including the watchdog; run it on the host (docker run --pid=host), or in a "
        "container that keeps running (docker exec)");
  }
  if (!selection.freeze) return {};  // Then nothing can go wrong.
  if (in_user_namespace()) {
    return failure(
        "this is a separate user namespace, whose root may not freeze the host's filesystems: run it on the host");
  }
  if (root.ground_unknown) {
    return failure(
        "the root directory is on a filesystem that the mount table does not show, such as an overlay, so it cannot "
        "be determined what must not be frozen; run it on the host");
  }
  // A caller that names filesystems means those of its own namespace.
  if (root.difference.empty() || !selection.include.empty()) return {};
  return failure(
      "this is not the host, so it cannot be determined which filesystems hold the host's root: " + root.difference +
      "; run it on the host (from a container that shares the host's processes: nsenter -t 1 -m dlm-freeze "
      "pre-script), or list what to freeze in filesystems.include");
}

/// Why filesystems of other mount namespaces must not be frozen; empty: nothing keeps them from it.
std::string out_of_reach(const HostRoot& root, const Selection& selection) {
  if (!root.difference.empty()) return "which of them hold the host's root cannot be determined";
  if (root.is_in_namespace_of_init || selection.other_namespaces) return {};
  return "dlm-freeze has a mount namespace of its own (filesystems.other_namespaces)";
}

}  // namespace

const Mount* HostPlan::mount_of(const std::string& path) const {
  const auto foreign = mount_in_foreign_root(path);
  if (!foreign) return table.resolve(follow(table, path).path);
  const auto is_same = [&](const Mount& mount) { return mount.device == foreign->device; };
  const auto here = std::find_if(table.mounts().begin(), table.mounts().end(), is_same);
  if (here != table.mounts().end()) return &*here;
  const auto elsewhere = std::find_if(freeze.mounts.begin(), freeze.mounts.end(),
                                      [&](const PlannedMount& planned) { return is_same(planned.mount); });
  return elsewhere != freeze.mounts.end() ? &elsewhere->mount : nullptr;
}

Coverage HostPlan::coverage(const std::string& path) const {
  const Mount* mount = mount_of(path);
  if (mount == nullptr) return {false, "", "it lies on no mount"};
  const Mount* taker = taker_of_writes(table, facts.layers, mount);
  const auto verdict_on = [&](const Mount* wanted) {
    return std::find_if(freeze.mounts.begin(), freeze.mounts.end(), [&](const PlannedMount& planned) {
      return wanted != nullptr && planned.mount.id == wanted->id && planned.mount.device == wanted->device;
    });
  };
  auto planned = verdict_on(taker);
  const auto shut = taker != nullptr ? unopened.find(taker->device) : unopened.end();
  if (shut != unopened.end()) return {false, mount->mount_point, shut->second};
  const bool is_frozen = planned != freeze.mounts.end() && planned->verdict != Verdict::pass_over;
  if (taker != nullptr && taker != mount && is_frozen)
    return {true, mount->mount_point, mount->type + " on " + taker->mount_point};
  if (planned == freeze.mounts.end()) planned = verdict_on(mount);
  if (planned == freeze.mounts.end()) return {false, mount->mount_point, "it is not in the mount table"};
  return {is_frozen, mount->mount_point, planned->why};
}

const Mount* HostPlan::taker_of(const std::string& path) const {
  return taker_of_writes(table, facts.layers, mount_of(path));
}

const PlannedFilesystem* HostPlan::filesystem(dev_t device) const {
  const auto found = std::find_if(freeze.filesystems.begin(), freeze.filesystems.end(),
                                  [&](const PlannedFilesystem& one) { return one.device == device; });
  return found == freeze.filesystems.end() ? nullptr : &*found;
}

bool HostPlan::may_wait_for_thaw(int fd) const {
  struct stat info {};
  if (::fstat(fd, &info) != 0) return false;
  if (!S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode)) return false;
  struct statfs filesystem {};
  if (::fstatfs(fd, &filesystem) == 0 && filesystem.f_type == TMPFS_MAGIC)
    return false;  // As what memfd_create(2) makes.
  const auto id = mount_id_of(fd);
  const Mount* mount = id ? table.find(*id) : nullptr;  // Null when it was opened in another mount namespace.
  return !freeze.filesystems.empty() && !freeze.writable.contains(mount != nullptr ? mount->device : info.st_dev);
}

std::string places_of(const FreezePlan& plan, const Gap& gap) {
  const PlannedMount& planned = plan.mounts[gap.mount];
  const Mount& mount = planned.mount;
  if (mount.mount_point.empty()) return mount.source + " (" + mount.type + ")";
  std::string text = mount.mount_point;
  if (planned.reason == Reason::unseen) text += " (" + mount.source + ")";
  if (gap.others > 0) text += " (and " + count_of(gap.others, "more mount") + " of it)";
  return text;
}

std::string unmatched_text(const FreezePlan& plan) {
  return list_of(plan.unmatched) + (plan.unmatched.size() == 1 ? " matches" : " match") + " no mount point";
}

void warn_not_frozen(const std::vector<NotFrozen>& all, Log& log) {
  constexpr std::size_t kLongestName = 120;
  constexpr std::size_t kLongestWhy = 160;
  std::vector<std::string> others;
  for (const NotFrozen& one : all) {
    const std::string name = without_middle(one.name, kLongestName);
    if (&one - all.data() < static_cast<std::ptrdiff_t>(kMostNamed)) {
      log.warn(name + " is not frozen: " + without_middle(one.why, kLongestWhy));
    } else {
      others.push_back(without_middle(name, kLongestName / 2));
    }
  }
  if (others.empty()) return;
  log.warn(count_of(others.size(), "more filesystem") + (others.size() == 1 ? " is" : " are") +
           " not frozen (dlm-freeze dry-run --all shows why): " + list_of(others));
}

void warn_not_all_seen(Log& log) {
  log.warn("some mount namespaces were not examined: filesystems mounted only there are neither frozen nor named");
}

void log_gaps(const HostPlan& plan, Log& log) {
  std::map<std::string, std::vector<std::string>> expected;
  std::vector<NotFrozen> unexpected;
  // What is mounted here comes first.
  std::vector<Gap> gaps = plan.freeze.gaps;
  std::stable_partition(gaps.begin(), gaps.end(),
                        [&](const Gap& gap) { return !plan.freeze.mounts[gap.mount].is_elsewhere(); });
  for (const Gap& gap : gaps) {
    const PlannedMount& planned = plan.freeze.mounts[gap.mount];
    if (gap.expected) {
      const bool is_root = planned.reason == Reason::root_or_boot;
      expected[is_root ? "root and /boot never are" : "the configuration leaves it out"].push_back(planned.name());
    } else {
      unexpected.push_back({places_of(plan.freeze, gap), planned.why});
    }
  }
  warn_not_frozen(unexpected, log);
  for (const PlannedFilesystem& filesystem : plan.freeze.filesystems) {
    const std::vector<std::string>& disks = filesystem.stack.instance_stores;
    if (!disks.empty())
      log.warn(filesystem.name() + " lies on EC2 instance store, which no snapshot has: " + list_of(disks));
  }
  for (const auto& [why, names] : expected) log.info("not frozen, since " + why + ": " + list_of(names));
  if (!plan.all_processes_seen) warn_not_all_seen(log);
}

std::chrono::seconds HostPlan::longest_session(std::chrono::seconds wanted) const {
  const FoundQuiescer* const strictest = strictest_of(*this);
  return strictest != nullptr ? std::min(wanted, *strictest->presence.longest_freeze) : wanted;
}

std::chrono::seconds HostPlan::auto_thaw(std::chrono::seconds wanted, Log& log) const {
  const std::chrono::seconds longest = longest_session(wanted);
  if (longest < wanted) {
    log.warn("auto-thaw in " + std::to_string(longest.count()) + " seconds instead of " +
             std::to_string(wanted.count()) + ": " + strictest_of(*this)->planned.config.name +
             " must not be frozen for longer");
  }
  return longest;
}

void reserve_descriptors(const HostPlan& plan) noexcept {
  // Each filesystem takes its own, in a session the two ends of a life line, its manifest's place and some counters.
  constexpr std::size_t kEach = 6;
  constexpr std::size_t kOthers = 128;
  const auto count = static_cast<unsigned>(kEach * plan.freeze.filesystems.size() + kOthers);
  if (raise_descriptor_limit(count)) lengthen_descriptor_table(count);
}

Result<FrozenFilesystems> open_filesystems(HostPlan& plan, FreezeControl& control, Log& log) {
  auto opening = FrozenFilesystems::open(plan.freeze, control);
  if (!opening) return tl::unexpected(opening.error());
  std::vector<NotFrozen> left_out;
  for (const auto& one : opening->left_out) {
    plan.unopened[one.device] = one.why;
    left_out.push_back({one.mount_point, one.why});
  }
  warn_not_frozen(left_out, log);
  return std::move(opening->filesystems);
}

LimitedDevices open_dirty_limit(const HostPlan& plan, DirtyLimitMode mode) {
  constexpr std::size_t kMost = 16;  // Each takes five descriptors. So many are not dirtied without pause.
  if (mode == DirtyLimitMode::none || plan.freeze.filesystems.empty() || dirty_on_host() < Descent::kLeast) return {};
  std::vector<std::string> names;
  const auto devices = backing_devices(plan.freeze, plan.table);
  DirtyMemory all = DirtyMemory::open(devices);
  // Where the kernel does not tell whose it is, it may be anybody's.
  const std::uint64_t least = Descent::kLeast * (all.tells_each() ? 1 : devices.size());
  const std::vector<DirtySample> samples = all.look();
  for (std::size_t i = 0; i < devices.size(); ++i) {
    if (samples[i].dirty >= least && names.size() < kMost) names.push_back(devices[i]);
  }
  LimitedDevices limited{DirtyLimit::open(names), {}};
  if (limited.limit.size() == 0 && mode == DirtyLimitMode::host) limited.limit = DirtyLimit::open_host();
  names.clear();
  for (std::size_t i = 0; i < limited.limit.size(); ++i) names.push_back(limited.limit.name(i));
  if (!names.empty()) limited.memory = DirtyMemory::open(std::move(names));
  return limited;
}

Result<HostPlan> plan_host(const Settings& settings, CommandContext& context) {
  std::vector<FoundQuiescer> quiescers;
  Result<void> databases_known = find_quiescers(settings, context, quiescers);
  // Last, since looking for the databases takes its time.
  auto table = MountTable::read();
  if (!table) return tl::unexpected(table.error());

  Selection selection = settings.filesystems;
  selection.protect = existing(*table, selection.protect);
  // The state directory may be yet to be made.
  std::error_code error;
  const auto state = std::filesystem::absolute(settings.state_directory, error);
  selection.protect.push_back(follow(*table, error ? settings.state_directory : state.string()).path);
  for (const FoundQuiescer& quiescer : quiescers) {
    for (const DataLocation& location : quiescer.presence.locations) {
      if (!location.may_be_frozen) selection.protect.push_back(location.path);
    }
  }
  BlockStacks stacks = read_block_stacks(*table);
  const HostRoot root = find_host_root(*table);
  Unseen unseen;
  if (selection.freeze) unseen = UnseenSearch().look(*table, stacks, root.superblocks, kUnseenPatience);
  stacks.merge(unseen.stacks);
  HostFacts facts = {
      find_file_mounts(*table),      root.superblocks,          std::move(unseen.filesystems), find_layers(*table),
      out_of_reach(root, selection), find_system_links(*table), read_swap_stacks(*table)};
  FreezePlan freeze = plan_freeze(*table, stacks, selection, facts);
  explain(freeze, quiescers);
  Result<void> on_host = check_root(root, selection);
  if (on_host && !freeze.problem.empty()) on_host = failure(freeze.problem);
  // What is left of the planning would be copied into each process of the session, whose memory is locked.
  ::malloc_trim(0);
  return HostPlan{std::move(*table),          std::move(freeze),  std::move(quiescers),
                  std::move(databases_known), std::move(on_host), unseen.complete,
                  std::move(facts),           std::move(stacks),  std::move(selection)};
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
