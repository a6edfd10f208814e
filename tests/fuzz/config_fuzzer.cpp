// SPDX-License-Identifier: Apache-2.0
#include <string_view>

#include "cli/config_file.hpp"
#include "dlm_freeze/base/json.hpp"
#include "fuzzer.hpp"

using namespace dlm_freeze;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto json = Json::parse(text);
  if (json) {
    const std::string dumped = json->dump();
    const auto again = Json::parse(dumped);
    fuzz::require(again.has_value(), "what was written can be read");
    fuzz::require(again->dump() == dumped, "and is the same");
  } else {
    fuzz::require(json.error().message.starts_with("line "), "an error names the line");
  }
  QuiescerRegistry registry(builtin_quiescer_types(), {}, "/nowhere");
  const auto settings = parse_config(text, registry);
  fuzz::require(!settings || json, "only JSON is a configuration");
  if (settings) {
    fuzz::require(
        !settings->auto_thaw || (settings->auto_thaw->count() >= 1 && settings->auto_thaw->count() <= kLongestAutoThaw),
        "auto_thaw is in its range");
    for (const std::string& path : settings->filesystems.include)
      fuzz::require(path.starts_with('/'), "paths are absolute");
  }
  return 0;
}
