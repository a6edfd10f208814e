// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <atomic>
#include <string>

#include "system.hpp"

namespace dlm_freeze::integration {

/// A FUSE filesystem for the images of loop devices, in memory, whose server is a process of the test's own: it can
/// stop to answer writes and flushes, as a volume that hangs. Everything else is answered all the time, so nothing but
/// what lies on such a device hangs. It goes on by itself after `kLongest`, and whatever waits for it gets an error as
/// soon as the server is gone, which dies with the test.
class HangingStore {
 public:
  static constexpr std::chrono::seconds kLongest{15};

  /// Made at `directory`, for regular files right in it.
  explicit HangingStore(const std::string& directory);
  HangingStore(const HangingStore&) = delete;
  HangingStore& operator=(const HangingStore&) = delete;
  ~HangingStore();

  /// From now on nothing is written or flushed.
  void hang();
  /// What waits is done, in its order, and so is all that follows.
  void let_go();

  /// How many requests wait to be let go.
  [[nodiscard]] unsigned waiting() const { return shared_->waiting.load(); }

 private:
  struct Shared {
    std::atomic<bool> hangs{false};
    std::atomic<unsigned> waiting{0};
  };
  class Server;

  Shared* shared_ = nullptr;
  pid_t server_ = -1;
};

}  // namespace dlm_freeze::integration
