// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "host.hpp"

namespace dlm_freeze::faults {

/// A process that works until the object ends.
class Worker {
 public:
  template <typename Work>
  explicit Worker(const Work& work) : process_(begin()) {
    if (process_ == 0) run(work);
  }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  ~Worker();

 private:
  static pid_t begin();
  [[noreturn]] static void run(const std::function<void()>& work);
  pid_t process_;
};

/// Rewrites `megabytes` of a file as fast as it can.
[[nodiscard]] std::unique_ptr<Worker> dirty(const integration::Filesystem& filesystem, unsigned megabytes);

/// Makes, renames and removes files and directories.
[[nodiscard]] std::unique_ptr<Worker> churn(const integration::Filesystem& filesystem, unsigned seed);

/// Appends numbered lines to a file, each with fsync(2), and counts those that are on disk.
class Ledger {
 public:
  explicit Ledger(const integration::Filesystem& filesystem);
  [[nodiscard]] std::uint64_t acknowledged() const { return acknowledged_->load(); }
  /// Whether the file, by now, has each line that was acknowledged.
  [[nodiscard]] static bool is_complete(const std::string& path, std::uint64_t lines);
  static constexpr const char* kName = "ledger";
  void end() { worker_.reset(); }

 private:
  std::atomic<std::uint64_t>* acknowledged_;
  std::unique_ptr<Worker> worker_;
};

}  // namespace dlm_freeze::faults
