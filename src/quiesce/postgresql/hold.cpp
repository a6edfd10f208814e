// SPDX-License-Identifier: Apache-2.0
#include "quiesce/postgresql/hold.hpp"

#include "quiesce/postgresql/backup_hold.hpp"
#include "quiesce/postgresql/checkpoint_hold.hpp"

namespace dlm_freeze::postgresql {

std::unique_ptr<Hold> make_hold(PostgresqlMode mode, Cluster& cluster) {
  if (mode == PostgresqlMode::backup) return std::make_unique<BackupHold>(cluster);
  if (mode == PostgresqlMode::checkpoint) return std::make_unique<CheckpointHold>(cluster);
  return std::make_unique<Hold>();
}

}  // namespace dlm_freeze::postgresql
