// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "dlm_freeze/quiesce/registry.hpp"

namespace dlm_freeze::hana {

/// `hana`: an SAP HANA system of this host, by a data snapshot of its own. docs/hana.md.
[[nodiscard]] const QuiescerType& quiescer_type();

}  // namespace dlm_freeze::hana
