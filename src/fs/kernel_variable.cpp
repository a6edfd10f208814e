// SPDX-License-Identifier: Apache-2.0
#include "fs/kernel_variable.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "dlm_freeze/base/unique_fd.hpp"

namespace dlm_freeze {
namespace {

bool is_one_of_ours(std::string_view path) {
  constexpr std::array<std::string_view, 2> kOurs = {"/class/bdi/", "/sys/vm/dirty_"};
  return path.find("..") == std::string_view::npos && std::any_of(kOurs.begin(), kOurs.end(), [&](const auto part) {
           return path.find(part) != std::string_view::npos;
         });
}

}  // namespace

void put_back(const std::vector<KernelVariable>& variables) {
  for (const auto& [path, value] : variables) {
    if (!is_one_of_ours(path)) continue;
    const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW));
    if (fd) static_cast<void>(!::pwrite(fd.get(), value.data(), value.size(), 0));
  }
}

}  // namespace dlm_freeze
