// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "quiesce/postgresql/backup_files.hpp"
#include "quiesce/postgresql/hold.hpp"

namespace dlm_freeze::postgresql {

/// Mode backup: one is under way from `begin` to `end`, which saves what a restore needs besides the snapshot.
class BackupHold final : public Hold {
 public:
  explicit BackupHold(Cluster& cluster) : cluster_(cluster) {}

  [[nodiscard]] const char* mode() const override { return "backup"; }
  Result<void> check(const Server& server, StageContext& context) override;
  Result<void> prepare(StageContext& context) override;
  Result<void> begin(StageContext& context) override;
  [[nodiscard]] bool needs_session() const override { return true; }
  [[nodiscard]] std::vector<Fact> facts() const override;
  [[nodiscard]] int watch_fd() const override { return started_ ? cluster_.loss_fd() : -1; }
  Result<void> end(StageContext& context, Outcome outcome) override;

  /// Removes the directory that such facts name, if nothing came to be in it: what is left of a backup whose session
  /// has ended without `end`.
  static void clean_up(const std::vector<Fact>& facts);

 private:
  void keep_wal(StageContext& context);
  Result<void> finish(StageContext& context);
  Result<void> save_backup(BackupFiles files, const std::string& end, std::uint64_t segment_size,
                           StageContext& context) const;

  Cluster& cluster_;
  bool may_checkpoint_ = false;
  bool may_keep_wal_ = false;
  bool started_ = false;
  std::string saved_to_;  ///< The directory for the files of this backup.
};

}  // namespace dlm_freeze::postgresql
