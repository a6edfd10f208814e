// SPDX-License-Identifier: Apache-2.0
#include "quiesce/hana/systems.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <system_error>
#include <utility>

#include "base/text.hpp"
#include "dlm_freeze/base/files.hpp"
#include "quiesce/ini_file.hpp"
#include "quiesce/resolved_path.hpp"

namespace dlm_freeze::hana {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kSidLength = 3;
constexpr std::string_view kInstancePrefix = "HDB";
/// Processes of a database that runs. Others, such as hdbrsutil, outlive a stop.
constexpr std::array<std::string_view, 2> kServers = {"hdbnameserver", "hdbindexserver"};

bool is_digit(char letter) { return letter >= '0' && letter <= '9'; }

bool is_sid(const std::string& name) {
  return name.size() == kSidLength && !is_digit(name[0]) && std::all_of(name.begin(), name.end(), [](char letter) {
           return is_digit(letter) || (letter >= 'A' && letter <= 'Z');
         });
}

std::vector<std::string> names_in(const std::string& directory) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator entry(directory, error), end; !error && entry != end; entry.increment(error))
    names.push_back(entry->path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

/// What the administrator has set for the whole system.
std::vector<IniEntry> global_ini_of(const HanaSystem& system) {
  auto read = read_ini(system.directory + "/SYS/global/hdb/custom/config/global.ini");
  return read ? std::move(*read) : std::vector<IniEntry>();
}

/// The value of a key of the section [persistence], with the variables that SAP uses there; `otherwise` without.
std::string base_path(const std::vector<IniEntry>& global_ini, std::string_view key, const HanaSystem& system,
                      const std::string& otherwise) {
  std::string path = otherwise;
  for (const IniEntry& entry : global_ini) {
    if (entry.section == "persistence" && entry.key == key) path = entry.value;
  }
  for (const auto& [variable, value] :
       {std::pair<std::string, std::string>("$(DIR_GLOBAL)", system.directory + "/SYS/global"),
        std::pair<std::string, std::string>("$(SAPSYSTEMNAME)", system.sid)}) {
    for (std::size_t at = path.find(variable); at != std::string::npos; at = path.find(variable))
      path.replace(at, variable.size(), value);
  }
  return path;
}

void add(std::vector<DataLocation>& locations, const char* what, const std::string& path, bool may_be_frozen) {
  const auto resolved = existing_path(path);
  if (!resolved) return;
  locations.push_back({what, *resolved, may_be_frozen});
  // With several hosts each volume, mnt00001, is often a filesystem of its own.
  for (const std::string& volume : mounts_below(*resolved)) locations.push_back({what, volume, may_be_frozen});
}

}  // namespace

std::string HanaSystem::administrator() const {
  std::string account = sid;
  std::transform(account.begin(), account.end(), account.begin(),
                 [](char letter) { return static_cast<char>(std::tolower(static_cast<unsigned char>(letter))); });
  return account + "adm";
}

std::vector<HanaSystem> find_hana_systems(const std::string& sap) {
  std::vector<HanaSystem> systems;
  for (const std::string& sid : names_in(sap)) {
    if (!is_sid(sid)) continue;
    for (const std::string& name : names_in(sap + "/" + sid)) {
      const std::string number = name.starts_with(kInstancePrefix) ? name.substr(kInstancePrefix.size()) : "";
      if (number.size() == 2 && is_digit(number[0]) && is_digit(number[1]))
        systems.push_back({sid, number, sap + "/" + sid});
    }
  }
  return systems;
}

bool is_running(const HanaSystem& system, const std::string& proc) {
  struct stat instance {};
  if (::stat(system.instance_directory().c_str(), &instance) != 0) return false;
  for (const std::string& pid : names_in(proc)) {
    if (!std::all_of(pid.begin(), pid.end(), is_digit)) continue;
    const std::string process = proc + "/" + pid;
    struct stat status {};
    if (::stat(process.c_str(), &status) != 0 || status.st_uid != instance.st_uid) continue;
    const auto name = read_file(process + "/comm");
    if (name && std::find(kServers.begin(), kServers.end(), trimmed(*name)) != kServers.end()) return true;
  }
  return false;
}

std::string replication_mode(const HanaSystem& system) {
  constexpr std::array<std::string_view, 3> kSecondary = {"sync", "syncmem", "async"};
  std::string wanted;
  std::string actual;
  for (const IniEntry& entry : global_ini_of(system)) {
    if (entry.section != "system_replication") continue;
    if (entry.key == "mode") wanted = entry.value;
    if (entry.key == "actual_mode") actual = entry.value;
  }
  std::string mode = actual.empty() ? wanted : actual;
  return std::find(kSecondary.begin(), kSecondary.end(), mode) != kSecondary.end() ? mode : "";
}

std::vector<DataLocation> locations_of(const HanaSystem& system, const std::string& hana) {
  const std::string global = system.directory + "/SYS/global/hdb";
  const std::vector<IniEntry> global_ini = global_ini_of(system);
  std::vector<DataLocation> locations;
  std::error_code error;
  const bool has_standard_paths = fs::exists(hana + "/data/" + system.sid, error);
  const auto otherwise = [&](const std::string& kind) {
    return has_standard_paths ? hana + "/" + kind + "/" + system.sid : global + "/" + kind;
  };
  add(locations, "data", base_path(global_ini, "basepath_datavolumes", system, otherwise("data")), true);
  add(locations, "log", base_path(global_ini, "basepath_logvolumes", system, otherwise("log")), false);
  return locations;
}

std::string find_hdbsql(const HanaSystem& system) {
  for (std::string path : {system.instance_directory() + "/exe/hdbsql", system.directory + "/hdbclient/hdbsql",
                           std::string("/usr/sap/hdbclient/hdbsql")}) {
    if (::access(path.c_str(), X_OK) == 0) return path;
  }
  return "";
}

}  // namespace dlm_freeze::hana
