// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "dlm_freeze/base/deadline.hpp"
#include "fs/frozen_filesystems.hpp"

namespace dlm_freeze {

/// Thaws as a Thawer does, in a process of its own that nobody has to wait for: a caller with a thread in a call that
/// does not return could not exit. True when nothing is left to thaw; false when `deadline` came first, and then the
/// process goes on. The states are shared with it. For a process without threads.
[[nodiscard]] bool thaw_in_process(FrozenFilesystems& filesystems, const std::vector<int>& life_lines,
                                   Deadline deadline);

}  // namespace dlm_freeze
