// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <dirent.h>

#include <memory>
#include <string>
#include <vector>

namespace dlm_freeze {

struct DirectoryCloser {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

/// What opendir(3) gives.
using DirectoryStream = std::unique_ptr<DIR, DirectoryCloser>;

/// The names in a directory, sorted; none when it is absent.
[[nodiscard]] std::vector<std::string> names_in(const std::string& directory);

}  // namespace dlm_freeze
