// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <chrono>
#include <climits>
#include <iostream>
#include <new>
#include <string>

#include "base/birth.hpp"
#include "base/caller_files.hpp"
#include "cli/command_line.hpp"
#include "cli/logging.hpp"
#include "cli/settings.hpp"
#include "cli/version.hpp"
#include "commands/command_context.hpp"
#include "commands/planning_guard.hpp"
#include "quiesce/entry.hpp"

namespace {

using namespace dlm_freeze;

/// For a caller that has stopped to read what a script says: neither a roll-back nor an exit waits longer.
constexpr auto kPatienceWithReader = std::chrono::milliseconds(250);

std::string module_directory() {
  std::string program(PATH_MAX, '\0');
  const ssize_t length = ::readlink("/proc/self/exe", program.data(), program.size());
  program.resize(length > 0 ? static_cast<std::size_t>(length) : 0);
  const std::string directory = program.substr(0, program.rfind('/') + 1);
  std::string in_build_tree = directory + kModuleDirectory;
  return ::access(in_build_tree.c_str(), F_OK) == 0 ? in_build_tree : directory + "../" + kModuleDirectory;
}

/// Of pre-script, the configuration and the log daemon's socket are looked for within its budget, too: that of the
/// command line, or the usual one, as long as no other is known.
Result<Settings> prepare(const CommandLine& line, CommandContext& context) {
  if (line.command != Command::pre_script) return resolve_settings(line, context.registry);
  context.caller_files->hand_over();  // First: no thread exists yet, and nothing is frozen.
  const auto budget = line.timeout ? std::chrono::seconds(*line.timeout) : Settings().timeout;
  const PlanningGuard guard(Deadline(context.started + budget));
  log_start(to_string(line.command), line.execution_id.value_or(Settings().execution_id), context.log);
  return resolve_settings(line, context.registry);
}

Result<void> run(const CommandLine& line, CommandContext& context) {
  const auto settings = prepare(line, context);
  if (!settings && line.inventory) {
    if (auto said = dry_run_without_settings(settings.error(), *line.inventory, context); !said)
      context.log.warn(said.error().message);
  }
  if (!settings) return tl::unexpected(settings.error());
  switch (line.command) {
    case Command::pre_script:
      return pre_script(*settings, context);
    case Command::post_script:
      return post_script(*settings, context);
    case Command::dry_run:
      return dry_run(*settings, context);
    case Command::status:
      return status(*settings, context);
    case Command::history:
      return history(*settings, context);
    case Command::verify:
      if (settings->cut) return verify_cut(*settings, context);
      return settings->snapshots ? verify_snapshots(*settings, context) : verify(*settings, context);
  }
  return {};
}

/// What is begun when memory runs out is undone by destructors on the way to here.
Result<void> run_or_say_why(const CommandLine& line, CommandContext& context) {
  try {
    return run(line, context);
  } catch (const std::bad_alloc&) {
    return failure("there is not enough memory, or ulimit -v allows too little");
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (is_entrant(argc, argv)) run_entrant(argc, argv);
  const auto started = BootClock::now();
  be_born_clean();
  const auto line = parse_command_line(argc, argv);  // Makes paths absolute.
  enter_root();
  const bool is_script = line && (line->command == Command::pre_script || line->command == Command::post_script);
  CallerOutputOptions output;
  if (is_script) output.patience = kPatienceWithReader;
  output.stdout_is_document = line && line->json;
  Log log(caller_output(output), is_script ? syslog_output() : nullptr, line ? line->log_level : LogLevel::info);
  if (line && line->text) {
    return std::cout << *line->text << std::flush ? 0 : static_cast<int>(ExitCode::usage);
  }
  const std::string modules = module_directory();
  QuiescerRegistry registry(builtin_quiescer_types(), module_quiescer_types(), modules);
  IoctlFreezeControl control;
  CallerFiles caller_files(kPatienceWithReader);
  CommandContext context{log,
                         std::cout,
                         takes_escapes(STDOUT_FILENO),
                         registry,
                         control,
                         [] { return syslog_output(); },
                         started,
                         modules,
                         kVersion,
                         [](ErrorKind kind) { return static_cast<int>(exit_code(Command::pre_script, kind)); },
                         &caller_files};
  const Result<void> result = line ? run_or_say_why(*line, context) : tl::unexpected(line.error());
  if (result) {
    // Between pre-script's success and its end nothing may come that takes time: killed there, it leaves a session that
    // nobody was told of. Its lines were written before.
    if (line->command == Command::pre_script) ::_exit(0);
    caller_files.flush();
    const bool is_lost = line->command == Command::verify && was_stdout_closed();
    if (std::cout.flush() && !is_lost) return 0;
    // What a report lacks is not told by an exit code of 0: the disk is full, or nobody reads it.
    log.error("cannot write everything to stdout. Return Error Code: " +
              std::to_string(static_cast<int>(ExitCode::usage)));
    return static_cast<int>(ExitCode::usage);
  }
  const ExitCode code = line ? exit_code(line->command, result.error().kind) : ExitCode::usage;
  log.error(result.error().message + ". Return Error Code: " + std::to_string(static_cast<int>(code)));
  caller_files.flush();
  return static_cast<int>(code);
}
