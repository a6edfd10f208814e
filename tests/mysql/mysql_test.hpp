// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "harness/host_test.hpp"
#include "quiesce/mysql/client_library.hpp"
#include "server.hpp"
#include "table_writer.hpp"

namespace dlm_freeze::integration {

/// Bytes of a filesystem that a server's data and logs fit on.
constexpr std::uint64_t kDataSize = std::uint64_t{400} << 20;

/// A statement that runs beside the test until it is killed.
class Background {
 public:
  Background(const Server& server, const std::string& statement, const std::string& before = "")
      : server_(server), client_(server.connect()), id_(client_.id()) {
    client_.query("USE test");
    if (!before.empty()) client_.query(before);
    thread_ = std::thread([this, statement] { error_ = client_.error_of(statement); });
  }
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;
  ~Background() {
    server_.connect().error_of("KILL " + std::to_string(id_));
    thread_.join();
  }
  [[nodiscard]] unsigned long id() const { return id_; }

 private:
  const Server& server_;
  Client client_;
  unsigned long id_;
  unsigned error_ = 0;
  std::thread thread_;
};

/// A TCP port of 127.0.0.1 that nobody listens on.
[[nodiscard]] int free_port();

/// A host with a server of the test's own. The data directory lies on /srv, which is never frozen,
/// unless the test puts a filesystem at /srv/mysql first.
class MysqlTest : public HostTest {
 protected:
  void SetUp() override;
  void TearDown() override;

  /// Makes and starts a server.
  Server& start_server(const ServerSpec& spec = {});
  /// Makes it alone.
  Server& add_server(const ServerSpec& spec);

  /// Configures the quiescers of these servers, `more` being options of each.
  void configure_mysql(const nlohmann::json& more = nlohmann::json::object()) const;

  /// A configuration of that entry alone.
  [[nodiscard]] static nlohmann::json entry(const Server& server, const std::string& name);

  /// Makes t_<engine> for writers in the database `test`, and gives their names.
  std::vector<std::string> make_tables(const Server& server) const;

  /// What the session holding now recorded for the database: a fact's value, or "".
  [[nodiscard]] std::string fact(const std::string& key) const;

  /// Nothing of ours is left on the server within a second: no session, no lock.
  void expect_nothing_left(const Server& server) const;

  [[nodiscard]] bool is_mariadb() const { return installed_server() == ServerKind::mariadb; }
  /// Whatever the server is: the libraries differ in how they read option files.
  [[nodiscard]] static bool uses_mariadb_library() { return mysql::client_library()->name.starts_with("libmariadb"); }

  std::vector<std::unique_ptr<Server>> servers_;
};

}  // namespace dlm_freeze::integration
