// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "commands/verify/checks.hpp"
#include "commands/verify/extra_checks.hpp"
#include "dlm_freeze/base/error.hpp"
#include "dlm_freeze/quiesce/program.hpp"
#include "record/manifest.hpp"

namespace dlm_freeze {

/// A database of the session, in the root directory of enter_private_root, and what it is checked with.
struct DatabaseCopy {
  const ManifestDatabase& session;  ///< What it said when it was held.
  const ExtraChecks& extra;         ///< What the user asks besides.
  const std::set<dev_t>& copies;    ///< The devices of what was mounted as a copy.
  CheckList& checks;

  [[nodiscard]] const std::string& name() const { return session.name; }

  /// What it said of `key`; empty when nothing.
  [[nodiscard]] std::string fact(std::string_view key) const;

  /// Whether `directory` lies in a copy, and not on the root filesystem of this host. Says why not.
  [[nodiscard]] Finding is_in_copy(const std::string& directory) const;

  /// That there is space for all that lies in `directories`: a file is copied whole when a server opens it for writing.
  [[nodiscard]] Finding has_space_for(const std::vector<std::string>& directories) const;
};

/// The text whose bytes a server has printed in hexadecimal, since a name may have anything in it; nothing when these
/// are none.
[[nodiscard]] std::optional<std::string> text_of_hexadecimal(std::string_view digits);

/// The name of the account that owns `directory`; one is added to the private /etc/passwd where there is none. It is
/// given a new, empty kRunDirectory. Errors: it is root, as which no server runs.
[[nodiscard]] Result<std::string> prepare_account(const std::string& directory);

/// A server that was started on a copy.
class CopyServer {
 public:
  /// `log` is where it writes to.
  static Result<CopyServer> start(const std::vector<std::string>& argv, const std::string& account, std::string log);

  /// Waits until `answers`, which asks it, is true; gives the seconds since its start. Errors: it has ended, or the
  /// patience has; with what it logged last.
  [[nodiscard]] Result<double> await(const std::function<bool()>& answers, const Patience& patience) const;

  /// Waits until it has ended; false when the patience ends first.
  [[nodiscard]] bool ends(const Patience& patience) const;

  /// The last error in its log, else its last line.
  [[nodiscard]] std::string last_words() const;

 private:
  CopyServer(RunningProgram program, std::string log)
      : program_(std::move(program)), log_(std::move(log)), started_(BootClock::now()) {}

  RunningProgram program_;
  std::string log_;
  BootClock::time_point started_;
};

/// Asks the server each question of the user's for this database. `ask` gives what a statement answers.
void ask_canaries(const DatabaseCopy& copy, const std::function<Result<ProgramResult>(const Canary& canary)>& ask);

/// Starts MySQL's or MariaDB's server on the copy, and checks what it says.
void check_mysql(const DatabaseCopy& copy);

/// The same with PostgreSQL's.
void check_postgresql(const DatabaseCopy& copy);

}  // namespace dlm_freeze
