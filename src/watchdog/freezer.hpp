// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "dlm_freeze/base/unique_fd.hpp"
#include "dlm_freeze/fs/frozen_filesystems.hpp"

namespace dlm_freeze {

/// The freezer process: does on `channel` what pre-script asks for, and ends with the first freeze or with the end of
/// file. `life` is held open until its last thread has ended.
[[noreturn]] void run_freezer(FrozenFilesystems& filesystems, const UniqueFd& channel, const UniqueFd& life);

}  // namespace dlm_freeze
