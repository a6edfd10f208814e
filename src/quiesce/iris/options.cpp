// SPDX-License-Identifier: Apache-2.0
#include "quiesce/iris/options.hpp"

#include <utility>

#include "quiesce/iris/instances.hpp"

namespace dlm_freeze::iris {
namespace {

bool is_command_word(std::string_view text) {
  return !text.starts_with('-') && text.find('/') == std::string_view::npos;
}

constexpr TextForm kInstanceName = {"a name of letters, digits, '.', '_' and '-'", "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
                                    is_instance_name};

/// Of a program that is looked for in the standard places.
constexpr TextForm kProgram = {"an absolute path, or a name", "^(/|[^/-][^/]*$)",
                               [](std::string_view text) { return text.starts_with('/') || is_command_word(text); }};

/// In a container nobody can look for it from here.
Result<void> check_command(const std::string& command, bool in_container) {
  if (command.empty() || command.starts_with('/') || (in_container && is_command_word(command))) return {};
  return failure("'" + command + "' is no absolute path");
}

}  // namespace

const OptionTable<IrisOptions>& option_table() {
  const auto of_tools = [](std::string IrisToolSettings::*member) {
    return [member](auto& options) -> auto& { return options.tools.*member; };
  };
  static const OptionTable<IrisOptions> kTable = {
      {"instance", &IrisOptions::instance, "This instance alone; all that run when absent.", kInstanceName},
      {"docker_container", of_tools(&IrisToolSettings::container),
       "The container that they run in; on the host when absent.", kInstanceName},
      {"container_command", of_tools(&IrisToolSettings::container_command),
       "docker, podman, or the absolute path of such a program.", kProgram},
      {"os_user", of_tools(&IrisToolSettings::os_user),
       "The account to call them as; the owner of their files when absent, in a container its own.", kArgument},
      {"iris_command", of_tools(&IrisToolSettings::iris_command),
       "The command iris, when it is not in /usr/bin or /usr/local/bin; in a container a name will do."},
      {"session_command", of_tools(&IrisToolSettings::session_command),
       "The command irissession, when it is not beside iris; in a container a name will do."},
      {"log_directory", &IrisOptions::log_directory,
       "Where ExternalFreeze writes its log; never frozen, and writable for os_user.", kAbsolutePath},
      {"freeze_filesystems", &IrisOptions::freeze_filesystems,
       "Freeze the filesystems of databases and journals too; the deadline is then 25 seconds at most."},
      {"external_set_history", &IrisOptions::set_history,
       "Tell the instance that it was backed up, which lets it purge journals."},
  };
  return kTable;
}

Result<IrisOptions> read_options(const Json& given) {
  IrisOptions options = option_table().read(given);
  const IrisToolSettings& tools = options.tools;
  const bool in_container = !tools.container.empty();
  for (const auto& [key, command] :
       {std::pair("iris_command", &tools.iris_command), std::pair("session_command", &tools.session_command)}) {
    if (auto checked = check_command(*command, in_container); !checked)
      return tl::unexpected(checked.error().with_context(key));
  }
  if (!in_container && given.find("container_command") != nullptr)
    return failure("container_command needs docker_container");
  return options;
}

}  // namespace dlm_freeze::iris
