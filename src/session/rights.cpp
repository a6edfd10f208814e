// SPDX-License-Identifier: Apache-2.0
#include "session/rights.hpp"

#include <linux/capability.h>

#include "base/privileges.hpp"

namespace dlm_freeze {

void give_up_rights(bool with_quiescers) noexcept {
  if (!with_quiescers) {
    // To thaw; to have memory that is locked; for a metrics_file in a directory of another account.
    keep_capabilities_for_good({CAP_SYS_ADMIN, CAP_IPC_LOCK, CAP_DAC_OVERRIDE});
    return;
  }
  use_capabilities({
      CAP_SYS_ADMIN, CAP_IPC_LOCK,            // As above.
      CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH,  // Option files, data directories, sockets.
      CAP_SYS_PTRACE,                         // Which files a server has open.
      CAP_SETUID, CAP_SETGID,                 // To act as the account of a database.
      CAP_CHOWN, CAP_FOWNER,                  // Files that are that account's.
      CAP_KILL,                               // A program that runs as it.
  });
}

void give_up_calls(bool with_quiescers) noexcept {
  // A program inherits the filter of whoever executes it.
  if (!with_quiescers) static_cast<void>(allow_calls(calls_of_keeping()));
}

}  // namespace dlm_freeze
