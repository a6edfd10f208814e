// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "dlm_freeze/base/unique_fd.hpp"
#include "loop_device.hpp"

namespace dlm_freeze::integration {

/// What to make: a new filesystem on a loop device, and where to mount it.
struct FilesystemSpec {
  std::string type;         ///< ext4, xfs or btrfs
  std::string mount_point;  ///< Made if it is not there.
  unsigned long flags = 0;  ///< MS_RDONLY, MS_NOATIME…
  std::string options = {};
  std::string image_directory = "/srv/images";
  std::uint64_t size = 0;  ///< In bytes; 0: not much above the least that mkfs accepts.
  std::string node = {};   ///< Another node for its device, to be made and mounted by. Empty: the device's own.
};

/// A scratch filesystem, mounted. It is unmounted by the end of the test's mount namespace, not by
/// this object.
class Filesystem {
 public:
  explicit Filesystem(const FilesystemSpec& spec);

  [[nodiscard]] const std::string& mount_point() const { return mount_point_; }
  [[nodiscard]] const std::string& device() const { return loop_.path(); }
  [[nodiscard]] const std::string& image() const { return loop_.image(); }

  /// Its root directory; works as well when the mount point is hidden or gone.
  [[nodiscard]] int directory() const { return directory_.get(); }
  void close_directory() { directory_.reset(); }

  /// Mounts it once more.
  void mount_also(const std::string& mount_point, const std::string& options = {}) const;

  /// syncfs, so that there is nothing left to write.
  void sync() const;

  // FIFREEZE and FITHAW as some other program would do them. `thaw` gives false when it was not
  // frozen.
  void freeze() const;
  bool thaw() const;

 private:
  std::string type_;
  std::string mount_point_;
  LoopDevice loop_;
  UniqueFd directory_;
};

}  // namespace dlm_freeze::integration
