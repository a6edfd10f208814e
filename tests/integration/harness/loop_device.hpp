// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "dlm_freeze/base/unique_fd.hpp"

namespace dlm_freeze::integration {

/// A loop device on an image file. It goes away with its last user even when this process is
/// killed.
class LoopDevice {
 public:
  /// Makes the sparse file `image` of `size` bytes if there is none, and attaches it to a free loop
  /// device.
  LoopDevice(std::string image, std::uint64_t size);
  LoopDevice(LoopDevice&&) noexcept = default;
  LoopDevice& operator=(LoopDevice&&) = delete;
  LoopDevice(const LoopDevice&) = delete;
  LoopDevice& operator=(const LoopDevice&) = delete;
  ~LoopDevice();

  [[nodiscard]] const std::string& path() const { return path_; }  ///< "/dev/loop12"
  [[nodiscard]] const std::string& image() const { return image_; }

 private:
  std::string image_;
  std::string path_;
  UniqueFd device_;
};

/// Whether this host can make loop devices at all.
[[nodiscard]] bool loop_devices_available();

}  // namespace dlm_freeze::integration
