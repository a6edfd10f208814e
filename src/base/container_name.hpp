// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>

namespace dlm_freeze {

/// The container that a process is in, as the path of its cgroup tells. Runtimes choose that path; a process of the
/// container that may make cgroups can only add to its end.
struct ContainerName {
  std::string runtime;  ///< "docker", "podman", "containerd", "cri-o", "lxc", "systemd-nspawn"; "container" where only
                        ///< its id is known.
  std::string id;       ///< 64 hexadecimal digits; of LXC and systemd-nspawn the machine's name.
  std::string pod;      ///< The pod's UID where Kubernetes runs it, else empty.
  std::string group{};  ///< The path of its cgroup, which any user of the host may end as he likes below his own.
  std::string
      controllers{};  ///< Of the hierarchy which that is a path in, as /proc/PID/cgroup has them; empty: version 2.

  /// The id for a person: its first 12 digits, or the whole name.
  [[nodiscard]] std::string_view short_id() const;

  /// "docker container 3f2a1b2c3d4e", "pod container 3f2a1b2c3d4e", "LXC container web", "machine web"
  [[nodiscard]] std::string text() const;

  /// Whether `wanted` names it: the id or 12 of its digits or more, a machine's name, or the pod's UID.
  [[nodiscard]] bool is_called(std::string_view wanted) const;
};

/// Reads the text of a /proc/PID/cgroup (cgroups(7)); nothing for a process that is in no container. Of containers in
/// one another it is the outermost, whose name nobody inside has a say in.
[[nodiscard]] std::optional<ContainerName> parse_container_name(std::string_view cgroups);

/// The same for a process of the /proc that is mounted at `proc`.
[[nodiscard]] std::optional<ContainerName> container_of(pid_t pid, const std::string& proc = "/proc");

}  // namespace dlm_freeze
