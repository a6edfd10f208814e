// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "integration/harness/host_test.hpp"
#include "postgresql/server.hpp"

namespace dlm_freeze::integration {

/// A host with the module installed beside the agent, and PostgreSQL servers of the test's own on it.
class PostgresqlTest : public HostTest {
 protected:
  void SetUp() override;
  void TearDown() override;

  /// Makes and starts a cluster.
  Server& add_server(const ClusterSpec& spec);
  /// The same without making or starting it.
  Server& add_stopped_server(const ClusterSpec& spec);

  /// Ends all servers so far.
  void remove_servers() { servers_.clear(); }

  /// A scratch filesystem that a cluster fits on.
  Filesystem& add_volume(const std::string& mount_point, const std::string& type = "ext4");

  /// Configures one quiescer with these members besides its type, as JSON text: `"mode": "backup"`.
  void configure_postgresql(const std::string& members = "") const;

  /// What the last session recorded of the quiescer `index`: its facts.
  [[nodiscard]] nlohmann::json facts(std::size_t index = 0) const;

  [[nodiscard]] const Installation& installation() const { return *installation_; }

 private:
  std::optional<Installation> installation_;
  std::vector<std::unique_ptr<Server>> servers_;
};

}  // namespace dlm_freeze::integration
