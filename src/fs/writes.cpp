// SPDX-License-Identifier: Apache-2.0
#include "fs/writes.hpp"

#include "fs/filesystem_type.hpp"

namespace dlm_freeze {

std::optional<UntoldWrites> untold_writes(const Mount& mount, const std::optional<Layers>& layers,
                                          const BlockStack* stack) {
  if (mount.is_read_only()) return std::nullopt;
  const std::string& at = mount.mount_point;
  if (layers) {
    if (layers->told || !layers->upper.empty()) return std::nullopt;
    return UntoldWrites{"an overlay whose upper layer cannot be determined",
                        "mount " + at + " with absolute paths that still lead to its layers"};
  }
  if (!has_volume(mount)) {
    if (!is_fuse(mount.type)) return std::nullopt;
    return UntoldWrites{"a FUSE filesystem, whose program may write anywhere",
                        "keep it on a filesystem with a volume of its own, not on " + at};
  }
  if (stack == nullptr || !stack->writes_untold) return std::nullopt;
  return UntoldWrites{"an image whose location cannot be determined",
                      "mount what holds the image of " + at + " where it was when the image was attached"};
}

const Mount* taker_of_writes(const MountTable& table, const std::map<dev_t, Layers>& known, const Mount* mount) {
  constexpr int kMostLayers = 8;  // The kernel stacks two.
  for (int i = 0; mount != nullptr && i < kMostLayers; ++i) {
    const auto found = known.find(mount->device);
    const auto layers = found != known.end() ? std::optional(found->second) : layers_of(*mount);
    if (!layers) return mount;
    mount = layers->upper.starts_with('/') ? table.resolve(layers->upper) : nullptr;
  }
  return nullptr;
}

}  // namespace dlm_freeze
