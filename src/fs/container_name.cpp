// SPDX-License-Identifier: Apache-2.0
#include "fs/container_name.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>

#include "base/text.hpp"

namespace dlm_freeze {
namespace {

/// The names of containers of Docker, Podman, containerd and CRI-O: 64 hexadecimal digits, of which their tools show
/// the first twelve.
std::optional<std::string> short_id(std::string_view text) {
  constexpr std::size_t kLength = 64;
  constexpr std::size_t kShown = 12;
  const bool is_id = text.size() == kLength && std::all_of(text.begin(), text.end(), [](char digit) {
                       return std::isxdigit(static_cast<unsigned char>(digit)) != 0;
                     });
  return is_id ? std::optional(std::string(text.substr(0, kShown))) : std::nullopt;
}

bool remove_prefix(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

/// Undoes systemd's escapes in the name of a unit: \x2d is a dash (systemd.unit(5)).
std::string without_escapes(std::string_view name) {
  constexpr std::string_view kDash = "\\x2d";
  std::string plain(name);
  for (std::size_t at = plain.find(kDash); at != std::string::npos; at = plain.find(kDash, at)) {
    plain.replace(at, kDash.size(), "-");
  }
  return plain;
}

/// What one directory of a path says; `parent` is the one above it.
std::string container_at(std::string_view directory, std::string_view parent, bool in_pod) {
  std::string_view name = directory;
  const bool is_scope = name.ends_with(".scope");
  if (is_scope) name.remove_suffix(std::string_view(".scope").size());
  const auto named = [&](std::string_view runtime, std::string_view id) {
    const auto digits = short_id(id);
    return digits ? std::string(runtime) + " container " + *digits : std::string();
  };
  struct Runtime {
    std::string_view prefix;
    std::string_view name;
  };
  constexpr std::array<Runtime, 5> kRuntimes = {{{"docker-", "docker"},
                                                 {"libpod-", "podman"},
                                                 {"cri-containerd-", "containerd"},
                                                 {"crio-", "CRI-O"},
                                                 {"nerdctl-", "containerd"}}};
  for (const Runtime& runtime : kRuntimes) {
    std::string_view id = name;
    if (remove_prefix(id, runtime.prefix)) return named(runtime.name, id);
  }
  if (parent == "docker") return named("docker", name);
  if (in_pod) return named("pod", name);
  if (remove_prefix(name, "lxc.payload.") || (parent == "lxc" && !name.empty()))
    return "LXC container " + std::string(name);
  if (is_scope && remove_prefix(name, "machine-")) return "machine " + without_escapes(name);
  constexpr std::string_view kService = ".service";
  if (remove_prefix(name, "systemd-nspawn@") && name.ends_with(kService))
    return "machine " + without_escapes(name.substr(0, name.size() - kService.size()));
  return {};
}

std::string container_in(std::string_view path) {
  std::string_view parent;
  bool in_pod = false;
  for (const std::string_view directory : split(path, '/')) {
    std::string found = container_at(directory, parent, in_pod);
    if (!found.empty()) return found;
    in_pod = in_pod || directory.starts_with("kubepods");
    parent = directory;
  }
  return {};
}

}  // namespace

std::string container_of(std::string_view cgroups) {
  for (const std::string_view line : split(cgroups, '\n')) {  // "1:name=systemd:/docker/0123..."
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string_view::npos ? first : line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    std::string found = container_in(line.substr(second + 1));
    if (!found.empty()) return found;
  }
  return {};
}

}  // namespace dlm_freeze
