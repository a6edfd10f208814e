// SPDX-License-Identifier: Apache-2.0
#include "fakes/no_freezing.hpp"

#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace dlm_freeze::fakes {
namespace {

bool deny_freezing() {
  constexpr std::uint32_t kCall = offsetof(seccomp_data, nr);
  constexpr std::uint32_t kRequest = offsetof(seccomp_data, args[1]);  // Its low half: little-endian.
  constexpr std::uint8_t kToDeny = 1;
  std::array<sock_filter, 7> program = {{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kCall),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 4),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kRequest),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(FIFREEZE), kToDeny, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(FITHAW), 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  }};
  const sock_fprog filter = {program.size(), program.data()};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return false;
  if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0) return false;
  // Without the filter this would be EBADF.
  return ::ioctl(-1, FIFREEZE, 0) == -1 && errno == EPERM;
}

[[maybe_unused]] const bool kDenied = [] {
  if (deny_freezing()) return true;
  std::fputs("FIFREEZE cannot be switched off for this test: it does not run\n", stderr);
  std::abort();
}();

}  // namespace
}  // namespace dlm_freeze::fakes
