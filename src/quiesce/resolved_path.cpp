// SPDX-License-Identifier: Apache-2.0
#include "quiesce/resolved_path.hpp"

#include <filesystem>
#include <system_error>

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

}  // namespace dlm_freeze
