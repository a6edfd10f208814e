// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/caller_files.hpp"
#include "commands/verify/request.hpp"
#include "dlm_freeze/base/deadline.hpp"
#include "dlm_freeze/base/log.hpp"
#include "dlm_freeze/quiesce/registry.hpp"
#include "fs/freeze_control.hpp"
#include "fs/freeze_plan.hpp"
#include "record/history.hpp"
#include "record/state_directory.hpp"
#include "session/limits.hpp"
#include "session/plan.hpp"

namespace dlm_freeze {

/// What pre-script may limit so that little is dirty when FIFREEZE comes.
enum class DirtyLimitMode {
  devices,  ///< The devices that are frozen, where the kernel can (Linux 6.2).
  host,     ///< Where it cannot, the host as a whole.
  none,
};

/// What becomes of a server that was found in a container, that nobody has configured, and that cannot be quiesced.
enum class Undiscovered {
  ignore,  ///< Nobody looks for such servers.
  warn,    ///< A WARN says why.
  fail,    ///< pre-script fails.
};

/// What the command line, the configuration and the environment together say.
struct Settings {
  std::chrono::seconds auto_thaw{60};
  std::chrono::seconds timeout{8};
  std::optional<BootClock::duration>
      max_stall;  ///< From the first lock until all is frozen; nothing: as long as it takes.
  DirtyLimitMode dirty_limit = DirtyLimitMode::devices;
  std::string execution_id = "None";
  std::string group_id;             ///< As in SessionRecord.
  std::optional<WallTime> hold_at;  ///< When pre-script is to lock and freeze; nothing: at once.
  std::string state_directory = StateDirectory::kDefaultPath;
  std::string history_file = kDefaultHistoryFile;
  std::string metrics_file;  ///< Empty: none.
  bool manifest = true;      ///< Whether each filesystem that is frozen gets one.
  Selection filesystems{
      .freeze = true,
      .include = {},
      .exclude = {},
      .protect = {"/var/lib/amazon/ssm", "/var/log/amazon/ssm", "/var/log/audit", "/var/lib/fapolicyd"}};
  std::optional<std::vector<QuiescerConfig>> quiescers;  ///< Nothing: detect them.
  Undiscovered undiscovered = Undiscovered::warn;
  bool probe = false;
  bool all = false;                      ///< dry-run prints everything.
  std::optional<std::string> inventory;  ///< Of dry-run: where its item goes; empty for the SSM agent's directory.
  std::string config_hash;               ///< Tells whether two hosts have the same configuration.
  std::optional<double> write_speed;     ///< Bytes a second, for the estimate of dry-run.
  bool json = false;
  bool watch = false;
  std::vector<std::string> verify_paths;
  VerifyRequest verify;                  ///< But for its paths.
  std::optional<std::string> snapshots;  ///< Of verify, where `verify_paths` are histories.
  bool cut = false;                      ///< Of verify: they are of several hosts.
  std::size_t last = 20;                 ///< How many sessions `history` prints.

  /// What the stages of pre-script have of `timeout`; the rest is for a late one to say why.
  [[nodiscard]] BootClock::duration stage_budget() const {
    return timeout - std::min<BootClock::duration>(limits::kBudgetReserve, BootClock::duration(timeout) / 4);
  }
};

/// What every command works with.
struct CommandContext {
  Log& log;
  std::ostream& out;               ///< For dry-run and status.
  bool out_takes_escapes = false;  ///< It is a terminal on which something may be redrawn.
  QuiescerRegistry& registry;
  FreezeControl& control;
  SyslogFactory syslog;
  BootClock::time_point started;                   ///< The program's first instruction.
  std::string module_directory;                    ///< As in QuiescerRegistry.
  std::string version;                             ///< Of this program: "0.1.0".
  int (*code_of_pre_script)(ErrorKind) = nullptr;  ///< What it exits with after an error of that kind.
  CallerFiles* caller_files = nullptr;             ///< Of pre-script and post-script.
};

// One verb each, in the file of its name. The error's kind decides on the exit code.

/// The first line of pre-script, whose caller writes it before anything can fail, and of post-script, which does
/// itself.
void log_start(std::string_view command, const std::string& execution_id, Log& log);

/// Quiesces, freezes and leaves a watchdog behind; or undoes everything and fails.
[[nodiscard]] Result<void> pre_script(const Settings& settings, CommandContext& context);

/// Ends the session: thaws and releases.
[[nodiscard]] Result<void> post_script(const Settings& settings, CommandContext& context);

/// Prints what pre-script would do, and changes nothing. With `probe` fails as pre-script would.
[[nodiscard]] Result<void> dry_run(const Settings& settings, CommandContext& context);

/// What is left of it where the settings are wrong, so that a pre-script would fail with `error`: the item of the
/// inventory says so.
[[nodiscard]] Result<void> dry_run_without_settings(const Error& error, const std::string& inventory,
                                                    CommandContext& context);

/// Prints the active or the last session.
[[nodiscard]] Result<void> status(const Settings& settings, CommandContext& context);

/// Prints whether copies are the filesystems of one session and, if that is asked, good ones. An error of kind
/// `not_ready`: not all of that could be told.
[[nodiscard]] Result<void> verify(const Settings& settings, CommandContext& context);

/// Prints whether the hosts of a group were all held at once, by their histories and the snapshots. An error of kind
/// `not_ready`: that is not proven, but may be.
[[nodiscard]] Result<void> verify_cut(const Settings& settings, CommandContext& context);

/// Prints whether snapshots were taken during the holds of one host, by its history. An error of kind `not_ready`: that
/// is not proven, but may be.
[[nodiscard]] Result<void> verify_snapshots(const Settings& settings, CommandContext& context);

/// Prints the sessions that have ended.
[[nodiscard]] Result<void> history(const Settings& settings, CommandContext& context);

}  // namespace dlm_freeze
