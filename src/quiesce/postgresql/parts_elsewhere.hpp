// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "dlm_freeze/base/deadline.hpp"
#include "dlm_freeze/quiesce/quiescer.hpp"

namespace dlm_freeze::postgresql {

/// What of a cluster does not lie in its data directory itself.
struct PartsElsewhere {
  std::vector<DataLocation> locations;  ///< Directories, each once: "base/16384", "pg_xact".
  std::vector<std::string> problems;    ///< What could not be followed, or looked at by the deadline.
};

/// Follows the symbolic links and mounts below `data_directory` (resolved), down to single relation files. Only
/// directories are opened. Links to plain files beside PG_VERSION are configuration, and links called "log" hold
/// messages: both are left out.
[[nodiscard]] PartsElsewhere find_parts_elsewhere(const std::string& data_directory, Deadline deadline);

}  // namespace dlm_freeze::postgresql
