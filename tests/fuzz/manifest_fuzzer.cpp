// SPDX-License-Identifier: Apache-2.0
#include <string>

#include "fuzzer.hpp"
#include "record/manifest.hpp"

using namespace dlm_freeze;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto found = parse_manifest(text);
  if (!found) {
    fuzz::require(!found.error().message.empty(), "an error has a message");
    return 0;
  }
  fuzz::require(found->member < found->manifest.members.size(), "it is that of a member");
  const std::string again = Manifest::text_for(found->member, found->manifest.common_text());
  const auto same = parse_manifest(again);
  fuzz::require(same.has_value(), "what was written can be read");
  fuzz::require(same->manifest.common_text() == found->manifest.common_text(), "and is the same");
  return 0;
}
