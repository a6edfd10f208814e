// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "dlm_freeze/quiesce/program.hpp"
#include "quiesce/iris/container.hpp"
#include "quiesce/iris/instances.hpp"

namespace dlm_freeze::iris {

/// Which programs reach the instances, as configured.
struct IrisToolSettings {
  std::string container;                     ///< Empty: on the host.
  std::string container_command = "docker";  ///< A name or an absolute path.
  std::string os_user;                       ///< Empty: the owner of the instance's files; in a container its own user.
  std::string iris_command;                  ///< Empty: found.
  std::string session_command;               ///< Empty: irissession beside it, else `iris session`.
};

/// Runs the tools of InterSystems IRIS, on the host or in a container.
class IrisTools {
 public:
  explicit IrisTools(IrisToolSettings settings) : settings_(std::move(settings)) {}

  /// Looks for the programs. Nothing is run. Gives what is missing; empty when all is there. Errors: a program that
  /// root would run can be changed by others.
  [[nodiscard]] Result<std::string> find();

  /// Whether the program that was found is InterSystems' own, since others may be called `iris` as well: irissession is
  /// beside it, or the registry of instances is there.
  [[nodiscard]] bool is_certain() const;

  /// Asks for the container; after `find`, and only where there is one. A container that does not exist does not run.
  /// Errors, all of kind not_ready: no answer, or none that can be read.
  [[nodiscard]] Result<ContainerState> inspect(const Patience& patience) const;

  /// All instances, by `iris qlist`, else `iris qall`, else `iris list`; none is no error. Errors, all of kind
  /// not_ready: no answer in time, or all of them fail.
  [[nodiscard]] Result<std::vector<IrisInstance>> list(const Patience& patience) const;

  /// Calls a method in the namespace %SYS of an instance, as the instance's OS user.
  [[nodiscard]] Result<ProgramResult> call(const IrisInstance& instance, const std::string& expression,
                                           const Patience& patience) const;

  /// Whom a host's instance is called as; empty: root. Errors: the owner of its files has no account, or
  /// cannot be told behind a link.
  [[nodiscard]] Result<std::string> user_of(const IrisInstance& instance) const;

  [[nodiscard]] bool in_container() const { return !settings_.container.empty(); }
  [[nodiscard]] const IrisToolSettings& settings() const { return settings_; }

 private:
  [[nodiscard]] Result<ProgramResult> run(std::vector<std::string> argv, const std::string& user,
                                          const Patience& patience) const;

  /// What to say before an instance's name to have a session with it. What there is in a container is seen only by
  /// trying one after the other.
  [[nodiscard]] std::vector<std::vector<std::string>> sessions() const;

  IrisToolSettings settings_;
  std::string container_program_;
  std::string iris_;
  std::vector<std::string> session_;  ///< The first of `sessions`.
  std::string lister_;                ///< Whom `iris` is run as on the host.
};

}  // namespace dlm_freeze::iris
