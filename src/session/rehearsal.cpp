// SPDX-License-Identifier: Apache-2.0
#include "session/rehearsal.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

namespace dlm_freeze {

Result<void> rehearse_end(const SessionPlan& plan, int harmless) {
  plan.freezer.send(SIGCONT);
  ::kill(::getpid(), 0);
  ::waitpid(::getpid(), nullptr, WNOHANG);  // No child of its own.
  if (plan.filesystems.size() == 0) return {};
  const int error = plan.filesystems.rehearse_thaw(harmless);
  // What is not frozen is not thawed; of what cannot be frozen, some kernels say that it has no such call.
  if (error == EINVAL || error == ENOTTY) return {};
  return system_failure(
      "FITHAW is refused here, so that nothing could be thawed; let the filter of system calls (seccomp) allow it",
      error);
}

}  // namespace dlm_freeze
