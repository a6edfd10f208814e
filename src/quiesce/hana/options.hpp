// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "dlm_freeze/quiesce/options.hpp"

namespace dlm_freeze::hana {

struct HanaOptions {
  std::string key = "DLMFREEZE";
  std::string os_user;
  std::string database;
  std::string hdbsql;
  std::vector<std::string> hdbsql_options;
  bool freeze_log = false;
  bool close_successful = true;
};

[[nodiscard]] const OptionTable<HanaOptions>& option_table();

}  // namespace dlm_freeze::hana
