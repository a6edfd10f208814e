// SPDX-License-Identifier: Apache-2.0
#include "loop_device.hpp"

#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <utility>

#include "system.hpp"

namespace dlm_freeze::integration {
namespace {

constexpr unsigned kLoopMajor = 7;

}  // namespace

LoopDevice::LoopDevice(std::string image, std::uint64_t size) : image_(std::move(image)) {
  const bool existed = std::filesystem::exists(image_);
  const UniqueFd file(check(::open(image_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600), image_));
  if (!existed) check(::ftruncate(file.get(), static_cast<off_t>(size)), image_);
  const UniqueFd control(check(::open("/dev/loop-control", O_RDWR | O_CLOEXEC), "/dev/loop-control"));

  for (;;) {
    const int number = check(::ioctl(control.get(), LOOP_CTL_GET_FREE), "LOOP_CTL_GET_FREE");
    path_ = "/dev/loop" + std::to_string(number);
    if (::mknod(path_.c_str(), S_IFBLK | 0600, makedev(kLoopMajor, static_cast<unsigned>(number))) != 0 &&
        errno != EEXIST) {
      check(-1, path_);
    }
    device_ = UniqueFd(check(::open(path_.c_str(), O_RDWR | O_CLOEXEC), path_));
    loop_config config{};
    config.fd = static_cast<unsigned>(file.get());
    config.info.lo_flags = LO_FLAGS_AUTOCLEAR;
    if (::ioctl(device_.get(), LOOP_CONFIGURE, &config) == 0) return;
    if (errno != EBUSY) check(-1, "LOOP_CONFIGURE");  // EBUSY: somebody else was faster
  }
}

LoopDevice::~LoopDevice() {
  if (device_) ::ioctl(device_.get(), LOOP_CLR_FD);
}

bool loop_devices_available() { return ::access("/dev/loop-control", R_OK | W_OK) == 0; }

}  // namespace dlm_freeze::integration
