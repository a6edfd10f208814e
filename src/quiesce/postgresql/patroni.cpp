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
constexpr int kOk = 200;

Result<Json> parse_object(std::string_view body) {
  auto json = Json::parse(body);
  if (!json || json->as_object() == nullptr) return failure("the answer is not a JSON object");
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
  if (!value) return failure("its ttl is not a number of seconds");
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

}  // namespace dlm_freeze::postgresql
