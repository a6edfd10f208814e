// SPDX-License-Identifier: Apache-2.0
#include "fs/frozen_filesystems.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "fs/mount_table.hpp"

namespace dlm_freeze {
namespace {

std::int64_t now_count() noexcept { return BootClock::now().time_since_epoch().count(); }

/// Whether an error of open(2) is about that filesystem alone, so that the others can be frozen without it: its mount
/// is no longer there or lets nobody in, or the filesystem is broken.
bool is_of_one_filesystem(const Error& error) {
  constexpr std::array kAbsent = {ENOENT, ENOTDIR, ELOOP, ESTALE};
  constexpr std::array kClosed = {EACCES, EPERM, ENAMETOOLONG, EOVERFLOW};  // idmapped; deeper than PATH_MAX.
  constexpr std::array kBroken = {EIO,     ENXIO, ENODEV,    ESHUTDOWN, EUCLEAN,
                                  EBADMSG, EROFS, EREMOTEIO, ENOMEDIUM, ENODATA};
  const auto is_among = [&](const auto& values) {
    return std::find(values.begin(), values.end(), error.errno_value) != values.end();
  };
  return is_among(kAbsent) || is_among(kClosed) || is_among(kBroken);
}

/// The same of what was to be opened in another mount namespace, whoever has a say there: unless it is this process
/// that cannot open anything.
bool is_of_one_elsewhere(const Error& error) {
  return error.errno_value != EMFILE && error.errno_value != ENFILE && error.errno_value != ENOMEM;
}

/// The first of `mounts` that can be opened.
template <typename Place, typename Open>
Result<UniqueFd> open_first(const std::vector<Place>& mounts, Open open, bool (*is_of_one)(const Error&)) {
  Error last;
  for (const Place& mount : mounts) {
    auto attempt = open(mount);
    if (attempt) return attempt;
    // What is wrong with this process as well is the worse news.
    if (last.message.empty() || is_of_one(last)) last = attempt.error();
  }
  return tl::unexpected(last);
}

/// An error whose `errno_value` is ENOENT is about that filesystem alone.
Result<UniqueFd> open_filesystem(const PlannedFilesystem& planned) {
  const bool is_elsewhere = !planned.elsewhere.empty();
  const auto is_of_one = is_elsewhere ? is_of_one_elsewhere : is_of_one_filesystem;
  auto fd = is_elsewhere ? open_first(planned.elsewhere, open_elsewhere, is_of_one)
                         : open_first(planned.mounts, open_mount, is_of_one);
  if (!fd && is_of_one(fd.error())) fd.error().errno_value = ENOENT;
  return fd;
}

/// The devices that have to be flushed. For reading, since udev looks anew at what was opened for writing.
Result<std::vector<UniqueFd>> open_devices(const std::vector<std::string>& nodes) {
  std::vector<UniqueFd> opened;
  for (const std::string& node : nodes) {
    opened.emplace_back(::open(node.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    struct stat info {};
    if (!opened.back()) return system_failure("it must be flushed, and " + node + " cannot be opened", errno);
    if (::fstat(opened.back().get(), &info) != 0 || !S_ISBLK(info.st_mode))
      return failure("it must be flushed, and " + node + " is no block device");
  }
  return opened;
}

/// Whether `fd` is on a mount of the filesystem that was planned. The kernel gives the id of a mount that is gone to
/// the next one, but not while a descriptor holds it: `now` has been read since `fd` was opened.
bool is_still(const PlannedFilesystem& planned, int fd, const MountTable& now) {
  const auto id = mount_id_of(fd);
  const Mount* mount = id ? now.find(*id) : nullptr;
  return mount != nullptr && std::any_of(planned.mounts.begin(), planned.mounts.end(), [&](const Mount& before) {
           return before.id == mount->id && before.device == mount->device;
         });
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
    case FreezeState::read_only:
      return "read_only";
    case FreezeState::freeze_failed:
      return "freeze_failed";
  }
  return "";
}

bool is_unsettled(FreezeState state) {
  return state == FreezeState::freezing || state == FreezeState::frozen || state == FreezeState::undoing ||
         state == FreezeState::thawing;
}

bool may_be_frozen(FreezeState state) { return is_unsettled(state) || state == FreezeState::thaw_failed; }

Result<FrozenFilesystems::Opening> FrozenFilesystems::open(const FreezePlan& plan, FreezeControl& control) {
  std::vector<LeftOut> left_out;
  std::vector<UniqueFd> descriptors;
  for (const PlannedFilesystem& planned : plan.filesystems) {
    auto fd = open_filesystem(planned);
    if (!fd && fd.error().errno_value != ENOENT) return tl::unexpected(fd.error());
    if (!fd) left_out.push_back({planned.device, planned.name(), fd.error().message});
    descriptors.push_back(fd ? std::move(*fd) : UniqueFd());
  }
  const auto now = MountTable::read();
  if (!now) return tl::unexpected(now.error());
  std::vector<Filesystem> opened;
  for (std::size_t i = 0; i < descriptors.size(); ++i) {
    const PlannedFilesystem& planned = plan.filesystems[i];
    if (!descriptors[i]) continue;
    auto devices = open_devices(planned.to_flush);
    // What is elsewhere was compared with the table of that namespace when it was opened.
    if (planned.elsewhere.empty() && !is_still(planned, descriptors[i].get(), *now)) {
      left_out.push_back({planned.device, planned.name(), "another filesystem is mounted there by now"});
    } else if (!devices) {
      left_out.push_back({planned.device, planned.name(), devices.error().message});
    } else {
      opened.push_back({planned.name(), planned.device, planned.level, std::move(descriptors[i]), std::move(*devices),
                        planned.elsewhere.empty() ? "" : planned.elsewhere.front().where(), planned.stack.has_quotas});
    }
  }
  auto filesystems = adopt(std::move(opened), control);
  if (!filesystems) return tl::unexpected(filesystems.error());
  return Opening{std::move(*filesystems), std::move(left_out)};
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

BootClock::duration FrozenFilesystems::freeze_took(std::size_t i) const noexcept {
  const std::int64_t until = progress_[i].frozen_at.load();
  return until == 0 ? BootClock::duration() : BootClock::duration(until - progress_[i].called_at.load());
}

BootClock::time_point FrozenFilesystems::last_frozen_at() const noexcept {
  std::int64_t last = 0;
  for (std::size_t i = 0; i < size(); ++i) last = std::max(last, progress_[i].frozen_at.load());
  return BootClock::time_point(BootClock::duration(last));
}

int FrozenFilesystems::levels() const noexcept {
  int count = 0;
  for (const Filesystem& filesystem : filesystems_) count = std::max(count, filesystem.level + 1);
  return count;
}

std::vector<int> FrozenFilesystems::descriptors_of(std::size_t i) const {
  std::vector<int> all = {filesystems_[i].fd.get()};
  for (const UniqueFd& device : filesystems_[i].to_flush) all.push_back(device.get());
  return all;
}

void FrozenFilesystems::write_back(std::size_t i, bool syncs) noexcept {
  int error = syncs ? control_->sync(filesystems_[i].fd.get()) : 0;
  for (const UniqueFd& device : filesystems_[i].to_flush) {
    if (error == 0) error = control_->flush(device.get());
  }
  // The kernel tells of an error once: the next round succeeds, without what was lost.
  std::int32_t none = 0;
  progress_[i].write_error.compare_exchange_strong(none, error);
}

void FrozenFilesystems::sync(std::size_t i) noexcept {
  progress_[i].state.store(FreezeState::syncing);
  write_back(i, true);
  static_cast<void>(claim(i, FreezeState::syncing, FreezeState::idle));
}

void FrozenFilesystems::freeze(std::size_t i) noexcept {
  Progress& progress = progress_[i];
  progress.state.store(FreezeState::freezing);
  // The order matters: whoever ends the session writes `ending` before reading the states, so one of the two sees the
  // other.
  if (ending()) {
    progress.state.store(FreezeState::idle);
    return;
  }
  progress.called_at.store(now_count());
  const int error = control_->freeze(filesystems_[i].fd.get());
  progress.error.store(error);
  switch (error) {
    case 0:
      progress.frozen_at.store(now_count());
      progress.state.store(FreezeState::frozen);
      if (ending()) {
        if (claim(i, FreezeState::frozen, FreezeState::undoing)) thaw(i, FreezeState::frozen);
        break;
      }
      // FIFREEZE writes back what became dirty since `sync`, and does not say when data of a file could not be written.
      // syncfs(2) does, and has nothing else to do any more. Nor does it flush a device where the filesystem is not
      // meant to (`nobarrier`): then nobody else would.
      write_back(i, !filesystems_[i].has_quotas);
      break;
    case EBUSY:
      progress.state.store(FreezeState::busy);
      break;
    case EOPNOTSUPP:
      progress.state.store(FreezeState::unsupported);
      break;
    case EROFS:
      progress.state.store(FreezeState::read_only);
      break;
    default:
      progress.state.store(FreezeState::freeze_failed);
      break;
  }
}

void FrozenFilesystems::thaw(std::size_t i, FreezeState from) noexcept {
  Progress& progress = progress_[i];
  const int error = control_->thaw(filesystems_[i].fd.get());
  progress.thawed_at.store(now_count());
  if (error == 0) {
    progress.state.store(FreezeState::thawed);
  } else if (error == EINVAL) {
    // It was not frozen. What that means depends on what was known of it: `frozen`, and another program has thawed it;
    // `freezing`, and FIFREEZE had not succeeded; else a FITHAW that was not recorded had.
    FreezeState found = FreezeState::thawed;
    if (from == FreezeState::frozen) found = FreezeState::lost;
    if (from == FreezeState::freezing) found = FreezeState::idle;
    // Unless another process that thaws it at the same time has said so.
    if (!claim(i, FreezeState::thawing, found)) static_cast<void>(claim(i, FreezeState::undoing, found));
  } else {
    progress.error.store(error);
    progress.state.store(FreezeState::thaw_failed);
  }
}

bool FrozenFilesystems::claim(std::size_t i, FreezeState from, FreezeState to) noexcept {
  return progress_[i].state.compare_exchange_strong(from, to);
}

}  // namespace dlm_freeze
