// SPDX-License-Identifier: Apache-2.0
#include "quiesce/acting_as.hpp"

#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <exception>

namespace dlm_freeze {
namespace {

constexpr uid_t kUnchanged = static_cast<uid_t>(-1);

bool set_effective_user(uid_t uid) { return ::syscall(SYS_setresuid, kUnchanged, uid, kUnchanged) == 0; }
bool set_effective_group(gid_t gid) { return ::syscall(SYS_setresgid, kUnchanged, gid, kUnchanged) == 0; }

/// Gives the thread one capability back that it lost by its change of user. The watchdog has locked all of its memory,
/// also what it is going to allocate, and without this one the kernel counts that against RLIMIT_MEMLOCK: the next
/// malloc fails. (The whole permitted set returns to effect with the user root.)
bool keep_memory_lockable() {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> data{};
  if (::syscall(SYS_capget, &header, data.data()) != 0) return false;
  data[0].effective |= data[0].permitted & (1U << CAP_IPC_LOCK);
  return ::syscall(SYS_capset, &header, data.data()) == 0;
}

}  // namespace

Result<ActingAs> ActingAs::begin(const std::optional<Account>& account) {
  if (!account || account->uid == 0 || ::geteuid() != 0) return ActingAs(false);
  if (!set_effective_group(account->gid)) {
    return system_failure("cannot act as group " + std::to_string(account->gid), errno);
  }
  if (!set_effective_user(account->uid)) {
    const int error = errno;
    if (!set_effective_group(0)) std::terminate();
    return system_failure("cannot act as user " + std::to_string(account->uid), error);
  }
  ActingAs acting(true);
  if (!keep_memory_lockable()) return system_failure("cannot keep CAP_IPC_LOCK", errno);
  return acting;
}

ActingAs::~ActingAs() {
  if (!active_) return;
  if (!set_effective_user(0) || !set_effective_group(0)) std::terminate();
}

}  // namespace dlm_freeze
