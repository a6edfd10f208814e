// SPDX-License-Identifier: Apache-2.0
#include "postgresql/postgresql_test.hpp"

#include <filesystem>

namespace dlm_freeze::integration {

void PostgresqlTest::SetUp() {
  namespace fs = std::filesystem;
  installation_ = find_installation();
  if (!installation_) GTEST_SKIP() << "there is no PostgreSQL server here: scripts/install-deps test";
  // Before the mount namespace hides where it was built.
  const fs::path module = DLM_FREEZE_POSTGRESQL_MODULE;
  HostTest::SetUp();
  if (IsSkipped()) return;
  fs::create_directories("/srv/lib/dlm-freeze");
  fs::copy_file(module, "/srv/lib/dlm-freeze/quiesce-postgresql.so");
  mount_tmpfs("/tmp", "mode=1777");  // its sockets would be detected
}

void PostgresqlTest::TearDown() {
  servers_.clear();
  HostTest::TearDown();
}

Server& PostgresqlTest::add_stopped_server(const ClusterSpec& spec) {
  return *servers_.emplace_back(std::make_unique<Server>(*installation_, spec));
}

Server& PostgresqlTest::add_server(const ClusterSpec& spec) {
  Server& server = add_stopped_server(spec);
  server.create();
  server.start();
  return server;
}

Filesystem& PostgresqlTest::add_volume(const std::string& mount_point, const std::string& type) {
  return add(FilesystemSpec{.type = type, .mount_point = mount_point, .size = std::uint64_t{1} << 30});
}

void PostgresqlTest::configure_postgresql(const std::string& members) const {
  configure(R"({"auto_thaw_seconds": 20, "quiescers": [{"type": "postgresql", "backup_directory": "/srv/backups")" +
            (members.empty() ? "" : ", " + members) + "}]}");
}

nlohmann::json PostgresqlTest::facts(std::size_t index) const {
  const auto status = nlohmann::json::parse(expect(0, {"status", "--json"}).out);
  return status.at("session").at("quiescers").at(index).at("facts");
}

}  // namespace dlm_freeze::integration
