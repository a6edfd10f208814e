// SPDX-License-Identifier: Apache-2.0
#include "commands/verify/loop.hpp"

#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>

#include <array>
#include <cerrno>
#include <cstdint>

namespace dlm_freeze {
namespace {

/// Another program may take the free one that the kernel has named.
constexpr int kMostAttempts = 64;

/// struct loop_config and LOOP_CONFIGURE of include/uapi/linux/loop.h, since Linux 5.8.
struct LoopConfig {
  std::uint32_t fd = 0;
  std::uint32_t block_size = 0;
  loop_info64 info{};
  std::array<std::uint64_t, 8> reserved{};
};
constexpr unsigned long kConfigure = 0x4C0A;

/// In one step where the kernel has it: killed between two, this process would leave the device behind. Gives the
/// errno.
int configure(int device, int backing) {
  LoopConfig config;
  config.fd = static_cast<std::uint32_t>(backing);
  config.info.lo_flags = LO_FLAGS_AUTOCLEAR;
  if (::ioctl(device, kConfigure, &config) == 0) return 0;
  if (errno != EINVAL && errno != ENOTTY) return errno;
  if (::ioctl(device, LOOP_SET_FD, backing) != 0) return errno;
  if (::ioctl(device, LOOP_SET_STATUS64, &config.info) == 0) return 0;
  const int why = errno;
  ::ioctl(device, LOOP_CLR_FD);
  return why;
}

}  // namespace

Result<Loop> attach_loop(int backing) {
  const UniqueFd control(::open("/dev/loop-control", O_RDWR | O_CLOEXEC));
  if (!control) return system_failure("cannot open /dev/loop-control", errno);
  const bool is_writable = (::fcntl(backing, F_GETFL) & O_ACCMODE) == O_RDWR;
  int why = EBUSY;
  for (int attempt = 0; attempt < kMostAttempts; ++attempt) {
    const int number = ::ioctl(control.get(), LOOP_CTL_GET_FREE);
    if (number < 0) return system_failure("no loop device is free", errno);
    Loop loop{UniqueFd(), "/dev/loop" + std::to_string(number)};
    loop.device = UniqueFd(::open(loop.path.c_str(), (is_writable ? O_RDWR : O_RDONLY) | O_CLOEXEC));
    if (!loop.device) return system_failure("cannot open " + loop.path, errno);
    why = configure(loop.device.get(), backing);
    if (why == 0) return loop;
    if (why != EBUSY) break;
  }
  return system_failure("cannot set up a loop device", why);
}

}  // namespace dlm_freeze
