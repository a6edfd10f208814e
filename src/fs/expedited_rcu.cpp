// SPDX-License-Identifier: Apache-2.0
#include "fs/expedited_rcu.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <utility>

namespace dlm_freeze {
namespace {

constexpr char kNormal = '0';
constexpr char kOurs = '7';  // Any number but 0 means the same to the kernel; an administrator's is 1.

}  // namespace

ExpeditedRcu ExpeditedRcu::open(const std::string& path) {
  ExpeditedRcu rcu;
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  char found = 0;
  if (!fd || ::pread(fd.get(), &found, 1, 0) != 1 || (found != kNormal && found != kOurs)) return rcu;
  auto begun = SharedArray<std::atomic<std::uint32_t>>::create(1);
  if (!begun) return rcu;
  rcu.fd_ = std::move(fd);
  rcu.begun_.emplace(std::move(*begun));
  if (found == kOurs) rcu.write(kNormal);
  return rcu;
}

void ExpeditedRcu::begin() noexcept {
  if (!fd_) return;
  (*begun_)[0].store(1);
  write(kOurs);
}

void ExpeditedRcu::end() noexcept {
  if (fd_ && (*begun_)[0].exchange(0) != 0) write(kNormal);
}

void ExpeditedRcu::write(char value) noexcept { static_cast<void>(!::pwrite(fd_.get(), &value, 1, 0)); }

}  // namespace dlm_freeze
