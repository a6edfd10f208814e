// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <thread>

#include "postgresql/server.hpp"

namespace dlm_freeze::integration {

/// Four sessions that insert the next number, one transaction each, and count what the server has
/// acknowledged; and pgbench beside them.
class Workload {
 public:
  static constexpr int kWriters = 4;
  using Counts = std::array<std::int64_t, kWriters>;

  /// Makes the tables; those of pgbench in `tablespace` if that is not empty.
  static void prepare(const Server& server, const std::string& tablespace = {});

  explicit Workload(const Server& server);
  Workload(const Workload&) = delete;
  Workload& operator=(const Workload&) = delete;
  ~Workload();

  /// How many inserts of each writer were acknowledged so far.
  [[nodiscard]] Counts acknowledged() const;

  /// Whether all writers still make progress.
  [[nodiscard]] bool goes_on() const;

  /// How many rows of each writer `server` has; throws unless they are 1..n without a gap.
  [[nodiscard]] static Counts stored(const Server& server);

 private:
  void write(int writer);

  std::string conninfo_;
  std::atomic<bool> stopping_{false};
  std::array<std::atomic<std::int64_t>, kWriters> acknowledged_{};
  std::array<std::thread, kWriters> threads_;
  pid_t pgbench_ = -1;
};

}  // namespace dlm_freeze::integration
