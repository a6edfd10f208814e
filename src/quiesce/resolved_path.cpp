// SPDX-License-Identifier: Apache-2.0
#include "quiesce/resolved_path.hpp"

#include <sys/stat.h>

#include <filesystem>
#include <system_error>
#include <utility>

namespace dlm_freeze {

std::string resolved_path(const std::string& path) {
  std::error_code error;
  const auto canonical = std::filesystem::weakly_canonical(path, error);
  std::string text = error ? path : canonical.string();
  if (text.size() > 1 && text.ends_with('/')) text.pop_back();
  return text;
}

Result<std::string> existing_path(const std::string& path) {
  std::error_code error;
  const auto canonical = std::filesystem::canonical(path, error);
  if (error) return system_failure("cannot look at " + path, error.value());
  return canonical.string();
}

std::vector<std::string> mounts_below(const std::string& directory) {
  namespace fs = std::filesystem;
  std::vector<std::string> found;
  struct stat outer {};
  if (::stat(directory.c_str(), &outer) != 0) return found;
  std::error_code error;
  for (fs::directory_iterator entry(directory, error), end; !error && entry != end; entry.increment(error)) {
    std::error_code ignored;
    struct stat inner {};
    if (entry->is_symlink(ignored) || !entry->is_directory(ignored)) continue;
    if (::stat(entry->path().c_str(), &inner) != 0) continue;
    if (inner.st_dev != outer.st_dev) found.push_back(entry->path());
  }
  return found;
}

}  // namespace dlm_freeze
