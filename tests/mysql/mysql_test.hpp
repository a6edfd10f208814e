// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "harness/host_test.hpp"
#include "server.hpp"

namespace dlm_freeze::integration {

/// An application: inserts rows 1, 2, 3… into a table as fast as they are acknowledged.
class TableWriter {
 public:
  TableWriter(const Server& server, std::string table);
  TableWriter(const TableWriter&) = delete;
  TableWriter& operator=(const TableWriter&) = delete;
  ~TableWriter() { stop(); }

  [[nodiscard]] const std::string& table() const { return table_; }

  /// The last row that was acknowledged.
  [[nodiscard]] long acknowledged() const { return acknowledged_.load(); }

  /// The longest that one row has taken so far, the one under way included.
  [[nodiscard]] Clock::duration longest_wait() const;

  /// Ends it after the row under way.
  void stop();

 private:
  void run(Client client);

  std::string table_;
  std::atomic<long> acknowledged_{0};
  std::atomic<bool> stopping_{false};
  std::atomic<Clock::duration> longest_{};
  std::atomic<Clock::time_point> sent_{};
  std::thread thread_;
};

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

/// A host with a server of the test's own. The data directory lies on /srv, which is never frozen,
/// unless the test puts a filesystem at /srv/mysql first.
class MysqlTest : public HostTest {
 protected:
  void SetUp() override;
  void TearDown() override;

  /// Makes and starts a server.
  Server& start_server(const ServerSpec& spec = {});

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

  std::vector<std::unique_ptr<Server>> servers_;
};

}  // namespace dlm_freeze::integration
