// SPDX-License-Identifier: Apache-2.0
#include "session/recovery.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <utility>
#include <vector>

#include "base/text.hpp"
#include "dlm_freeze/base/thread.hpp"
#include "fs/freeze_plan.hpp"
#include "fs/mount_table.hpp"
#include "fs/unseen.hpp"
#include "session/limits.hpp"
#include "session/thaw_process.hpp"

namespace dlm_freeze {
namespace {

/// Opens the filesystem by any mount of its device that a look-up reaches.
Result<FrozenFilesystems::Filesystem> reopen_here(const FilesystemRecord& record, const MountTable& table) {
  Error last{ErrorKind::failed, "it is mounted nowhere any more", 0};
  if (!record.where.empty()) last.message += "; mount its device again, anywhere, and repeat post-script";
  for (const Mount& mount : table.mounts()) {
    if (device_number(mount.device) != record.device) continue;
    if (!table.is_visible(mount)) {
      last.message = "what is mounted over " + mount.mount_point + " hides it: unmount that, and repeat post-script";
      continue;
    }
    UniqueFd fd(::open(mount.mount_point.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    if (fd) return FrozenFilesystems::Filesystem{record.mount_point, mount.device, 0, std::move(fd)};
    last = system_failure("cannot open " + mount.mount_point, errno).value();
  }
  return tl::unexpected(last);
}

/// The same; of one that was found in another mount namespace also there.
Result<FrozenFilesystems::Filesystem> reopen(const FilesystemRecord& record, const MountTable& table) {
  auto opened = reopen_here(record, table);
  if (opened || record.where.empty()) return opened;
  for (const UnseenFilesystem& unseen : UnseenSearch().look_at_processes(table, Deadline::in(limits::kSearch))) {
    if (device_number(unseen.mount().device) != record.device) continue;
    for (const MountElsewhere& mount : unseen.mounts) {
      auto fd = mount.obstacle.empty() && mount.process != 0 ? open_elsewhere(mount) : failure(mount.obstacle);
      if (fd) return FrozenFilesystems::Filesystem{record.mount_point, mount.mount.device, 0, std::move(*fd)};
    }
  }
  return opened;
}

void thaw(SessionRecord& record, bool freezer_gone, FreezeControl& control, Deadline deadline) {
  const auto table = MountTable::read();
  std::vector<FrozenFilesystems::Filesystem> reopened;
  std::vector<FilesystemRecord*> records;
  for (FilesystemRecord& filesystem : record.filesystems) {
    if (!filesystem.may_be_frozen) continue;
    auto opened = table ? reopen(filesystem, *table) : tl::unexpected(table.error());
    if (!opened) {
      record.problems.push_back(filesystem.mount_point + " (" + filesystem.device +
                                ") may still be frozen: " + opened.error().message);
      continue;
    }
    reopened.push_back(std::move(*opened));
    records.push_back(&filesystem);
  }
  auto filesystems = FrozenFilesystems::adopt(std::move(reopened), control, FreezeState::freezing);
  if (!filesystems) {
    record.problems.push_back(filesystems.error().message);
    return;
  }
  static_cast<void>(thaw_in_process(*filesystems, {}, deadline));
  for (std::size_t i = 0; i < records.size(); ++i) {
    const FreezeState state = filesystems->state(i);
    records[i]->state = to_string(state);
    // Until the freezer has ended, what was found not frozen may still become so.
    records[i]->may_be_frozen = may_be_frozen(state) || (state == FreezeState::idle && !freezer_gone);
  }
  note_problems(record, *filesystems);
}

Result<void> recover(const QuiescerType& type, const QuiescerRecord& record, const std::string& execution_id,
                     Deadline deadline) {
  auto quiescer = make_quiescer(type, record.config);
  if (!quiescer) return tl::unexpected(quiescer.error());
  StageContext context{.deadline = deadline, .execution_id = execution_id};
  return (*quiescer)->recover(context, record.facts);
}

/// What the watchdog recorded last, or what this process knows itself.
SessionRecord last_record(const SessionPlan& plan, const SessionState& session) {
  auto recorded = plan.state->read_record();
  const bool usable = recorded && *recorded && (*recorded)->filesystems.size() == plan.filesystems.size() &&
                      (*recorded)->quiescers.size() == plan.quiescers.size();
  if (usable) return std::move(**recorded);
  return session.record;
}

void release_leftovers(const SessionPlan& plan, SessionState& session) {
  std::vector<QuiescerRecord>& quiescers = session.record.quiescers;
  // What the watchdog had done since it wrote the record is shared.
  for (std::size_t i = 0; i < quiescers.size(); ++i) quiescers[i].quiesced = session.is_quiesced(i);
  const auto type_of = [&](std::size_t i) -> Result<const QuiescerType*> { return plan.quiescers[i].type; };
  recover_quiescers(session.record, type_of, Deadline::in(limits::kRelease));
  for (std::size_t i = 0; i < quiescers.size(); ++i) session.set_quiesced(i, quiescers[i].quiesced);
}

}  // namespace

void mark_lost(SessionRecord& record, SessionEnd end) {
  if (record.phase == Phase::ended) return;
  const bool was_held = record.phase == Phase::held;
  record.phase = Phase::ended;
  record.end = was_held ? end : SessionEnd::rolled_back;
  record.ended_at = std::chrono::system_clock::now();
  record.ended_boot = BootClock::now();
  record.problems.emplace_back("the watchdog was lost");
  for (WitnessRecord& device : record.witness) {
    if (device.result != to_string(HoldWitness::Result::watched)) continue;
    device.result = to_string(HoldWitness::Result::not_provable);
    device.why = "the watchdog, which watched it, was lost";
  }
}

void note_problems(SessionRecord& record, const FrozenFilesystems& filesystems) {
  for (std::size_t i = 0; i < filesystems.size(); ++i) {
    const std::string& name = filesystems[i].mount_point;
    const FreezeState state = filesystems.state(i);
    if (state == FreezeState::lost) {
      record.problems.push_back(name + " was thawed by another program while it was held");
    } else if (state == FreezeState::thaw_failed) {
      record.problems.push_back(name + " could not be thawed: " + errno_text(filesystems.error(i)) +
                                (filesystems[i].where.empty() ? "; try fsfreeze --unfreeze " + name : ""));
    } else if (may_be_frozen(state)) {
      record.problems.push_back(
          name + " is not thawed yet: a call to the kernel has not returned; the device below it may hang");
    }
  }
}

void recover_quiescers(SessionRecord& record, const std::function<Result<const QuiescerType*>(std::size_t i)>& type_of,
                       Deadline deadline) {
  std::vector<Result<void>> results(record.quiescers.size());
  std::vector<std::function<void()>> jobs;
  for (std::size_t i = 0; i < record.quiescers.size(); ++i) {
    if (!record.quiescers[i].quiesced) continue;
    const auto type = type_of(i);
    if (!type) {
      results[i] = tl::unexpected(type.error());
      continue;
    }
    jobs.emplace_back(
        [&, i, type = *type] { results[i] = recover(*type, record.quiescers[i], record.execution_id, deadline); });
  }
  run_in_parallel(jobs);
  for (std::size_t i = 0; i < results.size(); ++i) {
    if (results[i]) {
      record.quiescers[i].quiesced = false;
    } else {
      record.problems.push_back(results[i].error().message);
    }
  }
}

void recover_orphan(const StateDirectory& state, SessionRecord& record, QuiescerRegistry& registry,
                    FreezeControl& control, Deadline deadline) {
  mark_lost(record, SessionEnd::watchdog_lost);
  put_back(std::exchange(record.to_put_back, {}));
  // A freezer that lives finds everybody gone and undoes its work itself; one that hangs is not waited for.
  auto freezer =
      state.lock_by(StateDirectory::Lock::freezer, deadline.or_earlier(Deadline::in(limits::kOrphanedFreezer)));
  thaw(record, freezer && *freezer, control, deadline);
  if (freezer && !*freezer) {
    freezer = state.lock_by(StateDirectory::Lock::freezer, deadline);
    const bool freezer_gone = freezer && *freezer;
    if (freezer_gone) thaw(record, freezer_gone, control, deadline);
    if (!freezer_gone)
      record.problems.emplace_back("a freeze has not returned from the kernel yet; repeat post-script");
  }
  recover_quiescers(
      record, [&](std::size_t i) { return registry.find(record.quiescers[i].config.type); }, deadline);
}

bool is_overdue(const SessionRecord& record) {
  const bool may_hold = record.phase == Phase::freezing || record.phase == Phase::held;
  return may_hold && record.is_of_boot(current_boot_id()) &&
         record.past_deadline() > limits::kThawGrace + limits::kKill + limits::kSuccessorThaw;
}

void thaw_overdue(SessionRecord& record, FreezeControl& control, Deadline deadline) {
  thaw(record, false, control, deadline);
}

void take_over(SessionPlan& plan, SessionState& session, const std::function<bool(Deadline)>& thaw, Deadline until,
               SessionEnd end) {
  session.note_hold_end();
  plan.filesystems.end();
  plan.freezer.send(SIGCONT);  // As the watchdog does.
  const bool finished = thaw(until.or_earlier(Deadline::in(limits::kSuccessorThaw)));
  plan.rcu.end();
  plan.dirty_limit.lift();
  session.record = last_record(plan, session);
  session.record.to_put_back.clear();
  mark_lost(session.record, end);
  release_leftovers(plan, session);
  if (!finished) static_cast<void>(thaw(until));
  note_problems(session.record, plan.filesystems);
}

}  // namespace dlm_freeze
