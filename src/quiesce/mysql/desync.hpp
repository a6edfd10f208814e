// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "dlm_freeze/quiesce/quiescer.hpp"
#include "quiesce/mysql/cluster_state.hpp"
#include "quiesce/mysql/connection.hpp"
#include "quiesce/mysql/diagnosis.hpp"

namespace dlm_freeze::mysql {

/// Takes a node of Galera out of its cluster's flow control while the lock is held (wsrep_desync), since the others
/// would wait for it otherwise. It outlives every session: a fact says by which it is put back after a death. The
/// diagnosis must outlive this.
class Desync {
 public:
  explicit Desync(const Diagnosis& diagnosis) : diagnosis_(diagnosis) {}

  /// Whether that is going to be done. An account without the right for it is a WARN: the lock is worth the same.
  void find(const ClusterState& cluster, bool is_allowed, StageContext& context);

  /// Desyncs the node, if it is to be. What was tried counts as done.
  Result<void> begin(Connection& session, const StageContext& context);

  /// Puts it back. An error says how to do so by hand.
  Result<void> end(Connection& session, const StageContext& context) const;

  [[nodiscard]] bool is_begun() const { return begun_; }

  /// What is going to be done, and what was.
  [[nodiscard]] std::vector<Fact> to_do() const;
  [[nodiscard]] std::vector<Fact> facts() const;

  /// By such facts it counts as done.
  void recall(const std::vector<Fact>& facts);

 private:
  const Diagnosis& diagnosis_;
  bool wanted_ = false;
  bool begun_ = false;
};

}  // namespace dlm_freeze::mysql
