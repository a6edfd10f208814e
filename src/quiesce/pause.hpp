// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "dlm_freeze/quiesce/quiescer.hpp"

namespace dlm_freeze {

/// Waits before something is asked again. False when the stage has to be given up instead: it was told to, or its
/// deadline has come.
[[nodiscard]] bool pause_for(BootClock::duration span, const StageContext& context);

}  // namespace dlm_freeze
