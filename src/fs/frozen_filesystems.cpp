// SPDX-License-Identifier: Apache-2.0
#include "fs/frozen_filesystems.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <functional>
#include <utility>

#include "dlm_freeze/base/thread.hpp"
#include "fs/mount_table.hpp"

namespace dlm_freeze {
namespace {

std::int64_t now_count() noexcept { return BootClock::now().time_since_epoch().count(); }

/// The open root directory of `mount`, or an error.
Result<UniqueFd> open_mount(const Mount& mount) {
  UniqueFd fd(::open(mount.mount_point.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd) return system_failure("cannot open " + mount.mount_point, errno);
  const auto id = mount_id_of(fd.get());
  if (!id) return tl::unexpected(id.error());
  if (*id != mount.id)
    return tl::unexpected(Error{ErrorKind::failed, mount.mount_point + " is another mount by now", ESTALE});
  return fd;
}

/// Whether an error of open(2) is about that filesystem alone, so that the others can be frozen without it: its mount
/// is no longer there, or the filesystem is broken.
bool is_absence(const Error& error) {
  constexpr std::array kAbsent = {ENOENT, ENOTDIR, ELOOP, ESTALE};
  constexpr std::array kBroken = {EIO,     ENXIO, ENODEV,    ESHUTDOWN, EUCLEAN,
                                  EBADMSG, EROFS, EREMOTEIO, ENOMEDIUM, ENODATA};
  const auto is_among = [&](const auto& values) {
    return std::find(values.begin(), values.end(), error.errno_value) != values.end();
  };
  return is_among(kAbsent) || is_among(kBroken);
}

/// Whether a call on it is still to be made or to return.
bool is_unsettled(FreezeState state) {
  return state == FreezeState::freezing || state == FreezeState::frozen || state == FreezeState::undoing ||
         state == FreezeState::thawing;
}

}  // namespace

std::string_view to_string(FreezeState state) {
  switch (state) {
    case FreezeState::idle:
      return "idle";
    case FreezeState::syncing:
      return "syncing";
    case FreezeState::freezing:
      return "freezing";
    case FreezeState::frozen:
      return "frozen";
    case FreezeState::undoing:
      return "undoing";
    case FreezeState::thawing:
      return "thawing";
    case FreezeState::thawed:
      return "thawed";
    case FreezeState::lost:
      return "lost";
    case FreezeState::thaw_failed:
      return "thaw_failed";
    case FreezeState::busy:
      return "busy";
    case FreezeState::unsupported:
      return "unsupported";
    case FreezeState::freeze_failed:
      return "freeze_failed";
  }
  return "";
}

bool may_be_frozen(FreezeState state) { return is_unsettled(state) || state == FreezeState::thaw_failed; }

Result<FrozenFilesystems::Opening> FrozenFilesystems::open(const FreezePlan& plan, FreezeControl& control) {
  std::vector<Filesystem> opened;
  std::vector<std::string> warnings;
  for (const PlannedFilesystem& planned : plan.filesystems) {
    Error last;
    UniqueFd fd;
    for (const Mount& mount : planned.mounts) {
      auto attempt = open_mount(mount);
      if (attempt) {
        fd = std::move(*attempt);
        break;
      }
      last = attempt.error();
      if (!is_absence(last)) return tl::unexpected(last);
    }
    if (fd) {
      opened.push_back({planned.mount_point(), planned.device, planned.level, std::move(fd)});
    } else {
      warnings.push_back(planned.mount_point() + " is not frozen: " + last.message);
    }
  }
  auto filesystems = adopt(std::move(opened), control);
  if (!filesystems) return tl::unexpected(filesystems.error());
  return Opening{std::move(*filesystems), std::move(warnings)};
}

Result<FrozenFilesystems> FrozenFilesystems::adopt(std::vector<Filesystem> filesystems, FreezeControl& control,
                                                   FreezeState initial) {
  auto block = SharedArray<ControlBlock>::create(1);
  if (!block) return tl::unexpected(block.error());
  auto progress = SharedArray<Progress>::create(filesystems.size());
  if (!progress) return tl::unexpected(progress.error());
  for (std::size_t i = 0; i < filesystems.size(); ++i) (*progress)[i].state.store(initial);
  return FrozenFilesystems(std::move(filesystems), control, std::move(*block), std::move(*progress));
}

FrozenFilesystems::FrozenFilesystems(std::vector<Filesystem> filesystems, FreezeControl& control,
                                     SharedArray<ControlBlock> block, SharedArray<Progress> progress)
    : filesystems_(std::move(filesystems)),
      control_(&control),
      control_block_(std::move(block)),
      progress_(std::move(progress)) {}

BootClock::duration FrozenFilesystems::frozen_for(std::size_t i) const noexcept {
  const std::int64_t from = progress_[i].frozen_at.load();
  const std::int64_t until = progress_[i].thawed_at.load();
  if (from == 0) return {};
  return BootClock::duration((until != 0 ? until : now_count()) - from);
}

int FrozenFilesystems::levels() const noexcept {
  int count = 0;
  for (const Filesystem& filesystem : filesystems_) count = std::max(count, filesystem.level + 1);
  return count;
}

void FrozenFilesystems::sync_all() noexcept {
  std::vector<std::function<void()>> jobs;
  for (std::size_t i = 0; i < size(); ++i) {
    jobs.emplace_back([this, i] {
      progress_[i].state.store(FreezeState::syncing);
      static_cast<void>(control_->sync(filesystems_[i].fd.get()));
      static_cast<void>(move(i, FreezeState::syncing, FreezeState::idle));
    });
  }
  run_in_parallel(jobs);
}

void FrozenFilesystems::freeze_all(const std::function<void(std::size_t)>& enter) noexcept {
  for (int level = 0; level < levels(); ++level) {
    std::vector<std::function<void()>> jobs;
    for (std::size_t i = 0; i < size(); ++i) {
      if (filesystems_[i].level != level) continue;
      jobs.emplace_back([this, i, &enter] {
        enter(i);
        freeze_one(i);
      });
    }
    run_in_parallel(jobs);
    const bool all_well =
        !any([](FreezeState state) { return state == FreezeState::busy || state == FreezeState::freeze_failed; });
    if (!all_well || ending()) return;
  }
}

void FrozenFilesystems::freeze_one(std::size_t i) noexcept {
  Progress& progress = progress_[i];
  progress.state.store(FreezeState::freezing);
  // The order matters: whoever ends the session writes `ending` before reading the states, so one of the two sees the
  // other.
  if (ending()) {
    progress.state.store(FreezeState::idle);
    return;
  }
  const int error = control_->freeze(filesystems_[i].fd.get());
  progress.error.store(error);
  switch (error) {
    case 0:
      progress.frozen_at.store(now_count());
      progress.state.store(FreezeState::frozen);
      if (ending() && move(i, FreezeState::frozen, FreezeState::undoing)) thaw_one(i, FreezeState::lost);
      break;
    case EBUSY:
      progress.state.store(FreezeState::busy);
      break;
    case EOPNOTSUPP:
      progress.state.store(FreezeState::unsupported);
      break;
    default:
      progress.state.store(FreezeState::freeze_failed);
      break;
  }
}

bool FrozenFilesystems::move(std::size_t i, FreezeState from, FreezeState to) noexcept {
  return progress_[i].state.compare_exchange_strong(from, to);
}

void FrozenFilesystems::thaw_one(std::size_t i, FreezeState if_not_frozen) noexcept {
  Progress& progress = progress_[i];
  const int error = control_->thaw(filesystems_[i].fd.get());
  progress.thawed_at.store(now_count());
  if (error == 0) {
    progress.state.store(FreezeState::thawed);
  } else if (error == EINVAL) {
    // Unless another process that thaws it at the same time has said so.
    if (!move(i, FreezeState::thawing, if_not_frozen)) static_cast<void>(move(i, FreezeState::undoing, if_not_frozen));
  } else {
    progress.error.store(error);
    progress.state.store(FreezeState::thaw_failed);
  }
}

Result<Thawer> Thawer::create(FrozenFilesystems& filesystems, std::vector<int> life_lines, FreezeState claim) {
  UniqueFd finished(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!finished) return system_failure("cannot create an eventfd", errno);
  life_lines.resize(filesystems.size(), -1);
  return Thawer(filesystems, std::move(life_lines), claim, std::move(finished));
}

Thawer::Thawer(FrozenFilesystems& filesystems, std::vector<int> life_lines, FreezeState claim, UniqueFd finished)
    : filesystems_(&filesystems),
      life_lines_(std::move(life_lines)),
      claim_(claim),
      finished_(std::move(finished)),
      mine_(filesystems.size()) {}

bool Thawer::run(Deadline until, bool take_over, int interrupt) noexcept {
  constexpr auto kPatience = std::chrono::milliseconds(100);
  filesystems_->end();
  for (int level = filesystems_->levels() - 1; level >= 0; --level) {
    for (std::size_t i = 0; i < filesystems_->size(); ++i) {
      if ((*filesystems_)[i].level == level) thaw_if_ours(i, take_over);
    }
    // The order only spares the upper level a wait for the lower one, so a call that hangs below is not waited for.
    const Deadline level_done = until.or_earlier(Deadline::in(kPatience));
    while (under_way_ > 0 && !level_done.expired() && wait(level_done, -1)) {
    }
  }
  for (;;) {
    for (std::size_t i = 0; i < filesystems_->size(); ++i) thaw_if_ours(i, take_over);
    const bool done = under_way_ == 0 && !filesystems_->any([&](FreezeState state) { return waits_for(state); });
    if (done || until.expired() || !wait(until, interrupt)) return done;
  }
}

/// The freezer's process does not wait for what another one thaws: it would not be told of the end, and stands in for
/// nobody.
bool Thawer::waits_for(FreezeState state) const noexcept {
  return is_unsettled(state) && !(claim_ == FreezeState::undoing && state == FreezeState::thawing);
}

void Thawer::thaw_if_ours(std::size_t i, bool take_over) noexcept {
  if (mine_[i]) return;
  const bool freezer_gone = life_lines_[i] < 0;  // No call of it is under way, and none will be recorded.
  switch (filesystems_->state(i)) {
    case FreezeState::frozen:
      start(i, FreezeState::frozen, FreezeState::lost);
      break;
    case FreezeState::thawing:
      if (take_over) start(i, FreezeState::thawing, FreezeState::thawed);
      break;
    case FreezeState::freezing:
      if (freezer_gone) start(i, FreezeState::freezing, FreezeState::idle);
      break;
    case FreezeState::undoing:
      if (freezer_gone) start(i, FreezeState::undoing, FreezeState::thawed);
      break;
    default:
      break;
  }
}

/// Unless it is in another state than `from` by now: somebody else has thawed it, or does.
void Thawer::start(std::size_t i, FreezeState from, FreezeState if_not_frozen) noexcept {
  if (!filesystems_->move(i, from, claim_)) return;
  mine_[i] = true;
  ++under_way_;
  run_detached([filesystems = filesystems_, i, if_not_frozen, finished = finished_.get()] {
    filesystems->thaw_one(i, if_not_frozen);
    const std::uint64_t one = 1;
    static_cast<void>(!::write(finished, &one, sizeof one));
  });
}

/// False when `interrupt` is readable.
bool Thawer::wait(Deadline until, int interrupt) noexcept {
  std::vector<pollfd> events;
  for (const int life_line : life_lines_) events.push_back({life_line, POLLIN, 0});
  events.push_back({finished_.get(), POLLIN, 0});
  events.push_back({interrupt, POLLIN, 0});
  if (::poll(events.data(), events.size(), until.poll_timeout()) <= 0) return true;
  std::uint64_t count = 0;
  if (::read(finished_.get(), &count, sizeof count) == sizeof count) under_way_ -= count;
  for (std::size_t i = 0; i < life_lines_.size(); ++i) {
    if (events[i].revents != 0) life_lines_[i] = -1;
  }
  return events.back().revents == 0;
}

}  // namespace dlm_freeze
