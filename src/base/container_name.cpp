// SPDX-License-Identifier: Apache-2.0
#include "base/container_name.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

#include "base/control_group.hpp"
#include "base/text.hpp"
#include "dlm_freeze/base/files.hpp"

namespace dlm_freeze {
namespace {

constexpr std::size_t kIdDigits = 64;
constexpr std::size_t kShortDigits = 12;

bool is_hexadecimal(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char digit) { return (digit >= '0' && digit <= '9') || (digit >= 'a' && digit <= 'f'); });
}

bool is_id(std::string_view text) { return text.size() == kIdDigits && is_hexadecimal(text); }

/// The text without `beginning` and `end`; nothing where it does not have both, or nothing is between them.
std::optional<std::string_view> between(std::string_view text, std::string_view beginning, std::string_view end = "") {
  if (text.size() <= beginning.size() + end.size() || !text.starts_with(beginning) || !text.ends_with(end)) {
    return std::nullopt;
  }
  return text.substr(beginning.size(), text.size() - beginning.size() - end.size());
}

int hexadecimal(char digit) { return digit <= '9' ? digit - '0' : std::tolower(digit) - 'a' + 10; }

/// Undoes systemd-escape(1): "\x2d" is '-'.
std::string unescaped(std::string_view text) {
  std::string plain;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const bool is_escape = text.substr(at, 2) == "\\x" && at + 3 < text.size() &&
                           std::isxdigit(static_cast<unsigned char>(text[at + 2])) != 0 &&
                           std::isxdigit(static_cast<unsigned char>(text[at + 3])) != 0;
    plain += is_escape ? static_cast<char>(hexadecimal(text[at + 2]) * 16 + hexadecimal(text[at + 3])) : text[at];
    if (is_escape) at += 3;
  }
  return plain;
}

/// What a part of a path is where a runtime names a scope or directory after the id.
std::optional<ContainerName> named_by_id(std::string_view part, std::string_view above) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 6> kPrefixes = {
      {{"docker-", "docker"},
       {"libpod-", "podman"},
       {"libpod-payload-", "podman"},  // With --cgroups=split, as Quadlet has it.
       {"cri-containerd-", "containerd"},
       {"crio-", "cri-o"},
       {"nerdctl-", "containerd"}}};
  for (const auto& [prefix, runtime] : kPrefixes) {
    for (const std::string_view end : {".scope", ""}) {
      const auto id = between(part, prefix, end);
      if (id && is_id(*id)) return ContainerName{std::string(runtime), std::string(*id), ""};
    }
  }
  // containerd with a driver of systemd's has "<slice>:<prefix>:<id>".
  const std::string_view last = part.substr(part.rfind(':') + 1);
  if (last.size() != part.size() && is_id(last)) return ContainerName{"containerd", std::string(last), ""};
  if (!is_id(part)) return std::nullopt;
  return ContainerName{above == "docker" ? "docker" : "container", std::string(part), ""};
}

/// The same for the runtimes that name one by the machine.
std::optional<ContainerName> named_by_machine(std::string_view part, std::string_view above) {
  if (const auto name = between(part, "lxc.payload.")) return ContainerName{"lxc", std::string(*name), ""};
  if (above == "lxc" && !part.empty()) return ContainerName{"lxc", std::string(part), ""};
  if (const auto name = between(part, "systemd-nspawn@", ".service"))
    return ContainerName{"systemd-nspawn", unescaped(*name), ""};
  if (above != "machine.slice") return std::nullopt;
  if (const auto name = between(part, "machine-", ".scope"))
    return ContainerName{"systemd-nspawn", unescaped(*name), ""};
  return std::nullopt;
}

/// The pod's UID in "kubepods-burstable-pod1f_2e.slice" or "pod1f-2e"; empty: it is no such part.
std::string pod_of(std::string_view part) {
  auto uid = between(part, "pod");
  if (const std::size_t at = part.rfind("-pod"); part.starts_with("kubepods") && at != std::string_view::npos)
    uid = between(part.substr(at), "-pod", ".slice");
  std::string text(uid.value_or(""));
  std::replace(text.begin(), text.end(), '_', '-');
  return text;
}

std::optional<ContainerName> named_by(std::string_view path) {
  std::string pod;
  std::string_view above;
  for (const std::string_view part : split(path, '/')) {
    if (std::string uid = pod_of(part); !uid.empty()) pod = std::move(uid);
    auto found = named_by_id(part, above);
    if (!found) found = named_by_machine(part, above);
    if (found) {
      found->pod = std::move(pod);
      found->group = path.substr(0, static_cast<std::size_t>(part.data() + part.size() - path.data()));
      return found;
    }
    above = part;
  }
  return std::nullopt;
}

}  // namespace

std::string_view ContainerName::short_id() const {
  const std::string_view whole = id;
  return is_id(whole) ? whole.substr(0, kShortDigits) : whole;
}

std::string ContainerName::text() const {
  if (runtime == "systemd-nspawn") return "machine " + id;
  const std::string what = "container " + std::string(short_id());
  if (runtime == "container") return pod.empty() ? what : "pod " + what;
  if (runtime == "cri-o") return "CRI-O " + what;
  return (runtime == "lxc" ? "LXC" : runtime) + " " + what;
}

bool ContainerName::is_called(std::string_view wanted) const {
  if (wanted.empty()) return false;
  if (wanted == id || wanted == pod) return true;
  return is_id(id) && wanted.size() >= kShortDigits && std::string_view(id).starts_with(wanted);
}

std::optional<ContainerName> parse_container_name(std::string_view cgroups) {
  for (const ControlGroup& group : parse_control_groups(cgroups)) {
    auto found = named_by(group.path);
    if (!found) continue;
    found->controllers = group.controllers;
    return found;
  }
  return std::nullopt;
}

std::optional<ContainerName> container_of(pid_t pid, const std::string& proc) {
  constexpr std::size_t kMost = std::size_t{64} << 10;
  const auto text = read_file(proc + "/" + std::to_string(pid) + "/cgroup", kMost);
  return text ? parse_container_name(*text) : std::nullopt;
}

}  // namespace dlm_freeze
