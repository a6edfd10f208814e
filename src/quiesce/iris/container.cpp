// SPDX-License-Identifier: Apache-2.0
#include "quiesce/iris/container.hpp"

#include <array>
#include <utility>

#include "base/text.hpp"
#include "dlm_freeze/base/json.hpp"
#include "quiesce/resolved_path.hpp"

namespace dlm_freeze::iris {
namespace {

constexpr std::array kStorage = {"/var/lib/docker", "/var/lib/containerd", "/var/lib/containers"};

const std::string* text_at(const Json& object, std::string_view key) {
  const Json* value = object.find(key);
  return value == nullptr ? nullptr : value->as_string();
}

bool is_true(const Json& object, std::string_view key) {
  const Json* value = object.find(key);
  return value != nullptr && value->as_bool() != nullptr && *value->as_bool();
}

void add_path(std::vector<DataLocation>& locations, std::string what, const std::string* path) {
  if (path == nullptr || !path->starts_with('/')) return;
  if (auto resolved = existing_path(*path)) locations.push_back({std::move(what), std::move(*resolved), true});
}

Result<Json> last_document(std::string_view output) {
  Result<Json> found = failure("it does not answer with a JSON document");
  for (const std::string_view line : split(output, '\n')) {
    if (!trimmed(line).starts_with('{')) continue;
    auto document = Json::parse(line);
    if (document && document->as_object() != nullptr) found = std::move(*document);
  }
  return found;
}

}  // namespace

Result<ContainerState> parse_container(std::string_view output) {
  const auto document = last_document(output);
  if (!document) return tl::unexpected(document.error());
  ContainerState state;
  state.running = is_true(*document, "running") && !is_true(*document, "paused");
  if (const Json* mounts = document->find("mounts"); mounts != nullptr && mounts->as_array() != nullptr) {
    for (const Json& mount : *mounts->as_array()) {
      const std::string* destination = text_at(mount, "Destination");
      if (!is_true(mount, "RW") || destination == nullptr) continue;
      add_path(state.volumes, "volume " + *destination, text_at(mount, "Source"));
    }
  }
  if (const Json* graph = document->find("graph"); graph != nullptr) {
    if (const Json* data = graph->find("Data"); data != nullptr) {
      add_path(state.storage, "container's own files", text_at(*data, "UpperDir"));
    }
  }
  add_path(state.storage, "container's settings", text_at(*document, "hosts"));
  return state;
}

std::vector<DataLocation> container_storage() {
  std::vector<DataLocation> found;
  for (const std::string path : kStorage) add_path(found, "containers", &path);
  return found;
}

}  // namespace dlm_freeze::iris
