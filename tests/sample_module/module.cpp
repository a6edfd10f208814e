// SPDX-License-Identifier: Apache-2.0
#include "dlm_freeze/quiesce/registry.hpp"
#include "sample_module/flag_file_quiescer.hpp"

extern "C" [[gnu::visibility("default")]] const dlm_freeze::QuiescerModule* dlm_freeze_quiescer_module();

const dlm_freeze::QuiescerModule* dlm_freeze_quiescer_module() {
  static const dlm_freeze::QuiescerModule kModule = {dlm_freeze::kQuiescerInterface,
                                                     &dlm_freeze::flag_file_quiescer_type()};
  return &kModule;
}
