// SPDX-License-Identifier: Apache-2.0
#include "cli/command_line.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <map>
#include <system_error>
#include <utility>

#include "base/text.hpp"
#include "base/utc.hpp"
#include "cli/config_file.hpp"
#include "cli/version.hpp"

namespace dlm_freeze {
namespace {

constexpr int kFastestWrite = 100'000;
constexpr int kMostSessions = 100'000;
constexpr int kLongestCheck = 7 * 24 * 3600;
constexpr int kMostMemory = 1 << 30;

/// DLM passes "None" when it has no id, else a UUID.
std::string check_execution_id(const std::string& text) {
  constexpr std::string_view kPattern = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
  const auto fits = [](char character, char pattern) {
    return pattern == '-' ? character == '-' : std::isxdigit(static_cast<unsigned char>(character)) != 0;
  };
  const bool is_uuid = text.size() == kPattern.size() && std::equal(text.begin(), text.end(), kPattern.begin(), fits);
  return is_uuid || text == "None" ? "" : "'" + text + "' is neither None nor a UUID";
}

/// The caller's own: short, and fit for tags, file names and log lines.
std::string check_group_id(const std::string& text) {
  constexpr std::size_t kLongest = 64;
  const bool begins_well = !text.empty() && std::isalnum(static_cast<unsigned char>(text.front())) != 0;
  const bool fits =
      begins_well && text.size() <= kLongest && std::all_of(text.begin(), text.end(), [](char byte) {
        return std::isalnum(static_cast<unsigned char>(byte)) != 0 || byte == '-' || byte == '_' || byte == '.';
      });
  return fits ? ""
              : "'" + text +
                    "' is not 1 to 64 letters, digits, dots, dashes and underscores, the first a letter or digit";
}

std::string check_file(const std::string& path) {
  return path.starts_with('/') && !path.ends_with('/') ? "" : "'" + path + "' is not the absolute path of a file";
}

std::string check_directory(const std::string& path) {
  return path.starts_with('/') ? "" : "'" + path + "' must be an absolute path";
}

/// With no value, CLI11 hands on an empty one.
std::string check_optional_directory(const std::string& path) { return path.empty() ? "" : check_directory(path); }

/// The working directory is left before the path is opened. `option` is what it was given for.
Result<std::string> absolute(const std::string& option, const std::string& path) {
  std::error_code error;
  auto full = std::filesystem::absolute(path, error);
  if (path.empty() || error) {
    return failure(option + ": '" + path + "' cannot be found from the working directory: give its absolute path",
                   ErrorKind::usage);
  }
  return full.string();
}

/// All paths that verify was given besides those of the copies.
Result<void> make_absolute(VerifyRequest& verify) {
  for (const auto& [option, path] :
       {std::pair("--databases", &verify.databases_file), std::pair("--scratch", &verify.scratch),
        std::pair("--junit", &verify.junit_file)}) {
    if (path->empty()) continue;
    auto full = absolute(option, *path);
    if (!full) return tl::unexpected(full.error());
    *path = std::move(*full);
  }
  return {};
}

/// What the help of a command ends with.
const char* exit_codes(Command command) {
  switch (command) {
    case Command::pre_script:
      return "Exit codes: 0 everything is held; 1 usage; 201 failed, everything was undone;\n"
             "204 a session is active or another program had frozen a filesystem; 206 a\n"
             "database cannot be quiesced now. See dlm-freeze(8).";
    case Command::post_script:
      return "Exit codes: 0 everything was held until now; 1 usage; 202 something could not\n"
             "be undone or the frozen state did not last; 203 the deadline came first;\n"
             "205 there is no session to end. See dlm-freeze(8).";
    case Command::dry_run:
      return "Exit codes: 0 done; 1 usage, or the configuration is wrong; 201, 204, 206: what\n"
             "pre-script would exit with now. See dlm-freeze(8).";
    case Command::status:
    case Command::history:
      return "Exit codes: 0 done; 1 usage, or the record cannot be read. See dlm-freeze(8).";
    case Command::verify:
      return "Exit codes: 0 all there and good; 1 something is bad; 2 not all could be\n"
             "checked. See dlm-freeze(8).";
  }
  return "";
}

class Parser {
 public:
  Parser() {
    app_.require_subcommand(0, 1);  // That one is missing is said below, after what else is wrong.
    app_.set_version_flag("--version", std::string("dlm-freeze ") + kVersion);
    app_.set_help_flag("--help,-h", "Print this help and exit");
    app_.add_option("--config", line_.config, std::string("Configuration [") + kDefaultConfigFile + "]")
        ->type_name("FILE");
    app_.add_option_function<std::string>(
            "--log-level", [this](const std::string& text) { read_log_level(text); },
            "Minimum log level: debug, info, warn, error [info]")
        ->type_name("LEVEL");
    app_.add_option("--state-dir", line_.state_directory,
                    std::string("State directory, for tests [") + StateDirectory::kDefaultPath + "]")
        ->check(CLI::Validator(check_directory, ""))
        ->type_name("DIR");
    app_.footer(
        "Exit codes: 0 done; 1 usage; 201 pre-script failed, everything was undone;\n"
        "202 post-script failed or the frozen state did not last; 203 the deadline came\n"
        "before post-script; 204 a session is active or another program had frozen a\n"
        "filesystem; 205 no session to end; 206 a database cannot be quiesced now.\n"
        "Of verify: 0 all there and good; 1 something is bad; 2 not all could be checked.\n"
        "See dlm-freeze(8).");

    CLI::App* pre = add(Command::pre_script, "Quiesce databases, freeze data filesystems");
    add_execution_id(pre);
    add_number(pre, "--auto-thaw", line_.auto_thaw, kLongestAutoThaw, "SECONDS",
               "Deadline: seconds until all is undone [60]");
    add_timeout(pre, "Time budget in seconds [8]");
    pre->add_option_function<std::string>(
           "--hold-at", [this](const std::string& text) { read_hold_at(text); },
           "Lock and freeze at this time, UTC [at once]")
        ->type_name("TIME");
    add_group(pre, "Id shared by the sessions of several hosts [none]");
    pre->add_option("--metrics-file", line_.metrics_file, "Prometheus file, written after the session [none]")
        ->check(CLI::Validator(check_file, ""))
        ->type_name("FILE");

    CLI::App* post = add(Command::post_script, "Thaw filesystems, release databases");
    add_execution_id(post);
    add_timeout(post, "Seconds to wait for the session to end [8]");

    CLI::App* dry = add(Command::dry_run, "Show whether a snapshot would be consistent");
    add_execution_id(dry);
    dry->add_flag("--probe", line_.probe, "Also test logins and hazards; exit as pre-script");
    dry->add_flag("--all", line_.all, "Print everything, every mount included");
    dry->add_option("--inventory", line_.inventory, "Probe, and write an item for AWS's inventory")
        ->expected(0, 1)
        ->default_str("")
        ->check(CLI::Validator(check_optional_directory, ""))
        ->type_name("DIR");
    add_number(dry, "--write-speed", line_.write_speed, kFastestWrite, "MIB",
               "Write speed of the devices in MiB/s [as measured]");
    add_json(dry);

    CLI::App* status = add(Command::status, "Show the session: what it holds, until when");
    add_json(status);
    status->add_flag("--watch", line_.watch, "Count down until the session ends");

    CLI::App* history = add(Command::history, "Show how the last sessions ended");
    add_json(history);
    add_number(history, "--last", line_.last, kMostSessions, "N", "How many sessions [20]");

    CLI::App* verify = add(Command::verify, "Check copies: of one session, undamaged");
    verify->add_option("PATH", line_.paths, "Copies: directories, devices, images; or histories")->type_name("");
    verify->add_flag("--check", line_.verify.check, "Also check the filesystems, start the databases");
    verify->add_option("--databases", line_.verify.databases_file, "Servers and queries for --check")
        ->type_name("FILE");
    verify->add_option("--scratch", line_.verify.scratch, "Where servers may write [in memory]")->type_name("DIR");
    add_number(verify, "--memory", line_.memory, kMostMemory, "MIB",
               "Memory for checkers and servers [3/4 of the host's]");
    add_number(verify, "--timeout", line_.timeout, kLongestCheck, "SECONDS", "Time limit of each check [3600]");
    verify->add_option("--junit", line_.verify.junit_file, "Also write a JUnit file")->type_name("FILE");
    verify->add_flag("--cut", line_.cut, "Judge whether these hosts were held at once");
    verify->add_option("--snapshots", line_.snapshots, "Output of describe-snapshots, to match with holds")
        ->type_name("FILE");
    add_group(verify, "Group that --cut judges [the latest]");
    add_json(verify);
  }

  Result<CommandLine> parse(int argc, const char* const* argv) {
    try {
      app_.parse(argc, argv);
    } catch (const CLI::CallForHelp&) {
      line_.text = app_.help();
      return line_;
    } catch (const CLI::CallForVersion&) {
      line_.text = app_.version() + "\n";
      return line_;
    } catch (const CLI::ParseError& error) {
      return failure(std::string(error.what()) + "; see dlm-freeze --help", ErrorKind::usage);
    }
    if (line_.config) {
      auto path = absolute("--config", *line_.config);
      if (!path) return tl::unexpected(path.error());
      line_.config = std::move(*path);
    }
    if (line_.inventory) line_.probe = true;
    if (subcommands_[Command::verify]->parsed()) {
      if (auto checked = check_verify(); !checked) return tl::unexpected(checked.error());
    }
    if (line_.snapshots) {
      auto path = absolute("--snapshots", *line_.snapshots);
      if (!path) return tl::unexpected(path.error());
      line_.snapshots = std::move(*path);
    }
    for (std::string& path : line_.paths) {
      auto full = absolute("PATH", path);
      if (!full) return tl::unexpected(full.error());
      path = std::move(*full);
    }
    if (auto made = make_absolute(line_.verify); !made) return tl::unexpected(made.error());
    for (const auto& [command, subcommand] : subcommands_) {
      if (!subcommand->parsed()) continue;
      line_.command = command;
      return line_;
    }
    return failure("no command was given; see dlm-freeze --help", ErrorKind::usage);
  }

 private:
  CLI::App* add(Command command, const std::string& description) {
    CLI::App* subcommand = app_.add_subcommand(std::string(to_string(command)), description);
    subcommand->footer(exit_codes(command));
    subcommand->set_help_flag("--help,-h", "Print this help and exit");
    subcommand->fallthrough();
    subcommands_[command] = subcommand;
    return subcommand;
  }

  /// PATH is the copies; of --cut, histories; of --snapshots alone, the history of this host or of another one.
  [[nodiscard]] Result<void> check_verify() const {
    const auto wrong = [](const char* what) {
      return failure(std::string(what) + "; see dlm-freeze --help", ErrorKind::usage);
    };
    if (line_.verify.check && line_.snapshots) return wrong("--check and --snapshots exclude each other");
    if (!line_.verify.databases_file.empty() && !line_.verify.check) return wrong("--databases needs --check");
    if (line_.memory && !line_.verify.check) return wrong("--memory needs --check");
    if (line_.cut && !line_.snapshots) return wrong("--cut needs --snapshots");
    if (line_.group_id && !line_.cut) return wrong("--group of verify needs --cut");
    if (line_.paths.empty() && (line_.cut || !line_.snapshots)) return wrong("PATH is required");
    if (line_.paths.size() > 1 && line_.snapshots && !line_.cut)
      return wrong("--snapshots without --cut takes one history");
    return {};
  }

  void add_execution_id(CLI::App* app) {
    app->add_option("--execution-id", line_.execution_id, "Id of the execution: a UUID, or None [None]")
        ->check(CLI::Validator(check_execution_id, ""))
        ->type_name("ID");
  }
  void add_group(CLI::App* app, const std::string& description) {
    app->add_option("--group", line_.group_id, description)->check(CLI::Validator(check_group_id, ""))->type_name("ID");
  }
  void read_log_level(const std::string& text) {
    constexpr std::pair<std::string_view, LogLevel> kLevels[] = {
        {"debug", LogLevel::debug}, {"info", LogLevel::info}, {"warn", LogLevel::warn}, {"error", LogLevel::error}};
    const auto* const level =
        std::find_if(std::begin(kLevels), std::end(kLevels), [&](const auto& one) { return one.first == text; });
    if (level == std::end(kLevels))
      throw CLI::ValidationError("--log-level", "'" + text + "' is not debug, info, warn or error");
    line_.log_level = level->second;
  }
  void read_hold_at(const std::string& text) {
    line_.hold_at = parse_utc(text);
    if (!line_.hold_at)
      throw CLI::ValidationError("--hold-at", "'" + text + "' is not a time such as 2026-11-30T02:15:00Z");
  }
  void add_timeout(CLI::App* app, const std::string& description) {
    add_number(app, "--timeout", line_.timeout, kLongestTimeout, "SECONDS", description);
  }
  /// From 1 to `most`. Not the library's own numbers: to these "010" is 8.
  static void add_number(CLI::App* app, const std::string& name, std::optional<int>& target, int most,
                         const std::string& type, const std::string& description) {
    const auto read = [name, &target, most](const std::string& text) {
      const auto number = parse_decimal(text, 1, most);
      if (!number) throw CLI::ValidationError(name, "'" + text + "' is not " + whole_number(most));
      target = static_cast<int>(*number);
    };
    app->add_option_function<std::string>(name, read, description)->type_name(type);
  }
  void add_json(CLI::App* app) { app->add_flag("--json", line_.json, "Print one JSON document"); }

  CLI::App app_{"Makes EBS snapshots application-consistent: quiesce, freeze, thaw, release.", "dlm-freeze"};
  CommandLine line_;
  std::map<Command, CLI::App*> subcommands_;
};

}  // namespace

Result<CommandLine> parse_command_line(int argc, const char* const* argv) { return Parser().parse(argc, argv); }

std::string_view to_string(Command command) {
  switch (command) {
    case Command::pre_script:
      return "pre-script";
    case Command::post_script:
      return "post-script";
    case Command::dry_run:
      return "dry-run";
    case Command::status:
      return "status";
    case Command::history:
      return "history";
    case Command::verify:
      return "verify";
  }
  return "";
}

}  // namespace dlm_freeze
