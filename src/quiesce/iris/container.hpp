// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "dlm_freeze/base/error.hpp"
#include "dlm_freeze/quiesce/quiescer.hpp"

namespace dlm_freeze::iris {

/// What Docker or Podman says of a container.
struct ContainerState {
  bool running = false;
  std::vector<DataLocation> volumes;  ///< Directories of the host that it can write to.
  std::vector<DataLocation> storage;  ///< Those that the container itself needs, `docker exec` among others.
};

/// For `docker container inspect --format`: what parse_container reads. A part that there is not is null.
inline constexpr std::string_view kInspectFormat =
    R"({"running":{{json .State.Running}},"paused":{{json .State.Paused}},"mounts":{{json .Mounts}},)"
    R"("graph":{{json .GraphDriver}},"hosts":{{json .HostsPath}}})";

/// Reads that document, which may have other lines before it. Errors: there is none.
[[nodiscard]] Result<ContainerState> parse_container(std::string_view output);

/// Where Docker, containerd and Podman keep what they need, as far as those directories exist.
[[nodiscard]] std::vector<DataLocation> container_storage();

}  // namespace dlm_freeze::iris
