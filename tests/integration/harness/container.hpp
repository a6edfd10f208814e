// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

namespace dlm_freeze::integration {

/// A filesystem that a container mounts for itself.
struct ContainerVolume {
  std::string device;
  std::string type;
  std::string mount_point;
};

/// What keeps a process of a test apart from its host: mount, PID, network and IPC namespaces of its own, as a runtime
/// makes them for a container.
struct ContainerSpec {
  std::string own_directory;  ///< Is a tmpfs in there: what is made in it the host does not see.
  bool network_namespace = true;
  bool user_namespace = false;  ///< Its ids 0 to 65535 are the host's from kFirstId on.
  /// With one: it was entered when everything was mounted, as systemd does for a service with PrivateUsers=, so that
  /// the mount namespace is not its own.
  bool host_owns_mounts = false;
  std::vector<ContainerVolume> volumes = {};

  static constexpr unsigned kFirstId = 100000;

  /// The id on the host of what has the id `id` in there.
  [[nodiscard]] unsigned id_on_host(unsigned id) const { return user_namespace ? kFirstId + id : id; }
};

/// Forks a process into a container, where `job` runs as its root and process 1. `job` must not return.
[[nodiscard]] pid_t fork_into(const ContainerSpec& spec, const std::function<void()>& job);

/// In such a process: it is killed when the test ends. A change of user undoes it.
void die_with_test();

}  // namespace dlm_freeze::integration
