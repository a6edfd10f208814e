// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>

#include "base/workers.hpp"
#include "dlm_freeze/base/error.hpp"
#include "dlm_freeze/base/unique_fd.hpp"
#include "fs/frozen_filesystems.hpp"

namespace dlm_freeze {

/// Writes back and freezes the filesystems of a session, each in a thread of its own that exists before the first
/// FIFREEZE. The results are in their states.
class Freezing {
 public:
  /// What a thread does first. It needs the descriptor of its filesystem, and `event` to tell of its calls' return.
  using Enter = std::function<void(std::size_t i, int event)>;

  /// `filesystems` must outlive the object.
  [[nodiscard]] static Result<Freezing> create(FrozenFilesystems& filesystems, const Enter& enter = {});

  /// Readable when all calls that were begun have returned.
  [[nodiscard]] int fd() const noexcept { return calls_->returned.get(); }

  /// Begins to write back all of them.
  void begin_sync() noexcept;

  /// Begins to freeze those of the next level, once the calls before have returned. False, and nothing is begun, when
  /// there is none left, the session is ending, or one could not be frozen or written back.
  [[nodiscard]] bool begin_level() noexcept;

 private:
  struct Calls {
    std::atomic<bool> freezes{false};         ///< Which call a thread makes.
    std::atomic<std::size_t> outstanding{0};  ///< Of those that were begun together.
    UniqueFd returned;                        ///< An event, raised when none is outstanding.
  };

  Freezing(FrozenFilesystems& filesystems, std::unique_ptr<Calls> calls, Workers workers);

  template <typename Predicate>
  void begin_where(Predicate predicate) noexcept;

  FrozenFilesystems* filesystems_;
  std::unique_ptr<Calls> calls_;
  Workers workers_;
  int level_ = 0;
};

}  // namespace dlm_freeze
