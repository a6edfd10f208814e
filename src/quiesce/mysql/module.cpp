// SPDX-License-Identifier: Apache-2.0
#include "dlm_freeze/quiesce/registry.hpp"
#include "quiesce/mysql/mysql_quiescer.hpp"

extern "C" __attribute__((visibility("default"))) const dlm_freeze::QuiescerModule* dlm_freeze_quiescer_module();

/// See kQuiescerModuleSymbol.
const dlm_freeze::QuiescerModule* dlm_freeze_quiescer_module() {
  static const dlm_freeze::QuiescerModule kModule = {dlm_freeze::kQuiescerInterface,
                                                     &dlm_freeze::mysql_quiescer_type()};
  return &kModule;
}
