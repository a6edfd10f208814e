// SPDX-License-Identifier: Apache-2.0
// deny_new_syscalls COMMAND [ARGUMENT...]: runs the command as if on Linux 4.14: every system call that is newer is
// answered with ENOSYS, to the command and to all that it starts. What the calls that exist do is this kernel's.
//
// deny_new_syscalls --only-close-range COMMAND...: the same of close_range(2) alone.
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string_view>

#include "fakes/older_kernel.hpp"

int main(int argc, char** argv) {
  using namespace dlm_freeze::fakes;
  const bool only_one = argc > 1 && std::string_view(argv[1]) == "--only-close-range";
  char** command = argv + (only_one ? 2 : 1);
  if (argc < 2 || *command == nullptr) {
    std::fprintf(stderr, "usage: %s [--only-close-range] COMMAND [ARGUMENT...]\n", argv[0]);
    return 2;
  }
  const bool denied = only_one ? deny_calls(kCloseRange, kCloseRange, ENOSYS) : deny_new_calls();
  if (!denied) {
    std::fprintf(stderr, "%s: cannot install a filter of system calls: %s\n", argv[0], std::strerror(errno));
    return 77;
  }
  ::execvp(*command, command);
  std::fprintf(stderr, "%s: %s: %s\n", argv[0], *command, std::strerror(errno));
  return 127;
}
