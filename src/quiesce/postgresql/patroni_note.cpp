// SPDX-License-Identifier: Apache-2.0
#include "quiesce/postgresql/patroni_note.hpp"

#include <chrono>
#include <optional>
#include <string>

#include "quiesce/postgresql/patroni.hpp"

namespace dlm_freeze::postgresql {
namespace {

using std::chrono::seconds;

constexpr auto kPatience = std::chrono::milliseconds(500);

/// Where to ask; none where nobody has to.
std::optional<HttpPlace> place_for(const Cluster& cluster) {
  const PostgresqlSettings& settings = cluster.settings();
  if (settings.patroni) return settings.patroni;
  // In a container its usual place is another one.
  if (settings.ignores_patroni || cluster.is_foreign() || !cluster.has_patroni()) return std::nullopt;
  return HttpPlace{"127.0.0.1", std::string(kPatroniPort)};
}

}  // namespace

void note_patroni(const Cluster& cluster, const Server& server, StageContext& context) {
  const auto place = place_for(cluster);
  if (!place && cluster.is_foreign() && cluster.has_patroni() && !cluster.settings().ignores_patroni) {
    context.notes.push_back({LogLevel::warn,
                             "whether Patroni, which runs it in its container, may fail it over is not known: set "
                             "patroni to its address, or to none",
                             false});
  }
  if (!place) return;
  const Patience patience{context.deadline.or_earlier(Deadline::in(kPatience)), context.cancel_fd};
  const auto node = ask_patroni(*place, patience);
  if (!node) {
    const LogLevel level = server.in_recovery ? LogLevel::info : LogLevel::warn;
    context.notes.push_back({level,
                             "whether Patroni may fail it over is not known: " + node.error().message +
                                 "; set patroni to its address, or to none",
                             false});
    return;
  }
  if (!node->system_identifier.empty() && node->system_identifier != server.system_identifier) {
    // Another cluster's Patroni at the usual place says nothing of this one.
    const LogLevel level = cluster.settings().patroni ? LogLevel::warn : LogLevel::info;
    context.notes.push_back({level, "the Patroni at " + place->text() + " runs another cluster", false});
    return;
  }
  const std::string name = "Patroni's " + node->role;
  if (!node->is_leader() || node->paused || !context.session_deadline) {
    context.notes.push_back({LogLevel::info, name + (node->paused ? ", in maintenance mode" : "")});
    return;
  }
  const auto longest = std::chrono::ceil<seconds>(context.session_deadline->remaining());
  const std::string ttl = std::to_string(node->ttl.count());
  if (longest <= node->ttl) {
    context.notes.push_back({LogLevel::info, name + ", ttl " + ttl + " s"});
    return;
  }
  context.notes.push_back({LogLevel::warn,
                           name + " may be failed over while it is frozen: the session can last " +
                               std::to_string(longest.count()) + " s, and Patroni's ttl is " + ttl +
                               " s; lower auto_thaw_seconds, raise the ttl, or take the snapshots of a replica",
                           false});
}

}  // namespace dlm_freeze::postgresql
