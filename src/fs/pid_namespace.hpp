// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace dlm_freeze {

/// Whether the PID namespace of this process, and with it every process that it starts, ends when the command ends that
/// this process is a part of: process 1 is this process, or belongs to the same job (`docker run IMAGE sh -c
/// "dlm-freeze pre-script; …"`), or lives for one job only, this one, as a tini does (`docker run --init`). A job is a
/// process group in the session of process 1: what an init starts as a service has a session of its own, and what an
/// agent starts has a group. Never in the host's own namespace.
[[nodiscard]] bool ends_with_caller();

}  // namespace dlm_freeze
