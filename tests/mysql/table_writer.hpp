// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <string>
#include <thread>

#include "harness/system.hpp"
#include "server.hpp"

namespace dlm_freeze::integration {

/// An application: inserts rows 1, 2, 3… into a table as fast as they are acknowledged.
class TableWriter {
 public:
  TableWriter(const Server& server, std::string table);
  TableWriter(const TableWriter&) = delete;
  TableWriter& operator=(const TableWriter&) = delete;
  ~TableWriter() { stop(); }

  [[nodiscard]] const std::string& table() const { return table_; }

  /// The last row that was acknowledged.
  [[nodiscard]] long acknowledged() const { return acknowledged_.load(); }

  /// The longest that one row has taken so far, the one under way included.
  [[nodiscard]] Clock::duration longest_wait() const;

  void forget_longest_wait() { longest_ = Clock::duration::zero(); }

  /// Ends it after the row under way.
  void stop();

 private:
  void run(Client client);

  std::string table_;
  std::atomic<long> acknowledged_{0};
  std::atomic<bool> stopping_{false};
  std::atomic<Clock::duration> longest_{};
  std::atomic<Clock::time_point> sent_{};
  std::thread thread_;
};

}  // namespace dlm_freeze::integration
