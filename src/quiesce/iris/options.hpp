// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "dlm_freeze/base/error.hpp"
#include "dlm_freeze/quiesce/options.hpp"
#include "quiesce/iris/tools.hpp"

namespace dlm_freeze::iris {

struct IrisOptions {
  std::string instance;
  std::string log_directory;
  bool freeze_filesystems = false;
  bool set_history = false;
  IrisToolSettings tools;
};

[[nodiscard]] const OptionTable<IrisOptions>& option_table();

/// What is given, which check_options has passed, and the defaults. Errors: options that do not go together.
[[nodiscard]] Result<IrisOptions> read_options(const Json& given);

}  // namespace dlm_freeze::iris
