// SPDX-License-Identifier: Apache-2.0
// What programs and files of databases say.
#include <string_view>

#include "fuzzer.hpp"
#include "quiesce/hana/client.hpp"
#include "quiesce/ini_file.hpp"
#include "quiesce/iris/instances.hpp"

using namespace dlm_freeze;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  static_cast<void>(hana::parse_answers(text));
  static_cast<void>(parse_ini(text));
  static_cast<void>(iris::is_instance_name(text));
  for (const auto& instances : {iris::parse_qlist(text), iris::parse_list(text), iris::parse_qall(text)}) {
    for (const iris::IrisInstance& instance : instances) fuzz::require(instance.name.size() <= size, "it was there");
  }
  return 0;
}
