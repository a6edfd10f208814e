// SPDX-License-Identifier: Apache-2.0
#include "commands/verify/mysql_output.hpp"

#include <algorithm>

#include "base/text.hpp"

namespace dlm_freeze {
namespace {

bool is_mariadb(std::string_view version) { return version.find("MariaDB") != version.npos; }

}  // namespace

std::string version_told(std::string_view output) {
  const std::size_t at = output.find("Ver ");
  if (at == output.npos) return "";
  output.remove_prefix(at + 4);
  return std::string(next_word(output));
}

bool is_other_series(std::string_view left, std::string_view right) {
  return release_series(left) != release_series(right) || is_mariadb(left) != is_mariadb(right);
}

std::string_view release_series(std::string_view version) {
  const std::size_t dot = version.find('.');
  return version.substr(0, dot == version.npos ? dot : version.find_first_not_of("0123456789", dot + 1));
}

std::string definition_of(std::string_view innodb_name) {
  std::size_t end = innodb_name.size();
  for (const char* partition : {"#P#", "#p#"}) end = std::min(end, innodb_name.find(partition));
  return std::string(innodb_name.substr(0, end)) + ".frm";
}

void TableAnswers::take(std::string_view line) {
  const auto columns = split(line, '\t');
  if (columns.size() < 4) {
    if (line.starts_with("ERROR")) bad_.emplace_back(line);
    return;
  }
  const std::string table(columns[0]);
  const std::string_view type = columns[2];
  const std::string_view text = columns[3];
  if (type == "status" && text == "OK") {
    ++good_;
  } else if (type == "note" && text.find("doesn't support check") != text.npos) {
    unsupported_.push_back(table);
  } else if (type != "status" && text.find("Unknown storage engine") != text.npos) {
    if (seen_.insert(table).second) unknown_.push_back(table);
  } else if (type != "warning" && type != "note" && type != "info" && seen_.insert(table).second) {
    bad_.push_back(table + " (" + std::string(text) + ")");
  }
}

Finding TableAnswers::finding(std::size_t tables) const {
  if (!bad_.empty()) return bad(list_of(bad_, "; "));
  if (!unsupported_.empty()) return unchecked("their engines cannot check " + list_of(unsupported_));
  if (!unknown_.empty()) return unchecked("its server has no engine for " + list_of(unknown_));
  if (good_ < tables)
    return unchecked("only " + std::to_string(good_) + " of " + count_of(tables, "table") + " gave an answer");
  return {Proof::good, count_of(tables, "table")};
}

}  // namespace dlm_freeze
