// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "dlm_freeze/quiesce/registry.hpp"

namespace dlm_freeze::iris {

/// `iris`: the InterSystems IRIS instances of this host, or of a container on it. docs/iris.md.
[[nodiscard]] const QuiescerType& quiescer_type();

}  // namespace dlm_freeze::iris
