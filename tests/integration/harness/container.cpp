// SPDX-License-Identifier: Apache-2.0
#include "container.hpp"

#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <stdexcept>

#include "dlm_freeze/base/unique_fd.hpp"
#include "system.hpp"

namespace dlm_freeze::integration {
namespace {

void mount_own(const ContainerSpec& spec) {
  bool all = ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
             ::mount("none", spec.own_directory.c_str(), "tmpfs", 0, "mode=1777") == 0;
  for (const ContainerVolume& one : spec.volumes)
    all = all && ::mount(one.device.c_str(), one.mount_point.c_str(), one.type.c_str(), 0, "") == 0;
  if (!all) ::_exit(126);
}

/// What the new process does before its job. `channel`: its user namespace is there; then, its ids are mapped.
void enter(const ContainerSpec& spec, int channel) {
  char byte = 'x';
  const bool mounts_first = !spec.user_namespace || spec.host_owns_mounts;
  if (mounts_first) mount_own(spec);
  if (spec.host_owns_mounts && ::unshare(CLONE_NEWUSER) != 0) ::_exit(125);
  if (::write(channel, &byte, 1) != 1 || ::read(channel, &byte, 1) != 1) ::_exit(125);
  if (spec.user_namespace && (::setgid(0) != 0 || ::setuid(0) != 0)) ::_exit(125);
  if (!mounts_first) mount_own(spec);
}

}  // namespace

pid_t fork_into(const ContainerSpec& spec, const std::function<void()>& job) {
  std::array<int, 2> ends{};
  check(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), "socketpair");
  const bool is_born_apart = spec.user_namespace && !spec.host_owns_mounts;
  const unsigned long flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | (spec.network_namespace ? CLONE_NEWNET : 0) |
                              (is_born_apart ? CLONE_NEWUSER : 0) | SIGCHLD;
  const auto child = static_cast<pid_t>(::syscall(SYS_clone, flags, 0, 0, 0, 0));
  check(child, "clone");
  if (child == 0) {
    ::close(ends[0]);
    enter(spec, ends[1]);
    job();
    ::_exit(127);
  }
  const UniqueFd channel(ends[0]);
  ::close(ends[1]);
  char byte = 0;
  if (::read(channel.get(), &byte, 1) != 1) throw std::runtime_error("no container");
  if (spec.user_namespace) {
    const std::string map = "0 " + std::to_string(ContainerSpec::kFirstId) + " 65536";
    for (const char* name : {"uid_map", "gid_map"})
      run_tool({"sh", "-c", "echo '" + map + "' > /proc/" + std::to_string(child) + "/" + name});
  }
  check(static_cast<int>(::send(channel.get(), "x", 1, MSG_NOSIGNAL)), "a container");
  return child;
}

void die_with_test() { ::prctl(PR_SET_PDEATHSIG, SIGKILL); }

}  // namespace dlm_freeze::integration
