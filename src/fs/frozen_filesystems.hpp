// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/shared_array.hpp"
#include "dlm_freeze/base/deadline.hpp"
#include "dlm_freeze/base/error.hpp"
#include "dlm_freeze/base/unique_fd.hpp"
#include "fs/freeze_control.hpp"
#include "fs/freeze_plan.hpp"

namespace dlm_freeze {

/// Where one filesystem is on its way; docs/protocol.md says who moves it when.
enum class FreezeState : std::uint32_t {
  idle,         ///< Not touched.
  syncing,      ///< syncfs has not returned.
  freezing,     ///< FIFREEZE has been called, or is just about to be.
  frozen,       ///< By us.
  undoing,      ///< The freezer itself is thawing it, having found the session ending when FIFREEZE returned.
  thawing,      ///< FITHAW has been called, or is just about to be.
  thawed,       ///< By us.
  lost,         ///< Another program thawed it while it was ours.
  thaw_failed,  ///< FITHAW failed; it may be frozen still.
  busy,         ///< Another program's freeze; theirs to thaw.
  unsupported,  ///< Its driver cannot freeze; passed over.
  read_only,    ///< An error has made it read-only; passed over.
  freeze_failed,
};

[[nodiscard]] std::string_view to_string(FreezeState state);

/// Whether a filesystem in this state may be frozen by us, now or in a moment.
[[nodiscard]] bool may_be_frozen(FreezeState state);

/// Whether a call on it is still to be made, or to return, before it can be said what became of it.
[[nodiscard]] bool is_unsettled(FreezeState state);

/// The filesystems of one session: their descriptors, and their states in memory that is shared with every process
/// forked after `open`. Any of these processes may call any function.
class FrozenFilesystems {
 public:
  struct Filesystem {
    std::string mount_point;  ///< For a person where it is mounted elsewhere: as MountElsewhere::name.
    dev_t device = 0;
    int level = 0;
    UniqueFd fd;
    std::vector<UniqueFd> to_flush{};  ///< As in PlannedFilesystem. Only who writes back needs them.
    std::string where{};               ///< As MountElsewhere::where; empty: this process has it mounted.
    bool has_quotas = false;           ///< As BlockStack::has_quotas: a syncfs while it is frozen may never return.
  };

  /// One that the plan has, and that cannot be opened.
  struct LeftOut {
    dev_t device = 0;
    std::string mount_point;
    std::string why;
  };

  struct Opening;

  /// Opens the filesystems of `plan`, each through the first of its mounts whose opened directory is the mount that
  /// the plan was made from, of the same filesystem (so nothing that was mounted there in between is taken for it), in
  /// whatever mount namespace that is. One of which no mount can be found or entered any more is left out; what goes
  /// wrong for reasons that are not its own is an error. `control` must outlive the object.
  [[nodiscard]] static Result<Opening> open(const FreezePlan& plan, FreezeControl& control);

  /// The same for descriptors that were opened elsewhere, of filesystems that are in the state `initial`.
  [[nodiscard]] static Result<FrozenFilesystems> adopt(std::vector<Filesystem> filesystems, FreezeControl& control,
                                                       FreezeState initial = FreezeState::idle);

  [[nodiscard]] std::size_t size() const noexcept { return filesystems_.size(); }
  [[nodiscard]] const Filesystem& operator[](std::size_t i) const noexcept { return filesystems_[i]; }
  [[nodiscard]] FreezeState state(std::size_t i) const noexcept { return progress_[i].state.load(); }
  [[nodiscard]] int error(std::size_t i) const noexcept { return progress_[i].error.load(); }

  /// How long it has been, or was, frozen. Zero if it never was.
  [[nodiscard]] BootClock::duration frozen_for(std::size_t i) const noexcept;

  /// How long FIFREEZE of it took; zero where it has not returned with success.
  [[nodiscard]] BootClock::duration freeze_took(std::size_t i) const noexcept;

  /// When the last of them was frozen; the epoch where none was.
  [[nodiscard]] BootClock::time_point last_frozen_at() const noexcept;

  /// Whether one is in a state that `predicate` accepts.
  template <typename Predicate>
  [[nodiscard]] bool any(Predicate predicate) const {
    for (std::size_t i = 0; i < size(); ++i) {
      if (predicate(state(i))) return true;
    }
    return false;
  }

  // One call each, made in a thread of its own (see Freezing and Thawer), since any of them may never return.

  /// Writes back what is dirty: syncfs(2), and a flush of the devices that the filesystem does not flush itself.
  void sync(std::size_t i) noexcept;

  /// Calls FIFREEZE unless the session is ending; undoes it if the session has ended by the time it returns. What is
  /// found to be lost of what was written back meanwhile is in `write_error`, with the filesystem frozen.
  void freeze(std::size_t i) noexcept;

  /// Calls FITHAW on one that the caller has claimed in the state `from`.
  void thaw(std::size_t i, FreezeState from) noexcept;

  /// Calls FITHAW on `fd`, which is none of them. Gives 0 or an errno value.
  [[nodiscard]] int rehearse_thaw(int fd) const noexcept { return control_->thaw(fd); }

  /// Moves it from the state `from` to `to`, if it is still in that: of all who try, one succeeds.
  [[nodiscard]] bool claim(std::size_t i, FreezeState from, FreezeState to) noexcept;

  /// The first error of syncfs(2) or a flush: an errno, or 0. Data that was written before is lost.
  [[nodiscard]] int write_error(std::size_t i) const noexcept { return progress_[i].write_error.load(); }

  /// How many levels there are.
  [[nodiscard]] int levels() const noexcept;

  /// Ends the session, for all processes and for good: no FIFREEZE is called after this, and one that is under way is
  /// undone by its caller. False when another process has ended it before.
  bool end() noexcept { return control_block_[0].ending.exchange(1) == 0; }
  [[nodiscard]] bool ending() const noexcept { return control_block_[0].ending.load() != 0; }

  /// The descriptors that `sync` and `freeze` need.
  [[nodiscard]] std::vector<int> descriptors_of(std::size_t i) const;

  /// Closes what only `sync` and `freeze` need, in a process that calls neither.
  void close_devices() noexcept {
    for (Filesystem& filesystem : filesystems_) filesystem.to_flush.clear();
  }

  /// Closes the descriptors in this process, which then only knows the states.
  void close() noexcept {
    close_devices();
    for (Filesystem& filesystem : filesystems_) filesystem.fd.reset();
  }

  /// Tells all processes that nothing is left to do for this session.
  void set_over() noexcept { control_block_[0].over.store(1); }
  [[nodiscard]] bool over() const noexcept { return control_block_[0].over.load() != 0; }

 private:
  /// An error is kept in `write_error`.
  void write_back(std::size_t i, bool syncs) noexcept;

  struct ControlBlock {
    std::atomic<std::uint32_t> ending;
    std::atomic<std::uint32_t> over;
  };
  struct Progress {
    std::atomic<FreezeState> state;
    std::atomic<std::int32_t> error;        ///< errno of the last FIFREEZE or FITHAW that failed.
    std::atomic<std::int32_t> write_error;  ///< The first one of syncfs or a flush.
    std::atomic<std::int64_t> called_at;    ///< FIFREEZE; as the next.
    std::atomic<std::int64_t> frozen_at;    ///< Nanoseconds of BootClock; 0 before.
    std::atomic<std::int64_t> thawed_at;
  };

  FrozenFilesystems(std::vector<Filesystem> filesystems, FreezeControl& control, SharedArray<ControlBlock> block,
                    SharedArray<Progress> progress);

  std::vector<Filesystem> filesystems_;
  FreezeControl* control_;
  SharedArray<ControlBlock> control_block_;
  SharedArray<Progress> progress_;
};

struct FrozenFilesystems::Opening {
  FrozenFilesystems filesystems;
  std::vector<LeftOut> left_out;
};

}  // namespace dlm_freeze
