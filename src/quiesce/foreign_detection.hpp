// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "dlm_freeze/quiesce/registry.hpp"
#include "quiesce/foreign_server.hpp"

namespace dlm_freeze {

/// For QuiescerType::detect_foreign: an entry of `type` for each server, in a container or not, that does not listen on
/// one of `host_sockets`, by which it is found anyway; with the option `container` and what `options` gives,
/// but for empty texts.
[[nodiscard]] std::vector<QuiescerConfig> foreign_configs(
    const std::string& type, const std::vector<std::string_view>& programs,
    const std::vector<std::string>& host_sockets, const std::function<Json::Object(const ForeignServer&)>& options,
    std::vector<std::string>& problems);

}  // namespace dlm_freeze
