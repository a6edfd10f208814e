// SPDX-License-Identifier: Apache-2.0
#include "cli/config_file.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <utility>

#include "dlm_freeze/base/files.hpp"

namespace dlm_freeze {
namespace {

Failure bad(const Json& value, const std::string& what, ErrorKind kind = ErrorKind::configuration) {
  return failure((value.line() > 0 ? "line " + std::to_string(value.line()) + ": " : "") + what, kind);
}

/// The same error as one of the configuration.
Failure bad(Error error) {
  error.kind = ErrorKind::configuration;
  return Failure(std::move(error));
}

/// Walks over the members of an object; a key for which there is no reader is an error.
template <typename Reader>
struct Key {
  std::string_view name;
  Reader read;
};

template <typename Target, std::size_t N>
Result<void> read_object(const Json& json, const std::string& where, Target& target,
                         const std::array<Key<Result<void> (*)(const Json&, const std::string&, Target&)>, N>& keys) {
  if (json.as_object() == nullptr) return bad(json, where + " must be an object");
  for (const auto& [name, value] : *json.as_object()) {
    const std::string path = where == "the configuration" ? name : where + "." + name;
    const auto key =
        std::find_if(keys.begin(), keys.end(), [&name = name](const auto& known) { return known.name == name; });
    if (key == keys.end()) return bad(value, path + " is not known");
    if (auto read = key->read(value, path, target); !read) return read;
  }
  return {};
}

Result<std::chrono::seconds> seconds_from(const Json& json, const std::string& where, int longest) {
  const std::int64_t* value = json.as_integer();
  if (value == nullptr || *value < 1 || *value > longest) {
    return bad(json, where + " must be a whole number of seconds from 1 to " + std::to_string(longest));
  }
  return std::chrono::seconds(*value);
}

/// A part of a second counts.
Result<BootClock::duration> stall_from(const Json& json, const std::string& where) {
  const double* fraction = std::get_if<double>(&json.value());
  const std::int64_t* whole = json.as_integer();
  const double value = fraction != nullptr ? *fraction : (whole != nullptr ? static_cast<double>(*whole) : 0);
  if (!(value >= kShortestStall && value <= kLongestTimeout)) {
    return bad(json, where + " must be a number of seconds from 0.01 to " + std::to_string(kLongestTimeout));
  }
  return std::chrono::duration_cast<BootClock::duration>(std::chrono::duration<double>(value));
}

/// One of three words.
template <typename Mode>
Result<Mode> mode_from(const Json& json, const std::string& where,
                       const std::array<std::pair<std::string_view, Mode>, 3>& modes) {
  for (const auto& [name, mode] : modes) {
    if (json.as_string() != nullptr && *json.as_string() == name) return mode;
  }
  return bad(json, where + " must be " + std::string(modes[0].first) + ", " + std::string(modes[1].first) + " or " +
                       std::string(modes[2].first));
}

using NamedLimit = std::pair<std::string_view, DirtyLimitMode>;
constexpr std::array kDirtyLimits = {NamedLimit("devices", DirtyLimitMode::devices),
                                     NamedLimit("host", DirtyLimitMode::host),
                                     NamedLimit("none", DirtyLimitMode::none)};

using NamedOthers = std::pair<std::string_view, OtherNamespaces>;
constexpr std::array kOtherNamespaces = {NamedOthers("freeze", OtherNamespaces::freeze),
                                         NamedOthers("warn", OtherNamespaces::warn),
                                         NamedOthers("ignore", OtherNamespaces::ignore)};

using NamedUndiscovered = std::pair<std::string_view, Undiscovered>;
constexpr std::array kUndiscovered = {NamedUndiscovered("ignore", Undiscovered::ignore),
                                      NamedUndiscovered("warn", Undiscovered::warn),
                                      NamedUndiscovered("fail", Undiscovered::fail)};

Result<std::vector<std::string>> paths_from(const Json& json, const std::string& where) {
  const Json::Array* array = json.as_array();
  if (array == nullptr) return bad(json, where + " must be a list of absolute paths");
  std::vector<std::string> paths;
  for (const Json& element : *array) {
    const std::string* path = element.as_string();
    if (path == nullptr || !path->starts_with('/')) return bad(json, where + " must be a list of absolute paths");
    // "/data/" means "/data", as in the mount table.
    paths.push_back(path->size() > 1 && path->ends_with('/') ? path->substr(0, path->size() - 1) : *path);
  }
  return paths;
}

Result<bool> boolean_from(const Json& json, const std::string& where) {
  if (json.as_bool() == nullptr) return bad(json, where + " must be true or false");
  return *json.as_bool();
}

template <typename Value>
Result<void> assign(Result<Value> from, auto& to) {
  if (!from) return tl::unexpected(from.error());
  to = std::move(*from);
  return {};
}

using SelectionKey = Key<Result<void> (*)(const Json&, const std::string&, Selection&)>;
constexpr std::array kSelectionKeys = {
    SelectionKey{"freeze", [](const Json& json, const std::string& where,
                              Selection& to) { return assign(boolean_from(json, where), to.freeze); }},
    SelectionKey{"include", [](const Json& json, const std::string& where,
                               Selection& to) { return assign(paths_from(json, where), to.include); }},
    SelectionKey{"exclude", [](const Json& json, const std::string& where,
                               Selection& to) { return assign(paths_from(json, where), to.exclude); }},
    SelectionKey{"protect", [](const Json& json, const std::string& where,
                               Selection& to) { return assign(paths_from(json, where), to.protect); }},
    SelectionKey{"other_namespaces",
                 [](const Json& json, const std::string& where, Selection& to) {
                   return assign(mode_from(json, where, kOtherNamespaces), to.other_namespaces);
                 }},
};

Result<QuiescerConfig> quiescer_from(const Json& json, const std::string& where, QuiescerRegistry& registry) {
  if (json.as_object() == nullptr) return bad(json, where + " must be an object");
  QuiescerConfig config;
  for (const auto& [key, value] : *json.as_object()) {
    if (key == "type" || key == "name") {
      if (value.as_string() == nullptr || value.as_string()->empty())
        return bad(value, where + "." + key + " must be a non-empty string");
      (key == "type" ? config.type : config.name) = *value.as_string();
    } else if (key == "required") {
      if (value.as_bool() == nullptr) return bad(value, where + "." + key + " must be true or false");
      config.required = *value.as_bool();
    }
  }
  if (config.type.empty()) return bad(json, where + ".type is missing");
  if (config.name.empty()) config.name = config.type;
  const auto type = registry.find(config.type);
  if (!type) return bad(json, where + ".type: " + type.error().message, type.error().kind);
  config.options = json.without({"type", "name", "required"});
  if (auto checked = check_options(**type, config.options, where); !checked) return bad(checked.error());
  return config;
}

Result<std::vector<QuiescerConfig>> quiescers_from(const Json& json, QuiescerRegistry& registry) {
  if (json.as_array() == nullptr) return bad(json, "quiescers must be a list");
  std::vector<QuiescerConfig> configs;
  for (std::size_t i = 0; i < json.as_array()->size(); ++i) {
    const std::string where = "quiescers[" + std::to_string(i) + "]";
    auto config = quiescer_from((*json.as_array())[i], where, registry);
    if (!config) return tl::unexpected(config.error());
    const bool taken = std::any_of(configs.begin(), configs.end(),
                                   [&](const QuiescerConfig& other) { return other.name == config->name; });
    if (taken)
      return bad((*json.as_array())[i], where + ".name: '" + config->name + "' is already used by another quiescer");
    configs.push_back(std::move(*config));
  }
  return configs;
}

struct Reading {
  FileSettings settings;
  QuiescerRegistry* registry = nullptr;
};

using ConfigKey = Key<Result<void> (*)(const Json&, const std::string&, Reading&)>;
constexpr std::array kConfigKeys = {
    ConfigKey{"$schema",
              [](const Json& /*json*/, const std::string& /*where*/, Reading& /*to*/) -> Result<void> { return {}; }},
    ConfigKey{"auto_thaw_seconds",
              [](const Json& json, const std::string& where, Reading& to) {
                return assign(seconds_from(json, where, kLongestAutoThaw), to.settings.auto_thaw);
              }},
    ConfigKey{"timeout_seconds",
              [](const Json& json, const std::string& where, Reading& to) {
                return assign(seconds_from(json, where, kLongestTimeout), to.settings.timeout);
              }},
    ConfigKey{"max_stall_seconds", [](const Json& json, const std::string& where,
                                      Reading& to) { return assign(stall_from(json, where), to.settings.max_stall); }},
    ConfigKey{"dirty_limit",
              [](const Json& json, const std::string& where, Reading& to) {
                return assign(mode_from(json, where, kDirtyLimits), to.settings.dirty_limit);
              }},
    ConfigKey{"undiscovered",
              [](const Json& json, const std::string& where, Reading& to) {
                return assign(mode_from(json, where, kUndiscovered), to.settings.undiscovered);
              }},
    ConfigKey{"metrics_file",
              [](const Json& json, const std::string& where, Reading& to) -> Result<void> {
                const std::string* path = json.as_string();
                if (path == nullptr || !path->starts_with('/') || path->ends_with('/'))
                  return bad(json, where + " must be the absolute path of a file");
                to.settings.metrics_file = *path;
                return {};
              }},
    ConfigKey{"manifest", [](const Json& json, const std::string& where,
                             Reading& to) { return assign(boolean_from(json, where), to.settings.manifest); }},
    ConfigKey{"filesystems",
              [](const Json& json, const std::string& where, Reading& to) {
                return read_object(json, where, to.settings.filesystems, kSelectionKeys);
              }},
    ConfigKey{"quiescers",
              [](const Json& json, const std::string& /*where*/, Reading& to) {
                return assign(quiescers_from(json, *to.registry), to.settings.quiescers);
              }},
};

/// Whether there is no file. A dangling symbolic link, as the file or a directory on its way, does not count: a
/// configuration was meant to be there.
bool is_absent(std::string path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) == 0 || errno != ENOENT) return false;
  while (::lstat(path.c_str(), &info) != 0) {
    if (errno != ENOENT) return false;
    const std::size_t slash = path.rfind('/');
    if (slash == std::string::npos || slash == 0) return true;
    path.erase(slash);
  }
  return !S_ISLNK(info.st_mode);
}

/// The first string that holds a NUL, which would end it wherever the system is given it; null when there is none.
const Json* string_with_nul(const Json& json) {
  if (const std::string* text = json.as_string()) return text->find('\0') != std::string::npos ? &json : nullptr;
  if (const Json::Array* array = json.as_array()) {
    for (const Json& element : *array) {
      if (const Json* found = string_with_nul(element)) return found;
    }
  }
  if (const Json::Object* object = json.as_object()) {
    for (const auto& [key, value] : *object) {
      if (const Json* found = string_with_nul(value)) return found;
    }
  }
  return nullptr;
}

/// FNV-1a of 64 bits: to tell configurations apart, not to keep anybody from making two that look the same.
std::string hash_of(std::string_view text) {
  constexpr std::uint64_t kBasis = 14695981039346656037U;
  constexpr std::uint64_t kPrime = 1099511628211U;
  std::uint64_t hash = kBasis;
  for (const char byte : text) hash = (hash ^ static_cast<unsigned char>(byte)) * kPrime;
  std::array<char, 17> digits{};
  std::snprintf(digits.data(), digits.size(), "%016" PRIx64, hash);
  return digits.data();
}

}  // namespace

Result<FileSettings> parse_config(std::string_view text, QuiescerRegistry& registry) {
  const auto json = Json::parse(text);
  if (!json) return bad(json.error());
  if (const Json* found = string_with_nul(*json)) return bad(*found, "a string must not hold a NUL character");
  Reading reading{{}, &registry};
  if (auto read = read_object(*json, "the configuration", reading, kConfigKeys); !read)
    return tl::unexpected(read.error());
  return std::move(reading.settings);
}

Result<FileSettings> read_config(const std::string& path, bool may_be_absent, QuiescerRegistry& registry) {
  if (may_be_absent && is_absent(path)) {
    FileSettings defaults;
    defaults.hash = hash_of("");
    return defaults;
  }
  const auto text = read_trusted_file(path);
  if (!text) return bad(text.error().with_context("the configuration is refused"));
  auto settings = parse_config(*text, registry);
  if (!settings) return tl::unexpected(settings.error().with_context(path));
  settings->hash = hash_of(*text);
  return settings;
}

}  // namespace dlm_freeze
