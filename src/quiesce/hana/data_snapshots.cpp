// SPDX-License-Identifier: Apache-2.0
#include "quiesce/hana/data_snapshots.hpp"

#include <algorithm>
#include <chrono>

#include "base/wait.hpp"
#include "dlm_freeze/quiesce/program.hpp"

namespace dlm_freeze::hana {
namespace {

constexpr const char* kSystemDatabase = "SYSTEMDB";

constexpr auto kPause = std::chrono::milliseconds(200);
/// How long at most a snapshot is looked for whose CREATE was cut off: the server may be at it still.
constexpr auto kStragglerPatience = std::chrono::seconds(2);
constexpr int kCloseAttempts = 3;
constexpr auto kClosePause = std::chrono::seconds(1);

}  // namespace

std::string DataSnapshots::database() const {
  if (!database_.empty() || !version_) return database_;
  return version_->has_system_database() ? kSystemDatabase : "";
}

Result<std::vector<Answer>> DataSnapshots::run_all(const std::vector<Question>& questions,
                                                   const StageContext& context) const {
  return ask_all(client_, questions, context.patience());
}

Result<Answer> DataSnapshots::run(const std::string& statement, const StageContext& context) const {
  auto answers = run_all({{statement, database()}}, context);
  if (!answers) return tl::unexpected(answers.error());
  return std::move(answers->at(0));
}

Result<std::string> DataSnapshots::ask(const std::string& query, const StageContext& context) const {
  auto answer = run(query, context);
  if (!answer) return tl::unexpected(answer.error());
  if (answer->error) return failure(answer->error->text);
  return std::move(answer->output);
}

Result<void> DataSnapshots::take_version(const Answer& answer) {
  if (answer.error) return failure(answer.error->text);
  version_ = parse_version(answer.output);
  if (!version_) return failure("hdbsql printed no version: '" + last_line(answer.output) + "'");
  return {};
}

Result<void> DataSnapshots::ask_version(const StageContext& context) {
  if (version_) return {};
  const auto answer = run(version_query(), context);
  if (!answer) return tl::unexpected(answer.error());
  return take_version(*answer);
}

/// Which database to ask is known with the version; all but old systems have a system database.
Result<SystemState> DataSnapshots::look(const StageContext& context) {
  const std::string most_likely = database_.empty() ? kSystemDatabase : database_;
  const auto questions = [](const std::string& where) {
    return std::vector<Question>{{other_databases_query(), where, false},
                                 {hosts_query(), where, false},
                                 {open_snapshots_query(std::nullopt), where, false}};
  };
  std::vector<Question> first = questions(most_likely);
  first.insert(first.begin(), {version_query(), database_});
  auto answers = run_all(first, context);
  if (!answers) return tl::unexpected(answers.error());
  if (auto taken = take_version(answers->at(0)); !taken) return tl::unexpected(taken.error());
  answers->erase(answers->begin());
  if (database() != most_likely) answers = run_all(questions(database()), context);
  if (!answers) return tl::unexpected(answers.error());
  const Answer& open = answers->at(2);
  if (open.error) return failure(open.error->text);
  SystemState state;
  state.open = parse_snapshots(open.output);
  // Not everybody may look at these; then CREATE SNAPSHOT tells.
  if (!answers->at(0).error) state.databases = parse_parts(answers->at(0).output);
  if (!answers->at(1).error) state.hosts = parse_parts(answers->at(1).output);
  return state;
}

Result<std::string> DataSnapshots::create(const std::string& comment, bool& uncertain,
                                          const StageContext& context) const {
  uncertain = true;
  const auto answers = run_all(
      {{create_snapshot_statement(*version_, comment), database()}, {open_snapshots_query(comment), database()}},
      context);
  if (!answers) return tl::unexpected(answers.error());
  const Answer& created = answers->at(0);
  if (created.error) {
    uncertain = !created.refused_by_server();
    return failure("CREATE SNAPSHOT: " + created.error->text);
  }
  if (answers->at(1).error) return failure(answers->at(1).error->text);
  auto prepared = await_prepared(comment, answers->at(1).output, context);
  uncertain = !prepared;
  return prepared;
}

/// The id of our snapshot as soon as it is prepared; `first` is what the backup catalog had right after it was made.
Result<std::string> DataSnapshots::await_prepared(const std::string& comment, const std::string& first,
                                                  const StageContext& context) const {
  std::string seen = "not in the backup catalog";
  for (std::string catalog = first;;) {
    for (const HanaSnapshot& snapshot : parse_snapshots(catalog)) {
      seen = snapshot.state;
      if (snapshot.state == "prepared") return snapshot.backup_id;
    }
    if (!pause_for(kPause, context.patience())) break;
    auto output = ask(open_snapshots_query(comment), context);
    if (!output) return tl::unexpected(output.error());
    catalog = std::move(*output);
  }
  return failure("its snapshot was not prepared in time: it is " + seen);
}

Result<std::string> DataSnapshots::find_left(const std::string& comment, bool may_still_come,
                                             const StageContext& context) const {
  const auto patience =
      Deadline::in(std::min<BootClock::duration>(kStragglerPatience, context.deadline.remaining() / 4));
  for (;;) {
    const auto output = ask(open_snapshots_query(comment), context);
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

Result<void> DataSnapshots::close(const std::string& backup_id, bool successful, const std::string& text,
                                  const StageContext& context) const {
  std::string why;
  for (int attempt = 0; attempt < kCloseAttempts; ++attempt) {
    if (attempt > 0 && !pause_for(kClosePause, context.patience())) break;
    StageContext share = context;  // What is left is for finding out, and for another attempt.
    share.deadline = context.patience().share(2).deadline;
    const auto closed = run(close_snapshot_statement(*version_, backup_id, successful, text), share);
    if (closed && !closed->error) return {};
    why = closed ? closed->error->text : closed.error().message;
    const auto output = ask(snapshot_query(backup_id), context);
    if (!output) continue;
    const std::vector<HanaSnapshot> left = parse_snapshots(*output);
    const auto is_prepared = [](const HanaSnapshot& snapshot) { return snapshot.state == "prepared"; };
    if (std::any_of(left.begin(), left.end(), is_prepared)) continue;
    return failure("its snapshot " + backup_id + " was no longer prepared when it was to be closed (" +
                       (left.empty() ? "it is not in the backup catalog" : "it is " + left[0].state) +
                       "): HANA was restarted, or another program closed it",
                   ErrorKind::protection_lost);
  }
  return failure("its snapshot " + backup_id + " could not be closed (" + why + "); HANA's data grows until it is: " +
                 close_snapshot_statement(*version_, backup_id, false, "abandoned"));
}

}  // namespace dlm_freeze::hana
