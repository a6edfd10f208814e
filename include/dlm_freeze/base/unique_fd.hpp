// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace dlm_freeze {

/// Owns one file descriptor and closes it. Move-only; -1 means none.
class UniqueFd {
 public:
  UniqueFd() noexcept = default;
  explicit UniqueFd(int fd) noexcept : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(other.release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept;
  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;
  ~UniqueFd() { reset(); }

  [[nodiscard]] int get() const noexcept { return fd_; }
  [[nodiscard]] explicit operator bool() const noexcept { return fd_ >= 0; }

  /// Gives the descriptor up; the caller closes it.
  [[nodiscard]] int release() noexcept;

  /// Closes what is owned. Keeps errno.
  void reset() noexcept;

 private:
  int fd_ = -1;
};

}  // namespace dlm_freeze
