// SPDX-License-Identifier: Apache-2.0
#include "quiesce/iris/locations.hpp"

#include <algorithm>
#include <utility>

#include "base/text.hpp"
#include "quiesce/resolved_path.hpp"

namespace dlm_freeze::iris {
namespace {

constexpr const char* kDefaultCpf = "iris.cpf";

void add(std::vector<DataLocation>& locations, std::string what, std::string_view path) {
  if (path.starts_with('/')) locations.push_back({std::move(what), std::string(path), true});
}

/// The CPF lies in the directory of durable %SYS, where there is one, else in that of the installation.
std::vector<std::string> places_of_cpf(const IrisInstance& instance) {
  const std::string name = instance.cpf.empty() ? kDefaultCpf : instance.cpf;
  if (name.starts_with('/')) return {name};
  return {instance.home() + "/" + name, instance.directory + "/" + name};
}

}  // namespace

std::vector<DataLocation> locations_in_cpf(const std::vector<IniEntry>& cpf) {
  std::vector<DataLocation> locations;
  for (const IniEntry& entry : cpf) {
    // "BILLING=/usr/billing/,,1": directory, instance that it is on (none: this one), more.
    const std::vector<std::string_view> fields = split(entry.value, ',');
    const std::string_view directory = trimmed(fields[0]);
    if (entry.section == "Databases") {
      const bool is_local = fields.size() < 2 || trimmed(fields[1]).empty();
      if (is_local) add(locations, "database " + entry.key, directory);
      if (is_local && fields.size() > 5) add(locations, "streams of " + entry.key, trimmed(fields[5]));
    } else if (entry.section == "Journal" && (entry.key == "CurrentDirectory" || entry.key == "AlternateDirectory")) {
      add(locations, "journal", directory);
    } else if (entry.section == "config" && entry.key == "wijdir") {
      add(locations, "write image journal", directory);
    }
  }
  return locations;
}

std::vector<DataLocation> locations_of(const IrisInstance& instance) {
  std::vector<DataLocation> found;
  if (!instance.directory.starts_with('/')) return found;
  for (const std::string& path : places_of_cpf(instance)) {
    const auto cpf = read_ini(path);
    if (!cpf) continue;
    found = locations_in_cpf(*cpf);
    break;
  }
  add(found, "manager's directory", instance.home() + "/mgr");
  std::vector<DataLocation> locations;
  for (DataLocation& location : found) {
    location.path = resolved_path(location.path);
    const bool known = std::any_of(locations.begin(), locations.end(),
                                   [&](const DataLocation& other) { return other.path == location.path; });
    if (known) continue;
    location.what = instance.name + " " + location.what;
    locations.push_back(std::move(location));
  }
  return locations;
}

}  // namespace dlm_freeze::iris
