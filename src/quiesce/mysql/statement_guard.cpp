// SPDX-License-Identifier: Apache-2.0
#include "quiesce/mysql/statement_guard.hpp"

#include <algorithm>
#include <chrono>
#include <string>

#include "base/wait.hpp"
#include "quiesce/mysql/server.hpp"

namespace dlm_freeze::mysql {
namespace {

constexpr auto kGapPause = std::chrono::milliseconds(50);
/// How long killed statements may take to end.
constexpr auto kKillPatience = std::chrono::seconds(1);

/// The beginning of a statement, for a message.
std::string shortened(const std::string& statement) {
  constexpr std::size_t kLongest = 100;
  return statement.size() <= kLongest ? statement : statement.substr(0, kLongest) + "…";
}

}  // namespace

/// Why nothing is locked while these statements run.
Failure StatementGuard::refusal(const std::vector<Statement>& statements, bool could_be_killed) const {
  const Statement& oldest =
      *std::max_element(statements.begin(), statements.end(),
                        [](const Statement& a, const Statement& b) { return a.seconds < b.seconds; });
  const std::string id = std::to_string(oldest.session);
  return diagnosis_.not_ready("statement " + id + " of " + oldest.user + " has been running for " +
                              std::to_string(oldest.seconds) +
                              " s, and the lock and all writers would wait for its end (" + shortened(oldest.text) +
                              "); nothing was locked; try again when it has ended, or KILL QUERY " + id +
                              (could_be_killed ? ", or set kill_long_queries" : ""));
}

Result<void> StatementGuard::kill_statements(const std::vector<Statement>& statements,
                                             const StageContext& context) const {
  for (const Statement& statement : statements) {
    const std::string id = std::to_string(statement.session);
    const auto killed = monitor_.query("KILL QUERY " + id, context.patience());
    if (!killed && killed.error().code != kUnknownThread) {
      return diagnosis_.from("cannot end statement " + id, killed.error(),
                             version_.is_mariadb() ? "CONNECTION ADMIN" : "CONNECTION_ADMIN");
    }
  }
  return {};
}

Result<void> StatementGuard::wait_for_gap(const StageContext& context) const {
  if (!is_needed(lock_, settings_)) return {};
  Deadline until = context.deadline.or_earlier(Deadline::in(settings_.wait));
  bool may_kill = settings_.kill_selects;
  for (;;) {
    auto statements = read_statements(monitor_, context.patience());
    if (!statements) return diagnosis_.from("cannot list its statements", statements.error(), "PROCESS");
    std::erase_if(*statements, [this](const Statement& statement) {
      return !holds_up(statement, lock_, version_, settings_.long_query);
    });
    if (statements->empty()) return {};
    if (until.expired()) {
      const bool only_selects = std::all_of(statements->begin(), statements->end(),
                                            [](const Statement& statement) { return only_reads(statement.text); });
      if (!may_kill || !only_selects) return refusal(*statements, only_selects);
      if (auto killed = kill_statements(*statements, context); !killed) return killed;
      may_kill = false;
      until = context.deadline.or_earlier(Deadline::in(kKillPatience));
    }
    if (wait_readable(context.cancel_fd, Deadline::in(kGapPause)))
      return diagnosis_.not_ready("given up while waiting for long statements to end");
  }
}

}  // namespace dlm_freeze::mysql
