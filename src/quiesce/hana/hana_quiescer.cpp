// SPDX-License-Identifier: Apache-2.0
#include "quiesce/hana/hana_quiescer.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "base/wait.hpp"
#include "dlm_freeze/base/files.hpp"
#include "dlm_freeze/quiesce/program.hpp"
#include "quiesce/coverage.hpp"
#include "quiesce/hana/options.hpp"
#include "quiesce/hana/statements.hpp"
#include "quiesce/hana/systems.hpp"

namespace dlm_freeze::hana {
namespace {

constexpr const char* kSystemDatabase = "SYSTEMDB";
constexpr const char* kBackupIdFact = "backup_id";

constexpr auto kPause = std::chrono::milliseconds(200);
/// How long at most a snapshot is looked for whose CREATE was cut off: the server may be at it still.
constexpr auto kStragglerPatience = std::chrono::seconds(2);
constexpr int kCloseAttempts = 3;
constexpr auto kClosePause = std::chrono::seconds(1);

/// The answer of hdbsql: rows, or an error.
struct Answer {
  std::string output;
  std::optional<HanaError> error;

  /// Whether the server itself has said no: then it does nothing more about the statement.
  [[nodiscard]] bool refused_by_server() const { return error && error->code > 0; }
};

class HanaQuiescer final : public Quiescer {
 public:
  explicit HanaQuiescer(HanaOptions options) : options_(std::move(options)) {}

  Result<Presence> locate(StageContext& context) override;
  Result<void> probe(StageContext& context) override;
  Result<std::vector<Fact>> quiesce(StageContext& context) override;
  Result<void> release(StageContext& context, Outcome outcome) override;
  Result<void> recover(StageContext& context, const std::vector<Fact>& facts) override;

 private:
  Result<std::string> find_system();
  Result<void> find_program();
  [[nodiscard]] std::vector<DataLocation> locations() const;
  [[nodiscard]] Result<Answer> run(const std::string& statement, const StageContext& context) const;
  [[nodiscard]] Result<std::string> ask(const std::string& query, const StageContext& context) const;
  Result<void> ask_version(const StageContext& context);

  [[nodiscard]] Result<std::string> await_prepared(const StageContext& context) const;
  [[nodiscard]] Result<std::string> find_left(const StageContext& context, bool may_still_come) const;
  [[nodiscard]] Result<void> close(const std::string& backup_id, bool successful, const std::string& text,
                                   const StageContext& context) const;

  [[nodiscard]] std::string comment(const StageContext& context) const { return "dlm-freeze " + context.execution_id; }
  [[nodiscard]] std::string how_to_log_in() const;

  HanaOptions options_;  ///< With what was found instead of what was not given.

  std::optional<HanaSystem> system_;
  std::optional<HanaVersion> version_;
  bool asked_ = false;      ///< CREATE SNAPSHOT was said.
  bool uncertain_ = false;  ///< And its end was not seen.
  std::string backup_id_;
};

/// Which system, and whom to be. Gives what is missing; empty when all is there.
Result<std::string> HanaQuiescer::find_system() {
  const std::vector<HanaSystem> systems = find_hana_systems();
  if (options_.os_user.empty() && systems.size() > 1) {
    return failure("there are several systems below /usr/sap: say with os_user whose, " + systems[0].administrator() +
                   " for one");
  }
  if (options_.os_user.empty() && systems.empty()) return std::string("there is no SAP HANA below /usr/sap");
  for (const HanaSystem& system : systems) {
    if (options_.os_user.empty() || system.administrator() == options_.os_user) system_ = system;
  }
  if (options_.os_user.empty()) options_.os_user = system_->administrator();
  return std::string();
}

/// What to run.
Result<void> HanaQuiescer::find_program() {
  if (options_.hdbsql.empty() && system_) options_.hdbsql = find_hdbsql(*system_);
  if (options_.hdbsql.empty())
    return failure("there is no hdbsql in the standard places: say with hdbsql where it is", ErrorKind::not_ready);
  if (::access(options_.hdbsql.c_str(), X_OK) != 0)
    return failure("there is no program " + options_.hdbsql, ErrorKind::not_ready);
  if (options_.os_user != "root") return {};
  return check_trusted(options_.hdbsql);
}

Result<Presence> HanaQuiescer::locate(StageContext& /*context*/) {
  const auto missing = find_system();
  if (!missing) return tl::unexpected(missing.error());
  if (!missing->empty()) return Presence{false, *missing, {}};
  if (system_ && !is_running(*system_)) return Presence{false, "system " + system_->sid + " does not run", {}};
  if (auto found = find_program(); !found) return tl::unexpected(found.error());
  if (!system_) return Presence{true, "it is none of the systems below /usr/sap: where its data lies is not known", {}};
  return Presence{true, "system " + system_->sid + " runs", locations()};
}

std::vector<DataLocation> HanaQuiescer::locations() const {
  std::vector<DataLocation> locations = locations_of(*system_);
  for (DataLocation& location : locations) location.may_be_frozen = location.may_be_frozen || options_.freeze_log;
  return locations;
}

Result<Answer> HanaQuiescer::run(const std::string& statement, const StageContext& context) const {
  Program program;
  program.argv = {options_.hdbsql, "-U", options_.key, "-a", "-x", "-j"};
  const std::string& database =
      options_.database.empty() && version_ && version_->has_system_database() ? kSystemDatabase : options_.database;
  if (!database.empty()) program.argv.insert(program.argv.end(), {"-d", database});
  program.argv.insert(program.argv.end(), options_.hdbsql_options.begin(), options_.hdbsql_options.end());
  program.argv.push_back(statement);
  program.os_user = options_.os_user;
  program.login = true;
  const auto ran = run_program(program, context.patience());
  if (!ran) return tl::unexpected(ran.error());
  Answer answer{ran->output, parse_error(ran->output)};
  if (ran->exit_status != 0 && !answer.error) {
    const std::string said = last_line(ran->output);
    answer.error = HanaError{
        0, "hdbsql exited with status " + std::to_string(ran->exit_status) + (said.empty() ? "" : " (" + said + ")")};
  }
  return answer;
}

Result<std::string> HanaQuiescer::ask(const std::string& query, const StageContext& context) const {
  auto answer = run(query, context);
  if (!answer) return tl::unexpected(answer.error());
  if (answer->error) return failure(answer->error->text);
  return std::move(answer->output);
}

std::string HanaQuiescer::how_to_log_in() const {
  const std::string port = system_ ? "3" + system_->number + "13" : "3<NN>13";
  return "as " + options_.os_user + ": hdbuserstore SET " + options_.key + " <host>:" + port +
         " <USER> <PASSWORD> (docs/hana.md)";
}

Result<void> HanaQuiescer::ask_version(const StageContext& context) {
  if (version_) return {};
  const auto output = ask(version_query(), context);
  if (!output) return tl::unexpected(output.error());
  version_ = parse_version(*output);
  if (!version_) return failure("hdbsql says nothing that is a version: '" + last_line(*output) + "'");
  return {};
}

Result<void> HanaQuiescer::probe(StageContext& context) {
  if (const auto asked = ask_version(context); !asked) {
    return failure(
        asked.error().message + "; it has to be up, and the key " + options_.key + " to be made " + how_to_log_in(),
        ErrorKind::not_ready);
  }
  if (version_->has_system_database()) {
    // Not everybody may look; then CREATE SNAPSHOT tells.
    const auto unready = ask(unready_databases_query(), context);
    const std::vector<std::string> names = unready ? parse_names(*unready) : std::vector<std::string>();
    if (!names.empty()) return failure("its database " + names[0] + " is starting or stopping", ErrorKind::not_ready);
  }
  if (system_ && context.coverage) {
    const CoverageReport report = report_coverage(locations(), context.coverage,
                                                  "HANA's own snapshot keeps it consistent, on its own volume only");
    context.notes.insert(context.notes.end(), report.lines.begin(), report.lines.end());
  }
  const auto output = ask(open_snapshots_query(std::nullopt), context);
  if (!output) return tl::unexpected(Error{ErrorKind::not_ready, output.error().message, 0});
  const std::vector<HanaSnapshot> open = parse_snapshots(*output);
  if (open.empty()) return {};
  return failure("another data snapshot, BACKUP_ID " + open[0].backup_id + ", is " + open[0].state +
                     ", and there can be one at a time; whoever made it has to close it: " +
                     close_snapshot_statement(*version_, open[0].backup_id, false, "abandoned"),
                 ErrorKind::not_ready);
}

Result<std::vector<Fact>> HanaQuiescer::quiesce(StageContext& context) {
  if (auto asked = ask_version(context); !asked) return tl::unexpected(asked.error());
  asked_ = true;
  uncertain_ = true;
  const auto created = run(create_snapshot_statement(*version_, comment(context)), context);
  if (!created) return tl::unexpected(created.error());
  uncertain_ = created->error && !created->refused_by_server();
  if (created->error) return failure("CREATE SNAPSHOT: " + created->error->text);
  uncertain_ = true;  // Until it is there.
  auto prepared = await_prepared(context);
  if (!prepared) return tl::unexpected(prepared.error());
  uncertain_ = false;
  backup_id_ = *prepared;
  return std::vector<Fact>{{kBackupIdFact, backup_id_},
                           {"comment", comment(context)},
                           {"major_version", std::to_string(version_->major)},
                           {"revision", std::to_string(version_->revision)}};
}

/// The id of our snapshot as soon as it is prepared.
Result<std::string> HanaQuiescer::await_prepared(const StageContext& context) const {
  std::string seen = "not in the backup catalog";
  do {
    const auto output = ask(open_snapshots_query(comment(context)), context);
    if (!output) return tl::unexpected(output.error());
    for (const HanaSnapshot& snapshot : parse_snapshots(*output)) {
      seen = snapshot.state;
      if (snapshot.state == "prepared") return snapshot.backup_id;
    }
  } while (pause_for(kPause, context.patience()));
  return failure("its snapshot has not become prepared in time: it is " + seen);
}

/// The id of our snapshot that waits to be closed; empty when there is none. One that is being made is waited for, and
/// one that `may_still_come` is looked for a while.
Result<std::string> HanaQuiescer::find_left(const StageContext& context, bool may_still_come) const {
  const auto patience =
      Deadline::in(std::min<BootClock::duration>(kStragglerPatience, context.deadline.remaining() / 4));
  for (;;) {
    const auto output = ask(open_snapshots_query(comment(context)), context);
    if (!output) return tl::unexpected(output.error());
    const std::vector<HanaSnapshot> open = parse_snapshots(*output);
    for (const HanaSnapshot& snapshot : open) {
      if (snapshot.state == "prepared") return snapshot.backup_id;
    }
    if (open.empty() && (!may_still_come || patience.expired())) return std::string();
    if (!pause_for(kPause, context.patience())) {
      if (open.empty()) return std::string();
      return failure("its snapshot " + open[0].backup_id + " is still " + open[0].state +
                     ", and has to be closed when it is prepared: " +
                     close_snapshot_statement(*version_, open[0].backup_id, false, "abandoned"));
    }
  }
}

/// Closes the snapshot. An error of kind protection_lost: it was not there to be closed any more.
Result<void> HanaQuiescer::close(const std::string& backup_id, bool successful, const std::string& text,
                                 const StageContext& context) const {
  std::string why;
  for (int attempt = 0; attempt < kCloseAttempts; ++attempt) {
    if (attempt > 0 && !pause_for(kClosePause, context.patience())) break;
    StageContext share = context;  // What is left is for finding out, and for another attempt.
    share.deadline = Deadline::in(context.deadline.remaining() / 2);
    const auto closed = run(close_snapshot_statement(*version_, backup_id, successful, text), share);
    if (closed && !closed->error) return {};
    why = closed ? closed->error->text : closed.error().message;
    const auto output = ask(snapshot_query(backup_id), context);
    if (!output) continue;
    const std::vector<HanaSnapshot> left = parse_snapshots(*output);
    const auto is_prepared = [](const HanaSnapshot& snapshot) { return snapshot.state == "prepared"; };
    if (std::any_of(left.begin(), left.end(), is_prepared)) continue;
    return failure("its snapshot " + backup_id + " was not prepared any more when it was to be closed (" +
                       (left.empty() ? "it is not in the backup catalog" : "it is " + left[0].state) +
                       "): HANA was restarted, or somebody else closed it",
                   ErrorKind::protection_lost);
  }
  return failure("its snapshot " + backup_id + " could not be closed (" + why + "); HANA's data grows until it is: " +
                 close_snapshot_statement(*version_, backup_id, false, "abandoned"));
}

Result<void> HanaQuiescer::release(StageContext& context, Outcome outcome) {
  if (!asked_) return {};
  if (backup_id_.empty()) {
    auto left = find_left(context, uncertain_);
    if (!left) return tl::unexpected(left.error());
    if (left->empty()) return {};
    backup_id_ = std::move(*left);
  }
  if (outcome == Outcome::completed) {
    if (options_.close_successful) return close(backup_id_, true, context.execution_id, context);
    return close(backup_id_, false, comment(context) + ": thawed", context);
  }
  auto closed = close(backup_id_, false, comment(context) + ": " + std::string(to_string(outcome)), context);
  // That it has gone by itself is as good.
  if (!closed && closed.error().kind == ErrorKind::protection_lost) return {};
  return closed;
}

Result<void> HanaQuiescer::recover(StageContext& context, const std::vector<Fact>& facts) {
  const auto missing = find_system();
  if (!missing) return tl::unexpected(missing.error());
  if (!missing->empty()) return failure(*missing);
  if (auto found = find_program(); !found) return found;
  if (auto asked = ask_version(context); !asked) return asked;
  asked_ = true;
  uncertain_ = facts.empty();
  for (const Fact& fact : facts) {
    if (fact.key == kBackupIdFact) backup_id_ = fact.value;
  }
  return release(context, Outcome::rolled_back);
}

Result<std::unique_ptr<Quiescer>> create(const QuiescerConfig& config) {
  return std::make_unique<HanaQuiescer>(option_table().read(config.options));
}

std::vector<QuiescerConfig> detect() {
  std::vector<QuiescerConfig> found;
  for (const HanaSystem& system : find_hana_systems()) {
    found.push_back({.type = "hana",
                     .name = "hana " + system.sid,
                     .required = false,
                     .options = Json::Object{{"os_user", system.administrator()}}});
  }
  return found;
}

}  // namespace

const QuiescerType& quiescer_type() {
  static const QuiescerType kType = {
      .name = "hana",
      .description = "SAP HANA, by a data snapshot of its own: docs/hana.md.",
      .options = option_table().specs(),
      .create = create,
      .detect = detect,
  };
  return kType;
}

}  // namespace dlm_freeze::hana
