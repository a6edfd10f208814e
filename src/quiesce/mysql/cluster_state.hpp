// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "dlm_freeze/base/log.hpp"

namespace dlm_freeze::mysql {

/// What a server says of the servers that it works with: as a node of Galera, as a member of Group Replication, and as
/// either end of semi-synchronous replication.
class ClusterState {
 public:
  using Values = std::map<std::string, std::string>;

  ClusterState() = default;

  /// What SHOW GLOBAL STATUS and SHOW GLOBAL VARIABLES say of kStatus and kVariables, and how many members its group
  /// has, if that may be asked.
  ClusterState(Values status, Values variables, std::optional<std::size_t> group_members)
      : status_(std::move(status)), variables_(std::move(variables)), group_members_(group_members) {}

  static constexpr const char* kStatus =
      "'wsrep_ready', 'wsrep_local_state_comment', 'Rpl_semi_sync_slave_status', 'Rpl_semi_sync_replica_status', "
      "'Rpl_semi_sync_master_wait_sessions', 'Rpl_semi_sync_source_wait_sessions'";
  static constexpr const char* kVariables =
      "'wsrep_on', 'wsrep_provider', 'wsrep_desync', 'group_replication_group_name', "
      "'group_replication_member_expel_timeout', 'rpl_semi_sync_master_timeout', 'rpl_semi_sync_source_timeout'";

  [[nodiscard]] bool is_galera_node() const;
  [[nodiscard]] std::string galera_state() const;  ///< "Synced", "Donor/Desynced", "Joined"...

  /// Why a node of Galera takes no statements now; empty when it does, or is none.
  [[nodiscard]] std::string problem() const;

  /// Whether it takes part in its cluster's flow control, and nobody else has it desynced.
  [[nodiscard]] bool can_be_desynced() const;

  [[nodiscard]] bool is_group_member() const;

  /// After how long without a word the other members of its group expel it; none when it is in no group of several.
  [[nodiscard]] std::optional<std::chrono::seconds> expelled_after() const;

  /// Whether commits on its source wait for this server.
  [[nodiscard]] bool acknowledges_commits() const;

  /// Commits here that wait for a replica now, and for how long one does.
  [[nodiscard]] std::size_t unacknowledged_commits() const;
  [[nodiscard]] std::chrono::seconds acknowledgement_timeout() const;

  /// What its user has to know before it is frozen for as long as `session`, the same in dry-run and in pre-script.
  [[nodiscard]] std::vector<LogLine> notes(std::optional<std::chrono::seconds> session) const;

 private:
  [[nodiscard]] std::string status(const char* name, const char* newer_name = "") const;
  [[nodiscard]] std::string variable(const char* name, const char* newer_name = "") const;

  Values status_;
  Values variables_;
  std::optional<std::size_t> group_members_;
};

}  // namespace dlm_freeze::mysql
