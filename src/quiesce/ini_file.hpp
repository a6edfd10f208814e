// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "dlm_freeze/base/error.hpp"

namespace dlm_freeze {

/// A line of a file in sections: "[Journal]", then "CurrentDirectory=/iris/journal/".
struct IniEntry {
  std::string section;  ///< Without its brackets; empty before the first.
  std::string key;
  std::string value;
};

/// Reads such a text. Blanks around section, key and value are dropped; lines that begin with ';' or '#', and such
/// as are neither a section nor have a '=', are left out.
[[nodiscard]] std::vector<IniEntry> parse_ini(std::string_view text);

/// The same for a file, which has to be a regular one: whoever owns it might make it a FIFO that nobody writes to.
[[nodiscard]] Result<std::vector<IniEntry>> read_ini(const std::string& path);

}  // namespace dlm_freeze
