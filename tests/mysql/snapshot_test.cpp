// SPDX-License-Identifier: Apache-2.0
// What the snapshot holds: images copied while everything is held are mounted and a server is
// booted on them.
#include <gmock/gmock.h>
#include <sys/mount.h>

#include <filesystem>

#include "harness/loop_device.hpp"
#include "mysql_test.hpp"
#include "rounds.hpp"

namespace dlm_freeze::integration {
namespace {

class Snapshot : public MysqlTest, public testing::WithParamInterface<std::string> {
 protected:
  /// A copy of the image, mounted over the original.
  static LoopDevice mount_copy(const std::string& copy, const std::string& type, const std::string& mount_point) {
    LoopDevice loop(copy, 0);
    const char* const options = type == "xfs" ? "nouuid" : "";
    check(::mount(loop.path().c_str(), mount_point.c_str(), type.c_str(), 0, options), "mount " + copy);
    return loop;
  }

  void check_round(const std::string& type, const nlohmann::json& settings = nlohmann::json::object(),
                   const std::vector<std::string>& options = {});
};

void Snapshot::check_round(const std::string& type, const nlohmann::json& settings,
                           const std::vector<std::string>& options) {
  const FilesystemSpec data_spec{.type = type, .mount_point = "/srv/mysql", .size = kDataSize};
  const FilesystemSpec log_spec{.type = type, .mount_point = "/srv/binlog", .size = kDataSize};
  const auto& data = add(data_spec);
  const auto& log = add(log_spec);
  Server& server = start_server({.data = "/srv/mysql/data", .binary_log = "/srv/binlog/log", .options = options});
  const auto tables = make_tables(server);
  configure_mysql(settings);
  std::vector<std::unique_ptr<TableWriter>> writers;
  for (const auto& table : tables) writers.push_back(std::make_unique<TableWriter>(server, table));
  sleep_for(Milliseconds(400));

  const auto pre = expect(0, {"pre-script"});
  const auto acknowledged = [&] {
    std::vector<long> rows;
    for (const auto& writer : writers) rows.push_back(writer->acknowledged());
    return rows;
  };
  const auto before = acknowledged();
  run_tool({"cp", "--sparse=always", data.image(), "/srv/data.copy"});
  run_tool({"cp", "--sparse=always", log.image(), "/srv/log.copy"});
  const std::string file = fact("binary_log_file");
  const std::string position = fact("binary_log_position");
  EXPECT_EQ(acknowledged(), before) << "acknowledged while held";
  expect(0, {"post-script"});
  sleep_for(Milliseconds(100));
  for (const auto& writer : writers) writer->stop();
  EXPECT_NE(acknowledged(), before) << "the writers did not go on";
  server.kill();

  const LoopDevice data_copy = mount_copy("/srv/data.copy", type, "/srv/mysql");
  const LoopDevice log_copy = mount_copy("/srv/log.copy", type, "/srv/binlog");
  EXPECT_EQ(std::to_string(std::filesystem::file_size("/srv/binlog/log/" + file)), position) << pre.text();
  std::string newest;  // Of the logs alone, not of their indexes: binlog.index, and from MariaDB 11.4 on one for each.
  for (const auto& entry : std::filesystem::directory_iterator("/srv/binlog/log")) {
    const std::string name = entry.path().filename();
    if (name.size() == file.size()) newest = std::max(newest, name);
  }
  EXPECT_EQ(newest, file);
  server.start();
  Client client = server.connect();
  for (std::size_t i = 0; i < tables.size(); ++i) {
    EXPECT_EQ(client.value("SELECT MAX(id) FROM " + tables[i]), std::to_string(before[i])) << tables[i];
    EXPECT_EQ(client.value("SELECT COUNT(*) FROM " + tables[i]), std::to_string(before[i])) << tables[i];
    EXPECT_EQ(client.query("CHECK TABLE " + tables[i]).back().at(3), "OK") << tables[i];
    EXPECT_GT(before[i], 0) << tables[i];
  }
  server.stop();
  // The copies first, so that the next round finds the originals' mount points free.
  for (const char* const mount_point : {"/srv/mysql", "/srv/binlog"}) {
    for (int layer = 0; layer < 2; ++layer) unmount_lazily(mount_point);
  }
  servers_.clear();
  for (const char* const copy : {"/srv/data.copy", "/srv/log.copy"}) std::filesystem::remove(copy);
}

TEST_P(Snapshot, HoldsEveryRowAcknowledgedBeforeAndNoneFromDuringAndTheBinaryLogEndsWhereRecorded) {
  for (int round = 0; round < rounds_or(2) && !HasFailure(); ++round) {
    restart_safety_limit();
    check_round(GetParam());
  }
}

/// The same on each filesystem.
class SnapshotOnOne : public Snapshot {};

/// What the server would write within a second.
TEST_P(SnapshotOnOne, HoldsCommitsThatTheServerHadNotYetWritten) {
  for (const std::string lock : {"auto", "flush_tables"}) {
    if (HasFailure() || (lock == "flush_tables" && !is_mariadb())) continue;
    SCOPED_TRACE(lock);
    restart_safety_limit();
    check_round(GetParam(), {{"lock", lock}}, {"--innodb-flush-log-at-trx-commit=0"});
  }
}

INSTANTIATE_TEST_SUITE_P(Filesystem, SnapshotOnOne, testing::Values("ext4"));
INSTANTIATE_TEST_SUITE_P(Filesystems, Snapshot, testing::Values("ext4", "xfs"),
                         [](const auto& parameter) { return parameter.param; });

}  // namespace
}  // namespace dlm_freeze::integration
