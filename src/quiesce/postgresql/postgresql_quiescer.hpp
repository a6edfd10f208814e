// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "dlm_freeze/quiesce/quiescer.hpp"
#include "quiesce/postgresql/cluster.hpp"
#include "quiesce/postgresql/hold.hpp"
#include "quiesce/postgresql/settings.hpp"

namespace dlm_freeze::postgresql {

/// One PostgreSQL cluster. It has a session with the server from `probe` on, in mode checkpoint until the end of
/// `quiesce`, so that none is left while anything is frozen; in mode backup until `release`, without a statement in
/// between.
class PostgresqlQuiescer final : public Quiescer {
 public:
  explicit PostgresqlQuiescer(PostgresqlSettings settings) : cluster_(std::move(settings)) {}

  Result<Presence> locate(StageContext& context) override { return cluster_.locate(context); }
  Result<void> probe(StageContext& context) override;
  Result<std::vector<Fact>> prepare(StageContext& context) override;
  Result<std::vector<Fact>> quiesce(StageContext& context) override;
  [[nodiscard]] int watch_fd() const override { return hold_ ? hold_->watch_fd() : -1; }
  Result<void> release(StageContext& context, Outcome outcome) override;
  Result<void> recover(StageContext& context, const std::vector<Fact>& facts) override;

 private:
  bool check_coverage(StageContext& context) const;
  [[nodiscard]] PostgresqlMode choose_mode(bool all_frozen, std::vector<LogLine>& notes) const;

  Cluster cluster_;
  std::unique_ptr<Hold> hold_;  ///< From `probe` on.
};

}  // namespace dlm_freeze::postgresql
