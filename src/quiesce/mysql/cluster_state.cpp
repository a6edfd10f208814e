// SPDX-License-Identifier: Apache-2.0
#include "quiesce/mysql/cluster_state.hpp"

#include <limits>

#include "base/text.hpp"

namespace dlm_freeze::mysql {
namespace {

using std::chrono::seconds;

/// How long a member says nothing before it is suspected; group_replication_member_expel_timeout counts from then.
constexpr seconds kDetection{5};

/// The first of the two that there is.
std::string value_of(const ClusterState::Values& values, const char* name, const char* newer_name) {
  for (const char* each : {newer_name, name}) {
    const auto found = values.find(each);
    if (found != values.end()) return found->second;
  }
  return "";
}

std::int64_t number(const std::string& text) {
  return parse_decimal(text, 0, std::numeric_limits<std::int64_t>::max()).value_or(0);
}

}  // namespace

std::string ClusterState::status(const char* name, const char* newer_name) const {
  return value_of(status_, name, newer_name);
}

std::string ClusterState::variable(const char* name, const char* newer_name) const {
  return value_of(variables_, name, newer_name);
}

bool ClusterState::is_galera_node() const {
  // Without a provider it is never ready.
  return variable("wsrep_on") == "ON" && variable("wsrep_provider") != "none";
}

std::string ClusterState::galera_state() const { return status("wsrep_local_state_comment"); }

std::string ClusterState::problem() const {
  if (!is_galera_node() || status("wsrep_ready") != "OFF") return "";
  const std::string state = galera_state();
  return state.empty() ? "not connected" : state;
}

bool ClusterState::can_be_desynced() const {
  return is_galera_node() && galera_state() == "Synced" && variable("wsrep_desync") == "OFF";
}

bool ClusterState::is_group_member() const {
  return !variable("group_replication_group_name").empty() && group_members_.value_or(2) > 1;
}

std::optional<seconds> ClusterState::expelled_after() const {
  const std::string timeout = variable("group_replication_member_expel_timeout");
  if (!is_group_member() || timeout.empty()) return std::nullopt;
  return kDetection + seconds(number(timeout));
}

bool ClusterState::acknowledges_commits() const {
  return status("Rpl_semi_sync_slave_status", "Rpl_semi_sync_replica_status") == "ON";
}

std::size_t ClusterState::unacknowledged_commits() const {
  return static_cast<std::size_t>(
      number(status("Rpl_semi_sync_master_wait_sessions", "Rpl_semi_sync_source_wait_sessions")));
}

seconds ClusterState::acknowledgement_timeout() const {
  const auto timeout =
      std::chrono::milliseconds(number(variable("rpl_semi_sync_master_timeout", "rpl_semi_sync_source_timeout")));
  return std::chrono::ceil<seconds>(timeout);
}

std::vector<LogLine> ClusterState::notes(std::optional<seconds> session) const {
  std::vector<LogLine> notes;
  if (is_galera_node() && !can_be_desynced()) {
    notes.push_back({LogLevel::info, "this node of Galera is " + galera_state() + " already, and stays so"});
  }
  const auto limit = expelled_after();
  if (limit && session && *session > *limit) {
    notes.push_back(
        {LogLevel::warn, "this member of Group Replication may be expelled while it is frozen: that happens after " +
                             std::to_string(limit->count()) + " s without an answer, and the session can last " +
                             std::to_string(session->count()) +
                             " s; lower auto_thaw_seconds, or raise group_replication_member_expel_timeout"});
  }
  if (acknowledges_commits()) {
    notes.push_back({LogLevel::info,
                     "commits on its source wait for this replica (semi-synchronous replication): while it is frozen "
                     "they wait until the source's time-out, 10 s by default, and from then on no longer"});
  }
  return notes;
}

}  // namespace dlm_freeze::mysql
