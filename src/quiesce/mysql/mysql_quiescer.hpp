// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "dlm_freeze/quiesce/registry.hpp"

namespace dlm_freeze {

/// `mysql`: quiesces MySQL, MariaDB and Percona Server with a lock that is held until release.
[[nodiscard]] const QuiescerType& mysql_quiescer_type();

}  // namespace dlm_freeze
