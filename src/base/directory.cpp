// SPDX-License-Identifier: Apache-2.0
#include "base/directory.hpp"

#include <algorithm>
#include <string_view>

namespace dlm_freeze {

std::vector<std::string> names_in(const std::string& directory) {
  std::vector<std::string> names;
  const DirectoryStream stream(::opendir(directory.c_str()));
  if (!stream) return names;
  while (const dirent* entry = ::readdir(stream.get())) {  // NOLINT(concurrency-mt-unsafe): a stream of its own.
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace dlm_freeze
