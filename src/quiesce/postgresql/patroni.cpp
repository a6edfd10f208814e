// SPDX-License-Identifier: Apache-2.0
#include "quiesce/postgresql/patroni.hpp"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <system_error>

#include "base/text.hpp"
#include "dlm_freeze/base/json.hpp"

namespace dlm_freeze::postgresql {
namespace {

using std::chrono::seconds;

constexpr const char* kConfigCopy = "/patroni.dynamic.json";
constexpr auto kPatience = std::chrono::milliseconds(500);
constexpr int kOk = 200;

Result<Json> parse_object(std::string_view body) {
  auto json = Json::parse(body);
  if (!json || json->as_object() == nullptr) return failure("the answer is no JSON object");
  return json;
}

std::string text_of(const Json& json, std::string_view key) {
  const Json* const member = json.find(key);
  const std::string* const text = member != nullptr ? member->as_string() : nullptr;
  return text != nullptr ? *text : "";
}

bool is_role(const std::string& text) {
  constexpr std::size_t kLongest = 32;
  return !text.empty() && text.size() <= kLongest && std::all_of(text.begin(), text.end(), [](char letter) {
    return (letter >= 'a' && letter <= 'z') || letter == '_';
  });
}

/// The body of an answer that is one.
Result<std::string> get(const HttpPlace& place, const std::string& path, const Patience& patience) {
  auto answer = http_get(place, path, patience);
  if (!answer) return tl::unexpected(answer.error().with_context(place.text() + path));
  if (answer->status != kOk)
    return failure(place.text() + path + ": it answers with status " + std::to_string(answer->status));
  return std::move(answer->body);
}

/// Where to ask; none where nobody has to.
std::optional<HttpPlace> place_for(const Cluster& cluster) {
  const PostgresqlSettings& settings = cluster.settings();
  if (settings.patroni) return settings.patroni;
  // In a container its usual place is another one.
  if (settings.ignores_patroni || cluster.is_foreign() || !cluster.has_patroni()) return std::nullopt;
  return HttpPlace{"127.0.0.1", std::string(kPatroniPort)};
}

}  // namespace

bool PatroniNode::is_leader() const {
  return role == "primary" || role == "master" || role == "leader" || role == "standby_leader";
}

Result<PatroniNode> parse_patroni_node(std::string_view body) {
  const auto json = parse_object(body);
  if (!json) return tl::unexpected(json.error());
  PatroniNode node;
  node.role = text_of(*json, "role");
  if (!is_role(node.role)) return failure("the answer names no role");
  node.system_identifier = text_of(*json, "database_system_identifier");
  const Json* const pause = json->find("pause");
  node.paused = pause != nullptr && pause->as_bool() != nullptr && *pause->as_bool();
  return node;
}

Result<seconds> parse_patroni_ttl(std::string_view body) {
  constexpr std::int64_t kLongest = 86400;
  const auto json = parse_object(body);
  if (!json) return tl::unexpected(json.error());
  const Json* const ttl = json->find("ttl");
  if (ttl == nullptr) return PatroniNode().ttl;
  const std::int64_t* const number = ttl->as_integer();
  const auto value = parse_decimal(number != nullptr ? std::to_string(*number) : text_of(*json, "ttl"), 1, kLongest);
  if (!value) return failure("its ttl is no number of seconds");
  return seconds(*value);
}

Result<PatroniNode> ask_patroni(const HttpPlace& place, const Patience& patience) {
  const auto about = [&](const std::string& path) { return place.text() + path; };
  const auto said = get(place, "/patroni", patience);
  if (!said) return tl::unexpected(said.error());
  auto node = parse_patroni_node(*said);
  if (!node) return tl::unexpected(node.error().with_context(about("/patroni")));
  const auto config = get(place, "/config", patience);
  if (!config) return tl::unexpected(config.error());
  const auto ttl = parse_patroni_ttl(*config);
  if (!ttl) return tl::unexpected(ttl.error().with_context(about("/config")));
  node->ttl = *ttl;
  return node;
}

bool has_patroni(const std::string& data_directory) {
  std::error_code error;
  return std::filesystem::is_regular_file(data_directory + kConfigCopy, error);
}

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
