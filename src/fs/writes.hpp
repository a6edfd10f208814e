// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <string>

#include "fs/block_stack.hpp"
#include "fs/mount_table.hpp"

namespace dlm_freeze {

/// Why it cannot be told what takes the writes to a mount: anything that is frozen may then hold them up.
struct UntoldWrites {
  std::string cause;   ///< What it lies on: "an overlay whose upper layer cannot be determined".
  std::string remedy;  ///< What to do about it.
};

/// Nothing where it can be told of the mount itself, or where nobody can write to it; what it lies on is not looked
/// at. `layers` are those of an overlay and the like, `stack` is that of a filesystem with a volume, if it is known.
[[nodiscard]] std::optional<UntoldWrites> untold_writes(const Mount& mount, const std::optional<Layers>& layers,
                                                        const BlockStack* stack);

/// The mount that takes what is written to `mount`: itself, or that of the upper layer of an overlay. Null where that
/// is not known. `known` as in HostFacts::layers.
[[nodiscard]] const Mount* taker_of_writes(const MountTable& table, const std::map<dev_t, Layers>& known,
                                           const Mount* mount);

}  // namespace dlm_freeze
