// SPDX-License-Identifier: Apache-2.0
#include "commands/verify/extra_checks.hpp"

#include <utility>

#include "dlm_freeze/base/files.hpp"
#include "dlm_freeze/base/json.hpp"

namespace dlm_freeze {
namespace {

Failure wrong(const Json& json, const std::string& what) {
  return failure("line " + std::to_string(json.line()) + ": " + what, ErrorKind::usage);
}

Result<void> read_text(const Json& json, const std::string& key, std::string& target) {
  if (json.as_string() == nullptr) return wrong(json, key + " must be a text");
  target = *json.as_string();
  return {};
}

Result<void> read_texts(const Json& json, const std::string& key, std::vector<std::string>& target) {
  if (json.as_array() == nullptr) return wrong(json, key + " must be a list of texts");
  for (const Json& one : *json.as_array()) {
    if (auto read = read_text(one, key, target.emplace_back()); !read) return read;
  }
  return {};
}

Result<Canary> read_canary(const Json& json) {
  if (json.as_object() == nullptr) return wrong(json, "a canary must be an object");
  Canary canary;
  for (const auto& [key, value] : *json.as_object()) {
    std::string* target = key == "statement"  ? &canary.statement
                          : key == "answer"   ? &canary.answer
                          : key == "database" ? &canary.database
                                              : nullptr;
    if (target == nullptr) return wrong(value, "unknown key '" + key + "'");
    if (auto read = read_text(value, key, *target); !read) return tl::unexpected(read.error());
  }
  if (canary.statement.empty()) return wrong(json, "a canary needs a statement");
  return canary;
}

Result<ExtraChecks> read_database(const std::string& name, const Json& json) {
  if (json.as_object() == nullptr) return wrong(json, "'" + name + "' must be an object");
  ExtraChecks checks;
  checks.name = name;
  for (const auto& [key, value] : *json.as_object()) {
    Result<void> read;
    if (key == "server") {
      read = read_text(value, key, checks.server);
    } else if (key == "user") {
      read = read_text(value, key, checks.user);
    } else if (key == "options") {
      read = read_texts(value, key, checks.options);
    } else if (key == "hook") {
      read = read_texts(value, key, checks.hook);
    } else if (key == "canaries" && value.as_array() != nullptr) {
      for (const Json& one : *value.as_array()) {
        auto canary = read_canary(one);
        if (!canary) return tl::unexpected(canary.error());
        checks.canaries.push_back(std::move(*canary));
      }
    } else {
      return wrong(value, key == "canaries" ? "canaries must be a list" : "unknown key '" + key + "'");
    }
    if (!read) return tl::unexpected(read.error());
  }
  for (const std::string& path : {checks.server, checks.hook.empty() ? std::string() : checks.hook.front()}) {
    if (!path.empty() && !path.starts_with('/')) return wrong(json, "'" + path + "' is no absolute path");
  }
  return checks;
}

}  // namespace

Result<std::vector<ExtraChecks>> parse_extra_checks(const std::string& text) {
  const auto json = Json::parse(text);
  if (!json) return tl::unexpected(json.error());
  const Json* databases = json->find("databases");
  if (databases == nullptr || databases->as_object() == nullptr || json->as_object()->size() != 1)
    return failure("it must be an object whose only key is databases", ErrorKind::usage);
  std::vector<ExtraChecks> all;
  for (const auto& [name, value] : *databases->as_object()) {
    auto one = read_database(name, value);
    if (!one) return tl::unexpected(one.error());
    all.push_back(std::move(*one));
  }
  return all;
}

Result<std::vector<ExtraChecks>> read_extra_checks(const std::string& path) {
  const auto text = read_trusted_file(path);
  if (!text) return tl::unexpected(text.error());
  auto all = parse_extra_checks(*text);
  if (!all) return tl::unexpected(all.error().with_context(path));
  return all;
}

}  // namespace dlm_freeze
