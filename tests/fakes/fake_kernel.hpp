// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pthread.h>
#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "base/shared_array.hpp"
#include "dlm_freeze/base/deadline.hpp"
#include "dlm_freeze/base/unique_fd.hpp"
#include "fs/freeze_control.hpp"
#include "fs/frozen_filesystems.hpp"

namespace dlm_freeze::fakes {

/// What sync, freeze, thaw and flush do in Linux (fs/super.c), on filesystems that there are only here. All state is in
/// memory that is shared with the processes forked after the constructor, so that it outlives each of them, as the
/// kernel does.
///
///   freeze  EBUSY when it is frozen, whoever did it; EOPNOTSUPP where the driver cannot
///   thaw    EINVAL when it is not frozen; does not ask who froze it; waits behind a freeze that is under way
///   a filesystem that lies on a frozen one can be neither frozen nor thawed: the call waits until that one is thawed
///
/// One thing is not like Linux: a call that hangs here ends when its process is killed.
class FakeKernel final : public FreezeControl {
 public:
  /// Names a filesystem.
  using Id = std::size_t;

  enum class Call { sync, freeze, thaw, flush };

  /// When the process that makes a call dies of it, by SIGKILL.
  enum class Death { never, before, after };
  enum class Stray { none, file, program };

  FakeKernel();

  // FreezeControl, of any process, from any thread. EBADF for a descriptor on none of these filesystems.
  [[nodiscard]] int sync(int fd) noexcept override;
  [[nodiscard]] int flush(int fd) noexcept override;
  [[nodiscard]] int freeze(int fd) noexcept override;
  [[nodiscard]] int thaw(int fd) noexcept override;

  /// A new filesystem, and a descriptor on it. Before the processes are forked.
  UniqueFd add(Id& id);

  /// The same, of which `directory`, of the real world, is taken for the root.
  UniqueFd add_at(const std::string& directory, Id& id);

  /// `upper` lies on a file in `lower`.
  void lay(Id upper, Id lower);

  // What may happen to a filesystem, at any time.
  void freeze_by_somebody_else(Id id);
  void thaw_by_somebody_else(Id id);
  void fail(Id id, Call call, int error);  ///< From now on; 0: no longer.
  void hang(Id id, Call call);             ///< Until `let_go`.
  void let_go(Id id, Call call);
  void let_go_all();
  void kill_caller(Id id, Call call, Death death);  ///< The next one only.
  /// Whoever makes it next opens a file before, or executes a program that is not there.
  void go_astray(Id id, Call call, Stray stray = Stray::file);

  // What can be seen of it.
  [[nodiscard]] bool is_frozen(Id id) const { return of(id).frozen.load(); }
  [[nodiscard]] bool any_frozen() const;
  [[nodiscard]] int begun(Id id, Call call) const;  ///< How many calls were made.
  [[nodiscard]] int succeeded(Id id, Call call) const;
  [[nodiscard]] BootClock::time_point frozen_at(Id id) const;  ///< By the last successful call.
  [[nodiscard]] BootClock::time_point thawed_at(Id id) const;
  /// What came of `go_astray`: an errno, 0 where a file was opened, ENOENT where a program would have been executed;
  /// nothing if there was no call.
  [[nodiscard]] std::optional<int> astray(Id id, Call call) const;
  /// The place of the last successful call among all successful calls.
  [[nodiscard]] int order(Id id, Call call) const;

 private:
  static constexpr int kNotAstray = -1;
  static constexpr std::size_t kMost = 128;
  static constexpr std::size_t kCalls = 4;
  static constexpr std::size_t kNone = ~std::size_t{0};

  struct CallState {
    std::atomic<std::uint32_t> hanging;
    std::atomic<int> error;
    std::atomic<Death> death;
    std::atomic<Stray> stray;
    std::atomic<int> astray{kNotAstray};
    std::atomic<int> begun;
    std::atomic<int> succeeded;
    std::atomic<int> order;
    std::atomic<std::int64_t> at;
  };
  struct Superblock {
    pthread_mutex_t call_under_way;  ///< s_umount
    std::atomic<std::uint32_t> frozen;
    std::atomic<std::size_t> lies_on;
    dev_t device;
    ino_t inode;
    CallState calls[kCalls];
  };
  struct Shared {
    std::atomic<std::size_t> count;
    std::atomic<int> successes;
    Superblock superblocks[kMost];
  };

  UniqueFd adopt(UniqueFd fd, Id& id);
  [[nodiscard]] Superblock& of(Id id) const { return shared_[0].superblocks[id]; }
  [[nodiscard]] static CallState& of(Superblock& superblock, Call call) {
    return superblock.calls[static_cast<std::size_t>(call)];
  }
  [[nodiscard]] Superblock* find(int fd) const noexcept;

  template <typename Act>
  int run(int fd, Call call, Act act) noexcept;
  void finish(CallState& state) noexcept;

  SharedArray<Shared> shared_;
};

}  // namespace dlm_freeze::fakes
