// SPDX-License-Identifier: Apache-2.0
// What a server says of the servers that it works with. Needs none.
#include "quiesce/mysql/cluster_state.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dlm_freeze::mysql {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

const ClusterState::Values kNode = {{"wsrep_on", "ON"}, {"wsrep_provider", "/usr/lib/galera/libgalera_smm.so"}};

ClusterState galera(ClusterState::Values status, const std::string& desync = "OFF") {
  ClusterState::Values variables = kNode;
  variables["wsrep_desync"] = desync;
  return {std::move(status), std::move(variables), std::nullopt};
}

TEST(MysqlClusterState, OfAServerAloneIsNothing) {
  for (const ClusterState& state :
       {ClusterState(),
        ClusterState({{"wsrep_ready", "OFF"}, {"wsrep_local_state_comment", ""}},
                     {{"wsrep_on", "ON"}, {"wsrep_provider", "none"}}, std::nullopt),
        ClusterState({{"wsrep_ready", "OFF"}}, {{"wsrep_on", "OFF"}, {"wsrep_provider", "none"}}, std::nullopt)}) {
    EXPECT_FALSE(state.is_galera_node());
    EXPECT_EQ(state.problem(), "");
    EXPECT_FALSE(state.can_be_desynced());
    EXPECT_THAT(state.notes(seconds(60)), IsEmpty());
  }
}

TEST(MysqlClusterState, OfANodeThatIsNotReadyIsAProblem) {
  EXPECT_EQ(galera({{"wsrep_ready", "OFF"}, {"wsrep_local_state_comment", "Initialized"}}).problem(), "Initialized");
  EXPECT_EQ(galera({{"wsrep_ready", "OFF"}}).problem(), "not connected");
  EXPECT_EQ(galera({{"wsrep_ready", "ON"}, {"wsrep_local_state_comment", "Synced"}}).problem(), "");
}

TEST(MysqlClusterState, OfANodeThatIsSyncedAllowsToDesyncIt) {
  EXPECT_TRUE(galera({{"wsrep_ready", "ON"}, {"wsrep_local_state_comment", "Synced"}}).can_be_desynced());
  EXPECT_FALSE(galera({{"wsrep_ready", "ON"}, {"wsrep_local_state_comment", "Synced"}}, "ON").can_be_desynced());
  const ClusterState donor = galera({{"wsrep_ready", "ON"}, {"wsrep_local_state_comment", "Donor/Desynced"}});
  EXPECT_FALSE(donor.can_be_desynced());
  ASSERT_THAT(donor.notes(seconds(60)), SizeIs(1));
  EXPECT_EQ(donor.notes(seconds(60))[0].level, LogLevel::info);
}

TEST(MysqlClusterState, OfAGroupMemberWarnsOfSessionsAfterWhichItIsExpelled) {
  const ClusterState::Values variables = {{"group_replication_group_name", "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"},
                                          {"group_replication_member_expel_timeout", "5"}};
  const ClusterState member({}, variables, 3);
  EXPECT_EQ(member.expelled_after(), seconds(10));
  EXPECT_THAT(member.notes(seconds(10)), IsEmpty());
  EXPECT_THAT(member.notes(std::nullopt), IsEmpty());
  ASSERT_THAT(member.notes(seconds(60)), SizeIs(1));
  EXPECT_EQ(member.notes(seconds(60))[0].level, LogLevel::warn);
  EXPECT_THAT(member.notes(seconds(60))[0].text, HasSubstr("after 10 s without an answer"));
  EXPECT_THAT(ClusterState({}, variables, 1).notes(seconds(60)), IsEmpty()) << "alone in its group";
  EXPECT_THAT(ClusterState({}, variables, std::nullopt).notes(seconds(60)), SizeIs(1)) << "may not look";
  EXPECT_THAT(ClusterState({}, {{"group_replication_group_name", ""}, {"group_replication_member_expel_timeout", "5"}},
                           std::nullopt)
                  .notes(seconds(60)),
              IsEmpty());
}

TEST(MysqlClusterState, KnowsSemiSynchronousReplicationByItsOldAndItsNewNames) {
  for (const auto& [waiting, timeout, replica] :
       {std::tuple("Rpl_semi_sync_master_wait_sessions", "rpl_semi_sync_master_timeout", "Rpl_semi_sync_slave_status"),
        std::tuple("Rpl_semi_sync_source_wait_sessions", "rpl_semi_sync_source_timeout",
                   "Rpl_semi_sync_replica_status")}) {
    const ClusterState state({{waiting, "2"}, {replica, "ON"}}, {{timeout, "2500"}}, std::nullopt);
    EXPECT_EQ(state.unacknowledged_commits(), 2U);
    EXPECT_EQ(state.acknowledgement_timeout(), seconds(3));
    EXPECT_TRUE(state.acknowledges_commits());
    EXPECT_THAT(state.notes(seconds(60)), SizeIs(1));
  }
  EXPECT_EQ(ClusterState().unacknowledged_commits(), 0U);
  EXPECT_FALSE(ClusterState({{"Rpl_semi_sync_slave_status", "OFF"}}, {}, std::nullopt).acknowledges_commits());
}

}  // namespace
}  // namespace dlm_freeze::mysql
