// SPDX-License-Identifier: Apache-2.0
#include "commands/verify/mount_info.hpp"

#include "base/text.hpp"
#include "dlm_freeze/base/files.hpp"

namespace dlm_freeze {
namespace {

Result<std::string> read_proc(const std::string& path) {
  const auto file = open_regular(-1, path, 0);
  if (!file) return tl::unexpected(file.error());
  return read_from_start(file->get());
}

}  // namespace

std::optional<MountInfo> mount_info(std::string_view text, std::string_view id) {
  for (std::string_view line : split(text, '\n')) {
    if (next_word(line) != id) continue;
    const std::size_t separator = line.find(" - ");
    if (separator == std::string_view::npos) return std::nullopt;
    line.remove_prefix(separator + 3);
    MountInfo info;
    info.type = next_word(line);
    info.source = next_word(line);
    for (const std::string_view option : split(next_word(line), ',')) info.is_read_only |= option == "ro";
    return info;
  }
  return std::nullopt;
}

std::optional<MountInfo> mount_info_of(int fd) {
  const auto about = read_proc("/proc/self/fdinfo/" + std::to_string(fd));
  const auto mounts = read_proc("/proc/self/mountinfo");
  if (!about || !mounts) return std::nullopt;
  for (const std::string_view line : split(*about, '\n')) {
    if (line.starts_with("mnt_id:")) return mount_info(*mounts, trimmed(line.substr(7)));
  }
  return std::nullopt;
}

}  // namespace dlm_freeze
