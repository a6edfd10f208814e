// SPDX-License-Identifier: Apache-2.0
#include "quiesce/foreign_detection.hpp"

#include <chrono>
#include <set>
#include <utility>

#include "base/text.hpp"

namespace dlm_freeze {
namespace {

/// For the sockets of all servers.
constexpr auto kPatience = std::chrono::milliseconds(300);

}  // namespace

std::vector<QuiescerConfig> foreign_configs(const std::string& type, const std::vector<std::string_view>& programs,
                                            const std::vector<std::string>& host_sockets,
                                            const std::function<Json::Object(const ForeignServer&)>& options,
                                            std::vector<std::string>& problems) {
  const Patience patience{Deadline::in(kPatience)};
  const ForeignServers found = find_servers(programs);
  if (found.left_out > 0) {
    problems.push_back(count_of(found.left_out, "more server") + " of " + type +
                       ": NOT quiesced, since there are too many of them; list in quiescers those that "
                       "count");
  }
  std::vector<QuiescerConfig> configs;
  std::set<std::string> names;
  for (const ForeignServer& server : found.servers) {
    if (listens_on_any(server, host_sockets, patience)) continue;
    QuiescerConfig config;
    config.type = type;
    config.name = type + " in " + server.where;
    if (!names.insert(config.name).second) config.name += ", process " + std::to_string(server.pid);
    config.required = false;
    Json::Object all{{"container", server.container}};
    for (auto& [key, value] : options(server)) {
      if (value.as_string() == nullptr || !value.as_string()->empty()) all.emplace_back(key, value);
    }
    config.options = std::move(all);
    configs.push_back(std::move(config));
  }
  return configs;
}

}  // namespace dlm_freeze
