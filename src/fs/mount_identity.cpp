// SPDX-License-Identifier: Apache-2.0
#include "fs/mount_identity.hpp"

#include <charconv>
#include <string>
#include <string_view>

#include "dlm_freeze/base/files.hpp"

namespace dlm_freeze {

Result<int> mount_id_of(int fd) {
  const std::string path = "/proc/self/fdinfo/" + std::to_string(fd);
  const auto info = read_file(path);
  if (!info) return tl::unexpected(info.error());
  constexpr std::string_view kKey = "mnt_id:";
  const std::size_t key = info->find(kKey);
  const std::size_t digits = key == std::string::npos ? key : info->find_first_not_of(" \t", key + kKey.size());
  int id = 0;
  if (digits == std::string::npos ||
      std::from_chars(info->data() + digits, info->data() + info->size(), id).ec != std::errc()) {
    return failure(path + " has no mnt_id");
  }
  return id;
}

}  // namespace dlm_freeze
