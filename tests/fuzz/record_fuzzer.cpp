// SPDX-License-Identifier: Apache-2.0
#include <string_view>

#include "dlm_freeze/base/json.hpp"
#include "fuzzer.hpp"
#include "record/session_record.hpp"

using namespace dlm_freeze;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto json = Json::parse(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!json) return 0;
  const auto record = SessionRecord::from_json(*json);
  if (!record) {
    fuzz::require(!record.error().message.empty(), "an error has a message");
    return 0;
  }
  const std::string text = record->to_json().dump();
  const auto again = Json::parse(text);
  fuzz::require(again.has_value(), "what was written is JSON");
  const auto same = SessionRecord::from_json(*again);
  fuzz::require(same.has_value(), "and a record");
  fuzz::require(same->to_json().dump() == text, "and the same one");
  fuzz::require(same->has_leftovers() == record->has_leftovers(), "that knows what is left");
  return 0;
}
