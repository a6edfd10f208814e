// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dlm_freeze/base/error.hpp"
#include "dlm_freeze/base/json.hpp"
#include "dlm_freeze/quiesce/options.hpp"
#include "dlm_freeze/quiesce/quiescer.hpp"

namespace dlm_freeze {

/// One entry of the configuration's `quiescers`, or one that was detected. The options were checked against the
/// type's specification.
struct QuiescerConfig {
  std::string type;
  std::string name;      ///< For people; the type when the configuration gives none.
  bool required = true;  ///< An absent one is an error. False for detected ones.
  Json options = Json::Object();
  bool may_be_left_out = false;  ///< One that cannot be quiesced is a WARN, no error: see `undiscovered`.
};

/// A kind of database. All members are constants of the program or module that defines it.
struct QuiescerType {
  std::string_view name;
  std::string_view description;
  std::vector<OptionSpec> options;  ///< Those of its OptionTable.

  /// Makes a quiescer without touching the database. Errors: a mistake in the options that their specification cannot
  /// express. Called by make_quiescer alone.
  Result<std::unique_ptr<Quiescer>> (*create)(const QuiescerConfig& config);

  /// The databases of this kind that are on the host, by their standard sockets and commands. Null: never detected.
  std::vector<QuiescerConfig> (*detect)();

  /// Those that run in mount namespaces of their own, as in containers; what cannot be told of them is put into
  /// `problems`. Null: never looked for.
  std::vector<QuiescerConfig> (*detect_foreign)(std::vector<std::string>& problems) = nullptr;
};

/// What was found in mount namespaces of their own.
struct ForeignDatabases {
  std::vector<QuiescerConfig> configs;
  std::vector<std::string> problems;  ///< Why there may be more that nobody quiesces.
};

/// The quiescer of an entry, for all who run its stages. Its errors and notes begin with its name.
[[nodiscard]] Result<std::unique_ptr<Quiescer>> make_quiescer(const QuiescerType& type, const QuiescerConfig& config);

/// An error or note of the quiescer called `name`, without the name.
[[nodiscard]] std::string without_name(std::string_view said, std::string_view name);

/// A type that lives in a loadable module, so that the program itself does not need its client library.
struct ModuleType {
  std::string_view name;
  std::vector<std::string_view> signs;  ///< Globs, at least one of which matches where such a database runs.
  /// In a directory that everybody may write to, a sign counts only if it belongs to root or one of these accounts.
  std::vector<std::string> accounts{};
  std::vector<std::string_view> programs{};  ///< The names of its servers' executables.
};

/// All types of quiescers.
class QuiescerRegistry {
 public:
  /// `builtin` must outlive the registry. Modules are the files `quiesce-<name>.so` in `module_directory`.
  QuiescerRegistry(std::vector<const QuiescerType*> builtin, std::vector<ModuleType> modules,
                   std::string module_directory);

  /// The type of that name; loads its module. A module that is not among `modules` is found by its name too, if that
  /// consists of lower-case letters, digits, '_' and '-', and the file is root's (check_trusted). Errors: there is
  /// none (of kind `configuration`), or its module is not installed, does not fit or could be changed by others.
  [[nodiscard]] Result<const QuiescerType*> find(std::string_view name);

  /// All databases found on this host. Errors: a sign of a database is there, but its module is not.
  [[nodiscard]] Result<std::vector<QuiescerConfig>> detect();

  /// The same for servers in mount namespaces of their own. No error: whoever runs a container decides what is in it.
  [[nodiscard]] ForeignDatabases detect_foreign();

  /// Names of all types, installed or not.
  [[nodiscard]] std::vector<std::string_view> names() const;

 private:
  [[nodiscard]] std::string module_path(std::string_view name) const;
  [[nodiscard]] Result<const QuiescerType*> load(std::string_view name);

  std::vector<const QuiescerType*> types_;
  std::vector<ModuleType> modules_;
  std::string module_directory_;
};

/// What a module defines, as a C function of the name kQuiescerModuleSymbol. A module is built with the program:
/// `interface` must be equal.
struct QuiescerModule {
  std::string_view interface;
  const QuiescerType* type;
};
inline constexpr std::string_view kQuiescerInterface = "dlm-freeze-quiescer-5";
inline constexpr const char* kQuiescerModuleSymbol = "dlm_freeze_quiescer_module";
using QuiescerModuleFunction = const QuiescerModule* (*)();

/// Checks `options` (of the entry `where`, for messages) against what the type understands.
[[nodiscard]] Result<void> check_options(const QuiescerType& type, const Json& options, std::string_view where);

/// The types in this program, and those in modules.
[[nodiscard]] std::vector<const QuiescerType*> builtin_quiescer_types();
[[nodiscard]] std::vector<ModuleType> module_quiescer_types();

}  // namespace dlm_freeze
