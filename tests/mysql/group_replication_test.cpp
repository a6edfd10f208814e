// SPDX-License-Identifier: Apache-2.0
// A member of Group Replication: a real one, alone in its group. That others may expel it is in cluster_state_test.cpp.
#include <gmock/gmock.h>

#include "mysql_test.hpp"

namespace dlm_freeze::integration {
namespace {

using testing::HasSubstr;
using testing::Not;

class MysqlGroup : public MysqlTest {};

TEST_F(MysqlGroup, OfOneMemberIsHeldLikeAnyServerOnOracleMysql) {
  if (is_mariadb()) GTEST_SKIP() << "MariaDB has no Group Replication";
  const std::string member = "127.0.0.1:" + std::to_string(free_port());
  Server& server = start_server(
      {.options = {
           "--gtid-mode=ON", "--enforce-gtid-consistency=ON", "--skip-networking=0", "--bind-address=127.0.0.1",
           "--port=" + std::to_string(free_port()), "--report-host=127.0.0.1", "--plugin-load-add=group_replication.so",
           "--loose-group-replication-group-name=aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
           "--loose-group-replication-local-address=" + member, "--loose-group-replication-group-seeds=" + member,
           "--loose-group-replication-bootstrap-group=ON", "--loose-group-replication-start-on-boot=OFF"}});
  Client client = server.connect();
  client.query("START GROUP_REPLICATION");
  ASSERT_TRUE(eventually(
      [&] { return client.value("SELECT MEMBER_STATE FROM performance_schema.replication_group_members") == "ONLINE"; },
      std::chrono::seconds(20)))
      << read_text(server.error_log());
  client.query("CREATE DATABASE test");
  configure_mysql();
  for (const auto& command : std::vector<std::vector<std::string>>{{"dry-run", "--probe"}, {"pre-script"}})
    EXPECT_THAT(expect(0, command).out, Not(HasSubstr("may be expelled")));
  expect(0, {"post-script"});
  EXPECT_EQ(client.value("SELECT MEMBER_STATE FROM performance_schema.replication_group_members"), "ONLINE");
  EXPECT_THAT(server.statements_of_ours(), testing::IsEmpty());
  client.query("CREATE TABLE test.a (i INT PRIMARY KEY)");
}

}  // namespace
}  // namespace dlm_freeze::integration
