// SPDX-License-Identifier: Apache-2.0
#include "quiesce/ini_file.hpp"

#include <filesystem>
#include <system_error>

#include "base/text.hpp"
#include "dlm_freeze/base/files.hpp"

namespace dlm_freeze {

std::vector<IniEntry> parse_ini(std::string_view text) {
  std::vector<IniEntry> entries;
  std::string section;
  for (const std::string_view line : split(text, '\n')) {
    const std::string_view content = trimmed(line);
    if (content.empty() || content.front() == ';' || content.front() == '#') continue;
    if (content.front() == '[' && content.back() == ']') {
      section = trimmed(content.substr(1, content.size() - 2));
      continue;
    }
    const std::size_t equals = content.find('=');
    if (equals == std::string_view::npos) continue;
    entries.push_back(
        {section, std::string(trimmed(content.substr(0, equals))), std::string(trimmed(content.substr(equals + 1)))});
  }
  return entries;
}

Result<std::vector<IniEntry>> read_ini(const std::string& path) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) return failure(path + " is not a file");
  const auto text = read_file(path);
  if (!text) return tl::unexpected(text.error());
  return parse_ini(*text);
}

}  // namespace dlm_freeze
