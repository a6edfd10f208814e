// SPDX-License-Identifier: Apache-2.0
#include "container.hpp"

#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>

#include "dlm_freeze/base/unique_fd.hpp"
#include "system.hpp"

namespace dlm_freeze::integration {
namespace {

void enter(const ContainerSpec& spec) {
  const bool is_root = !spec.user_namespace || (::setgid(0) == 0 && ::setuid(0) == 0);
  const bool is_apart = is_root && ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                        ::mount("none", spec.own_directory.c_str(), "tmpfs", 0, "mode=1777") == 0;
  if (!is_apart) ::_exit(126);
}

}  // namespace

pid_t fork_into(const ContainerSpec& spec, const std::function<void()>& job) {
  std::array<int, 2> mapped{};
  check(::pipe2(mapped.data(), O_CLOEXEC), "pipe");
  const unsigned long flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | (spec.network_namespace ? CLONE_NEWNET : 0) |
                              (spec.user_namespace ? CLONE_NEWUSER : 0) | SIGCHLD;
  const auto child = static_cast<pid_t>(::syscall(SYS_clone, flags, 0, 0, 0, 0));
  check(child, "clone");
  if (child == 0) {
    char byte = 0;
    ::close(mapped[1]);
    if (::read(mapped[0], &byte, 1) != 1) ::_exit(125);
    enter(spec);
    job();
    ::_exit(127);
  }
  const UniqueFd read_end(mapped[0]);
  const UniqueFd write_end(mapped[1]);
  if (spec.user_namespace) {
    const std::string map = "0 " + std::to_string(ContainerSpec::kFirstId) + " 65536";
    for (const char* name : {"uid_map", "gid_map"})
      run_tool({"sh", "-c", "echo '" + map + "' > /proc/" + std::to_string(child) + "/" + name});
  }
  check(static_cast<int>(::write(write_end.get(), "x", 1)), "write");
  return child;
}

void die_with_test() { ::prctl(PR_SET_PDEATHSIG, SIGKILL); }

}  // namespace dlm_freeze::integration
