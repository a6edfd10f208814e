// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "dlm_freeze/base/unique_fd.hpp"
#include "fs/expedited_rcu.hpp"
#include "fs/frozen_filesystems.hpp"
#include "session/plan.hpp"

namespace dlm_freeze {

/// The freezer process: does on `channel` what pre-script asks for, and ends with the first freeze or with the end of
/// file. Of `life_lines`, one for each filesystem, each is held open until the thread that freezes the filesystem has
/// ended; `lock` until all of them have. `rcu` is expedited while it freezes. Before, it writes the manifests of
/// `plan`.
[[noreturn]] void run_freezer(FrozenFilesystems& filesystems, ExpeditedRcu& rcu, const UniqueFd& channel,
                              const std::vector<UniqueFd>& life_lines, const UniqueFd& lock, const SessionPlan& plan);

}  // namespace dlm_freeze
