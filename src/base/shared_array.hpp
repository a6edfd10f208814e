// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/mman.h>

#include <cerrno>
#include <cstddef>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

#include "dlm_freeze/base/error.hpp"

namespace dlm_freeze {

/// `size` value-initialised objects in anonymous memory that stays shared with the processes forked later. There is
/// no file behind it, so nobody can cut it short under a living process. The owner unmaps it for itself only.
template <typename T>
class SharedArray {
  static_assert(std::is_trivially_destructible_v<T>);

 public:
  [[nodiscard]] static Result<SharedArray> create(std::size_t size) {
    const std::size_t bytes = sizeof(T) * (size > 0 ? size : 1);
    void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return system_failure("cannot get shared memory", errno);
    T* objects = static_cast<T*>(memory);
    std::uninitialized_value_construct_n(objects, size);
    return SharedArray(objects, size, bytes);
  }

  SharedArray(SharedArray&& other) noexcept
      : objects_(std::exchange(other.objects_, nullptr)), size_(other.size_), bytes_(other.bytes_) {}
  SharedArray& operator=(SharedArray&& other) noexcept {
    std::swap(objects_, other.objects_);
    std::swap(size_, other.size_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  SharedArray(const SharedArray&) = delete;
  SharedArray& operator=(const SharedArray&) = delete;
  ~SharedArray() {
    if (objects_ != nullptr) ::munmap(objects_, bytes_);
  }

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] T& operator[](std::size_t i) const noexcept { return objects_[i]; }

 private:
  SharedArray(T* objects, std::size_t size, std::size_t bytes) noexcept
      : objects_(objects), size_(size), bytes_(bytes) {}

  T* objects_ = nullptr;
  std::size_t size_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace dlm_freeze
