// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/mman.h>

#include <cerrno>
#include <new>
#include <system_error>

namespace dlm_freeze::integration {

/// A value in memory that this process shares with the children it forks from now on.
template <typename T>
[[nodiscard]] T* make_shared_memory() {
  void* page = ::mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) throw std::system_error(errno, std::system_category(), "mmap");
  return new (page) T{};
}

template <typename T>
void free_shared_memory(T* value) {
  ::munmap(static_cast<void*>(value), sizeof(T));
}

}  // namespace dlm_freeze::integration
