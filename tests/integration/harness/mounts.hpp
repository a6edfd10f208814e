// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace dlm_freeze::integration {

/// One line of /proc/self/mountinfo.
struct Mount {
  int id = 0;
  std::string device;  ///< "7:0"
  std::string mount_point;
  std::string options;
  std::string type;
  std::string source;
  std::string super_options;
};

[[nodiscard]] std::vector<Mount> mounts();

/// The topmost mount at `mount_point`.
[[nodiscard]] std::optional<Mount> mount_at(const std::string& mount_point);

/// Gives this process a mount namespace of its own whose changes nobody else sees, and in which
/// nothing of a block device is mounted but `/`. /run and /srv are empty tmpfs there, so the
/// agent's default state directory is private. Gives the mounts that were left before those two.
[[nodiscard]] std::vector<Mount> enter_mount_namespace();

/// Unmounts everything that is not among `kept`, the last mounted first.
void unmount_all_but(const std::vector<Mount>& kept);

void mount_tmpfs(const std::string& mount_point, const std::string& options = "mode=0755");
void bind_mount(const std::string& from, const std::string& to);
void unmount_lazily(const std::string& mount_point);

}  // namespace dlm_freeze::integration
