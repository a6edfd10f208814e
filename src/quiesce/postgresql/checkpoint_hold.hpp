// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "quiesce/postgresql/hold.hpp"

namespace dlm_freeze::postgresql {

/// Mode checkpoint: one in `prepare`, and a second one in `begin` if much has been written since.
class CheckpointHold final : public Hold {
 public:
  explicit CheckpointHold(Cluster& cluster) : cluster_(cluster) {}

  [[nodiscard]] const char* mode() const override { return "checkpoint"; }
  Result<void> check(const Server& server, StageContext& context) override;
  Result<void> prepare(StageContext& context) override;
  Result<void> begin(StageContext& context) override;

 private:
  Cluster& cluster_;
  bool first_done_ = false;
};

}  // namespace dlm_freeze::postgresql
