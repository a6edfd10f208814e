// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "dlm_freeze/quiesce/quiescer.hpp"
#include "quiesce/postgresql/http_get.hpp"

namespace dlm_freeze::postgresql {

inline constexpr std::string_view kPatroniPort = "8008";

/// What Patroni, which restarts and fails over a cluster, says of the node that it runs (its REST API, GET /patroni and
/// GET /config).
struct PatroniNode {
  std::string role;               ///< "primary" (before version 4 "master"), "standby_leader", "replica"...
  std::string system_identifier;  ///< Of its cluster; empty when it does not say.
  bool paused = false;            ///< Maintenance mode: it does not fail over by itself.
  std::chrono::seconds ttl{30};   ///< A leader that has not renewed its lock for so long loses it.

  [[nodiscard]] bool is_leader() const;
};

// What it answers. `ttl` is left as it is by the first, and is its default where /config does not have it.
[[nodiscard]] Result<PatroniNode> parse_patroni_node(std::string_view body);
[[nodiscard]] Result<std::chrono::seconds> parse_patroni_ttl(std::string_view body);

/// Asks for both. An error names the place.
[[nodiscard]] Result<PatroniNode> ask_patroni(const HttpPlace& place, const Patience& patience);

/// Whether Patroni has run the cluster in that data directory: it keeps a copy of its configuration there.
[[nodiscard]] bool has_patroni(const std::string& data_directory);

}  // namespace dlm_freeze::postgresql
