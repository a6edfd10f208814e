// SPDX-License-Identifier: Apache-2.0
// Semi-synchronous replication: commits that wait for a replica which does not acknowledge them, on a real source.
#include <gmock/gmock.h>

#include "mysql_test.hpp"

namespace dlm_freeze::integration {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

class MysqlSemiSync : public MysqlTest {
 protected:
  void SetUp() override {
    MysqlTest::SetUp();
    if (IsSkipped()) return;
    if (!is_mariadb()) GTEST_SKIP() << "Oracle's server has it in a plugin";
  }

  /// A source whose commits wait for a replica that there is not, for that long.
  Server& start_source(const std::string& wait_point, seconds timeout) {
    Server& source = start_server(
        {.options = {"--rpl-semi-sync-master-enabled=ON", "--rpl-semi-sync-master-wait-point=" + wait_point,
                     "--rpl-semi-sync-master-timeout=1"}});
    make_tables(source);
    Client client = source.connect();
    client.query("SET GLOBAL rpl_semi_sync_master_enabled = OFF");
    client.query("SET GLOBAL rpl_semi_sync_master_timeout = " + std::to_string(timeout.count() * 1000));
    client.query("SET GLOBAL rpl_semi_sync_master_enabled = ON");
    return source;
  }
  static bool has_waiting(const Server& source) {
    Client client = source.connect();
    return eventually(
        [&] { return client.query("SHOW STATUS LIKE 'Rpl_semi_sync_master_wait_sessions'").at(0).at(1) == "1"; },
        seconds(5));
  }
};

TEST_F(MysqlSemiSync, PLACEHOLDER) {}

}  // namespace
}  // namespace dlm_freeze::integration
