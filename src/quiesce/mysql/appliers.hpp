// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "dlm_freeze/quiesce/quiescer.hpp"
#include "quiesce/mysql/connection.hpp"
#include "quiesce/mysql/diagnosis.hpp"
#include "quiesce/mysql/dialect.hpp"

namespace dlm_freeze::mysql {

/// A replica's appliers, which are stopped while the lock is held. They outlive every session: their channels are facts
/// by which they are started again after a death. The diagnosis must outlive this.
class Appliers {
 public:
  explicit Appliers(const Diagnosis& diagnosis) : diagnosis_(diagnosis) {}

  /// Looks which of them run.
  Result<void> find(Connection& monitor, const ServerVersion& version, const StageContext& context);

  /// Stops those that were found. What was tried counts as stopped.
  Result<void> stop(Connection& session, const ServerVersion& version, const StageContext& context);

  /// Starts those that were stopped. An error says how to do so by hand.
  Result<void> start(Connection& session, const ServerVersion& version, const StageContext& context) const;

  [[nodiscard]] bool any_stopped() const { return !stopped_.empty(); }

  /// What is going to be stopped, and what was.
  [[nodiscard]] std::vector<Fact> to_stop() const;
  [[nodiscard]] std::vector<Fact> facts() const;

  /// Those of such facts count as stopped.
  void recall(const std::vector<Fact>& facts);

 private:
  const Diagnosis& diagnosis_;
  std::vector<std::string> running_;
  std::vector<std::string> stopped_;
};

}  // namespace dlm_freeze::mysql
