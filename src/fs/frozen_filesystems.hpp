// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <functional>
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
  lost,         ///< Somebody else thawed it while it was ours.
  thaw_failed,  ///< FITHAW failed; it may be frozen still.
  busy,         ///< Somebody else's freeze; theirs to thaw.
  unsupported,  ///< Its driver cannot freeze; passed over.
  freeze_failed,
};

[[nodiscard]] std::string_view to_string(FreezeState state);

/// Whether a filesystem in this state may be frozen by us, now or in a moment.
[[nodiscard]] bool may_be_frozen(FreezeState state);

/// The filesystems of one session: their descriptors, and their states in memory that is shared with every process
/// forked after `open`. Any of these processes may call any function.
class FrozenFilesystems {
 public:
  struct Filesystem {
    std::string mount_point;
    dev_t device = 0;
    int level = 0;
    UniqueFd fd;
  };

  struct Opening;

  /// Opens the filesystems of `plan`, each through the first of its mounts whose opened directory is the mount that
  /// the plan was made from (so nothing that was mounted over it in between is taken for it). One of which no mount
  /// can be found any more is left out with a warning; one that cannot be opened for another reason is an error.
  /// `control` must outlive the object.
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

  /// Whether one is in a state that `predicate` accepts.
  template <typename Predicate>
  [[nodiscard]] bool any(Predicate predicate) const {
    for (std::size_t i = 0; i < size(); ++i) {
      if (predicate(state(i))) return true;
    }
    return false;
  }

  /// Writes back all of them, each in a thread of its own; returns when all are done. Errors are not reported here:
  /// FIFREEZE meets them again.
  void sync_all() noexcept;

  /// Freezes all of them, level by level, those of a level in threads; returns when each call has returned. Stops
  /// after a level in which one failed or was busy, or when the session is ending. What it then leaves is in the
  /// states. `enter` is called first in the thread of each, with its index.
  void freeze_all(const std::function<void(std::size_t)>& enter) noexcept;

  /// Ends the session, for all processes and for good: no FIFREEZE is called after this, and one that is under way is
  /// undone by its caller.
  void end() noexcept { control_block_[0].ending.store(1); }
  [[nodiscard]] bool ending() const noexcept { return control_block_[0].ending.load() != 0; }

  /// Tells all processes that nothing is left to do for this session.
  void set_over() noexcept { control_block_[0].over.store(1); }
  [[nodiscard]] bool over() const noexcept { return control_block_[0].over.load() != 0; }

 private:
  friend class Thawer;

  struct ControlBlock {
    std::atomic<std::uint32_t> ending;
    std::atomic<std::uint32_t> over;
  };
  struct Progress {
    std::atomic<FreezeState> state;
    std::atomic<std::int32_t> error;      ///< errno of the last call that failed.
    std::atomic<std::int64_t> frozen_at;  ///< Nanoseconds of BootClock; 0 before.
    std::atomic<std::int64_t> thawed_at;
  };

  FrozenFilesystems(std::vector<Filesystem> filesystems, FreezeControl& control, SharedArray<ControlBlock> block,
                    SharedArray<Progress> progress);

  void freeze_one(std::size_t i) noexcept;
  void thaw_one(std::size_t i, FreezeState if_not_frozen) noexcept;
  [[nodiscard]] bool move(std::size_t i, FreezeState from, FreezeState to) noexcept;
  [[nodiscard]] int levels() const noexcept;

  std::vector<Filesystem> filesystems_;
  FreezeControl* control_;
  SharedArray<ControlBlock> control_block_;
  SharedArray<Progress> progress_;
};

struct FrozenFilesystems::Opening {
  FrozenFilesystems filesystems;
  std::vector<std::string> warnings;
};

/// Undoes the freezes of a session, each in a thread of its own, so that one that does not return holds up nobody.
/// The threads use what the constructor was given; the process must live until `run` has returned true or exit with
/// _exit.
class Thawer {
 public:
  /// `life_lines` has a descriptor for each filesystem that reports the end of file when the thread that freezes it
  /// has ended, even if its process was killed; empty if all of them ended long ago. The caller keeps them open.
  /// `claim` is the state that marks what it works on: `undoing` in the process that freezes, else `thawing`.
  [[nodiscard]] static Result<Thawer> create(FrozenFilesystems& filesystems, std::vector<int> life_lines,
                                             FreezeState claim = FreezeState::thawing);

  /// Ends the session and thaws: by levels in reverse, and then what was still being frozen as soon as that is
  /// settled. Returns true when nothing is left, false when `until` came first; call it again to go on. With
  /// `take_over` it also redoes what another thawing process has begun, since that one is dead or late. The process
  /// that freezes does not wait for what another one thaws. Also returns false as soon as `interrupt` is readable.
  [[nodiscard]] bool run(Deadline until, bool take_over, int interrupt = -1) noexcept;

 private:
  Thawer(FrozenFilesystems& filesystems, std::vector<int> life_lines, FreezeState claim, UniqueFd finished);

  [[nodiscard]] bool waits_for(FreezeState state) const noexcept;
  void thaw_if_ours(std::size_t i, bool take_over) noexcept;
  void start(std::size_t i, FreezeState from, FreezeState if_not_frozen) noexcept;
  [[nodiscard]] bool wait(Deadline until, int interrupt) noexcept;

  FrozenFilesystems* filesystems_;
  std::vector<int> life_lines_;  ///< -1 from its end of file on.
  FreezeState claim_;
  UniqueFd finished_;          ///< An eventfd; counts threads that have returned.
  std::size_t under_way_ = 0;  ///< Threads that have not.
  std::vector<bool> mine_;     ///< Those that a thread of ours works on or has finished.
};

}  // namespace dlm_freeze
