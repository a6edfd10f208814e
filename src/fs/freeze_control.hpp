// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace dlm_freeze {

/// The three calls that everything else is built around. Each takes a descriptor on the filesystem and gives 0 or an
/// errno value. Any of them may block for ever.
class FreezeControl {
 public:
  FreezeControl() = default;
  FreezeControl(const FreezeControl&) = delete;
  FreezeControl& operator=(const FreezeControl&) = delete;
  virtual ~FreezeControl() = default;

  /// Writes back what is dirty.
  [[nodiscard]] virtual int sync(int fd) noexcept = 0;

  /// EBUSY: it is frozen already. EOPNOTSUPP: its driver cannot. EPERM: no CAP_SYS_ADMIN.
  [[nodiscard]] virtual int freeze(int fd) noexcept = 0;

  /// EINVAL: it is not frozen.
  [[nodiscard]] virtual int thaw(int fd) noexcept = 0;
};

/// syncfs(2), and FIFREEZE and FITHAW of ioctl(2); see fs/ioctl.c and fs/super.c of Linux.
class IoctlFreezeControl final : public FreezeControl {
 public:
  [[nodiscard]] int sync(int fd) noexcept override;
  [[nodiscard]] int freeze(int fd) noexcept override;
  [[nodiscard]] int thaw(int fd) noexcept override;
};

}  // namespace dlm_freeze
