// SPDX-License-Identifier: Apache-2.0
#include "fs/foreign_path.hpp"

namespace dlm_freeze {

std::optional<ForeignPath> parse_foreign_path(std::string_view path) {
  constexpr std::string_view kProc = "/proc/";
  constexpr std::string_view kRoot = "/root";
  if (!path.starts_with(kProc)) return std::nullopt;
  const std::size_t end = path.find('/', kProc.size());
  if (end == std::string_view::npos) return std::nullopt;
  const std::string_view pid = path.substr(kProc.size(), end - kProc.size());
  if (pid.empty() || pid.find_first_not_of("0123456789") != std::string_view::npos) return std::nullopt;
  std::string_view rest = path.substr(end);
  if (!rest.starts_with(kRoot)) return std::nullopt;
  rest.remove_prefix(kRoot.size());
  if (!rest.empty() && rest.front() != '/') return std::nullopt;
  return ForeignPath{std::string(path.substr(0, end)) + "/mountinfo", rest.empty() ? "/" : std::string(rest)};
}

std::optional<Mount> mount_in_foreign_root(std::string_view path) {
  const auto foreign = parse_foreign_path(path);
  if (!foreign) return std::nullopt;
  const auto table = MountTable::read(foreign->table);
  const Mount* mount = table ? table->resolve(foreign->path) : nullptr;
  // A superblock that nobody has: it lies on no mount that is known.
  return mount != nullptr ? *mount : Mount();
}

}  // namespace dlm_freeze
