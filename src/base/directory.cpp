// SPDX-License-Identifier: Apache-2.0
#include "base/directory.hpp"

#include <algorithm>
#include <filesystem>
#include <system_error>

namespace dlm_freeze {

std::vector<std::string> names_in(const std::string& directory) {
  std::vector<std::string> names;
  std::error_code error;
  for (std::filesystem::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    names.push_back(it->path().filename());
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace dlm_freeze
