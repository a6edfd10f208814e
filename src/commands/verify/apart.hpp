// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>

#include "dlm_freeze/base/error.hpp"

namespace dlm_freeze {

/// Runs `body` in a process with namespaces of its own for mounts, processes, the network, IPC and the host name, and
/// gives the text that it returns. Whatever it mounts is seen by nobody else, nothing it starts reaches a network, and
/// all of both is gone when it returns, and also when this process ends, however it does: the kernel ends the
/// processes of a PID namespace with its first, that one when its parent dies (PR_SET_PDEATHSIG), and unmounts what is
/// mounted in a namespace that nobody is in any more. Errors: the namespaces cannot be had, or `body` died.
[[nodiscard]] Result<std::string> run_apart(const std::function<std::string()>& body);

}  // namespace dlm_freeze
