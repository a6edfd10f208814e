// SPDX-License-Identifier: Apache-2.0
#include "mysql_test.hpp"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <filesystem>

#include "dlm_freeze/base/unique_fd.hpp"

namespace dlm_freeze::integration {

int free_port() {
  const UniqueFd fd(check(::socket(AF_INET, SOCK_STREAM, 0), "socket"));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  check(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), size), "bind");
  check(::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size), "getsockname");
  return ntohs(address.sin_port);
}

void MysqlTest::SetUp() {
  if (installed_server() == ServerKind::none) GTEST_SKIP() << "neither MariaDB nor MySQL is installed";
  HostTest::SetUp();
  if (IsSkipped()) return;
  std::filesystem::create_directories("/srv/lib/dlm-freeze");
  std::filesystem::copy_file(DLM_FREEZE_MYSQL_MODULE, "/srv/lib/dlm-freeze/quiesce-mysql.so");
}

void MysqlTest::TearDown() {
  servers_.clear();
  HostTest::TearDown();
}

Server& MysqlTest::add_server(const ServerSpec& spec) {
  Server& server = *servers_.emplace_back(std::make_unique<Server>(spec));
  restart_safety_limit();  // The first one on a new version has made the data directory that all others copy.
  return server;
}

Server& MysqlTest::start_server(const ServerSpec& spec) {
  Server& server = add_server(spec);
  server.start();
  return server;
}

nlohmann::json MysqlTest::entry(const Server& server, const std::string& name) {
  return {{"type", "mysql"}, {"name", name}, {"socket", server.socket()}};
}

void MysqlTest::configure_mysql(const nlohmann::json& more) const {
  nlohmann::json entries = nlohmann::json::array();
  for (const auto& server : servers_) {
    nlohmann::json one = entry(*server, "db" + std::to_string(entries.size() + 1));
    one.update(more);
    entries.push_back(one);
  }
  configure(nlohmann::json{{"auto_thaw_seconds", 30}, {"quiescers", entries}}.dump());
}

std::vector<std::string> MysqlTest::make_tables(const Server& server) const {
  Client client = server.connect();
  client.query("CREATE DATABASE IF NOT EXISTS test");
  std::vector<std::string> tables;
  std::vector<std::string> engines = {"InnoDB", "MyISAM"};
  if (is_mariadb()) engines.emplace_back("Aria");
  for (const std::string& engine : engines) {
    tables.push_back("test.t_" + engine);
    client.query("CREATE TABLE " + tables.back() + " (id BIGINT PRIMARY KEY, text VARCHAR(200)) ENGINE=" + engine);
  }
  tables.emplace_back("test.t_second");
  client.query("CREATE TABLE test.t_second (id BIGINT PRIMARY KEY, text VARCHAR(200)) ENGINE=InnoDB");
  return tables;
}

std::string MysqlTest::fact(const std::string& key) const {
  const auto status = nlohmann::json::parse(run({"status", "--json"}).out);
  const std::string text = status.dump();
  for (const auto& quiescer : status.at("session").at("quiescers")) {
    for (const auto& fact : quiescer.at("facts").items()) {
      if (fact.key() == key) return fact.value();
    }
  }
  return "";
}

void MysqlTest::expect_nothing_left(const Server& server) const {
  EXPECT_TRUE(eventually([&] { return server.statements_of_ours().empty(); }, std::chrono::seconds(1)))
      << testing::PrintToString(server.statements_of_ours());
  Client client = server.connect();
  client.query("SET SESSION lock_wait_timeout = 2");
  client.query("CREATE DATABASE IF NOT EXISTS left_over");
  EXPECT_EQ(client.error_of("CREATE TABLE left_over.a (a INT) ENGINE=MyISAM"), 0U);
  EXPECT_EQ(client.error_of("INSERT INTO left_over.a VALUES (1)"), 0U);
  EXPECT_EQ(client.error_of("DROP DATABASE left_over"), 0U);
}

}  // namespace dlm_freeze::integration
