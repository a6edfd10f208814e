// SPDX-License-Identifier: Apache-2.0
#include "dlm_freeze/quiesce/registry.hpp"

#include <dlfcn.h>
#include <glob.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "dlm_freeze/base/files.hpp"
#include "quiesce/foreign_server.hpp"
#include "quiesce/server_socket.hpp"

namespace dlm_freeze {
namespace {

bool is_type_name(std::string_view name) {
  return !name.empty() && name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_-") == std::string_view::npos;
}

/// A sign that there may be such a database.
struct Sign {
  std::string path;          ///< Empty: there is none.
  bool is_believed = false;  ///< False: anybody could have made it.
};

/// One that is believed, if there is any.
Sign first_sign(const ModuleType& module) {
  const std::vector<uid_t> accounts = uids_of(module.accounts);
  Sign sign;
  for (const std::string_view pattern : module.signs) {
    glob_t found{};
    const int status = ::glob(std::string(pattern).c_str(), GLOB_NOSORT, nullptr, &found);
    for (std::size_t i = 0; status == 0 && i < found.gl_pathc && !sign.is_believed; ++i) {
      const std::string path = found.gl_pathv[i];
      sign = {path, check_server_socket(path, accounts).has_value()};
    }
    ::globfree(&found);
  }
  return sign;
}

std::string joined(const std::vector<std::string_view>& words, const std::string& separator = ", ") {
  std::string text;
  for (const std::string_view word : words) text += (text.empty() ? "" : separator) + std::string(word);
  return text;
}

}  // namespace

QuiescerRegistry::QuiescerRegistry(std::vector<const QuiescerType*> builtin, std::vector<ModuleType> modules,
                                   std::string module_directory)
    : types_(std::move(builtin)), modules_(std::move(modules)), module_directory_(std::move(module_directory)) {}

std::vector<std::string_view> QuiescerRegistry::names() const {
  std::vector<std::string_view> names;
  for (const QuiescerType* type : types_) names.push_back(type->name);
  for (const ModuleType& module : modules_) {
    if (std::find(names.begin(), names.end(), module.name) == names.end()) names.push_back(module.name);
  }
  return names;
}

Result<const QuiescerType*> QuiescerRegistry::find(std::string_view name) {
  const auto known =
      std::find_if(types_.begin(), types_.end(), [&](const QuiescerType* type) { return type->name == name; });
  if (known != types_.end()) return *known;
  const bool is_module =
      std::any_of(modules_.begin(), modules_.end(), [&](const ModuleType& module) { return module.name == name; });
  if (is_module) return load(name);
  if (!is_type_name(name) || ::access(module_path(name).c_str(), F_OK) != 0) {
    return failure("there is no quiescer of type '" + std::string(name) + "'; there are: " + joined(names()),
                   ErrorKind::configuration);
  }
  // What the program's own packages bring is as trustworthy as the program; this came from elsewhere.
  if (auto trusted = check_trusted(module_path(name)); !trusted) {
    return tl::unexpected(trusted.error().with_context("the module for " + std::string(name) + " is refused"));
  }
  return load(name);
}

std::string QuiescerRegistry::module_path(std::string_view name) const {
  return module_directory_ + "/quiesce-" + std::string(name) + ".so";
}

Result<const QuiescerType*> QuiescerRegistry::load(std::string_view name) {
  const std::string path = module_path(name);
  if (::access(path.c_str(), F_OK) != 0) {
    return failure("the module for " + std::string(name) + " is not installed (" + path +
                   "): install the package dlm-freeze-" + std::string(name));
  }
  // Never closed: the objects that come from it live until the process ends.
  void* module = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (module == nullptr) return failure("cannot load " + path + ": " + ::dlerror());
  const auto function = reinterpret_cast<QuiescerModuleFunction>(::dlsym(module, kQuiescerModuleSymbol));
  if (function == nullptr || function()->interface != kQuiescerInterface) {
    return failure(path + " was built for another version of dlm-freeze: install the same version of both packages");
  }
  if (function()->type->name != name) {
    return failure(path + " holds the type '" + std::string(function()->type->name) + "': rename it accordingly");
  }
  types_.push_back(function()->type);
  return types_.back();
}

Result<std::vector<QuiescerConfig>> QuiescerRegistry::detect() {
  for (const ModuleType& module : modules_) {
    const Sign sign = first_sign(module);
    if (sign.path.empty()) continue;
    const auto type = find(module.name);
    // Or anybody could make a module be missed where there is no such database. One that is there says what it is.
    if (!type && sign.is_believed) return tl::unexpected(type.error().with_context("found " + sign.path));
  }
  std::vector<QuiescerConfig> all;
  for (const QuiescerType* type : types_) {
    if (type->detect == nullptr) continue;
    auto found = type->detect();
    std::move(found.begin(), found.end(), std::back_inserter(all));
  }
  return all;
}

ForeignDatabases QuiescerRegistry::detect_foreign() {
  ForeignDatabases found;
  for (const ModuleType& module : modules_) {
    if (module.programs.empty() || !has_servers(module.programs)) continue;
    const auto type = find(module.name);
    if (!type) {
      found.problems.push_back("a process " + joined(module.programs, " or ") +
                               " runs and is NOT quiesced: " + type.error().message);
    } else if ((*type)->detect_foreign != nullptr) {
      auto configs = (*type)->detect_foreign(found.problems);
      std::move(configs.begin(), configs.end(), std::back_inserter(found.configs));
    }
  }
  return found;
}

}  // namespace dlm_freeze
