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

Result<void> StatementGuard::wait_for_gap(const StageContext& context, Killing killing) {
  if (!is_needed(lock_, settings_)) return {};
  const auto begun = BootClock::now();
  const Deadline until = context.deadline.or_earlier(Deadline::in(patience_));
  auto left = wait_until(until, context);
  patience_ -= std::min(patience_, BootClock::now() - begun);
  if (!left) return tl::unexpected(left.error());
  if (left->empty()) return {};
  const bool only_selects =
      std::all_of(left->begin(), left->end(), [](const Statement& statement) { return only_reads(statement.text); });
  if (!only_selects || !settings_.kill_selects) return refusal(*left, only_selects);
  if (killing == Killing::not_now) return {};
  if (auto killed = kill_statements(*left, context); !killed) return killed;
  left = wait_until(context.deadline.or_earlier(Deadline::in(kKillPatience)), context);
  if (!left) return tl::unexpected(left.error());
  return left->empty() ? Result<void>() : refusal(*left, false);
}

/// The statements that are left then.
Result<std::vector<Statement>> StatementGuard::wait_until(Deadline until, const StageContext& context) const {
  for (;;) {
    auto statements = read_statements(monitor_, context.patience());
    if (!statements) return diagnosis_.from("cannot list its statements", statements.error(), "PROCESS");
    std::erase_if(*statements, [this](const Statement& statement) {
      return !holds_up(statement, lock_, version_, settings_.long_query);
    });
    if (statements->empty() || until.expired()) return std::move(*statements);
    if (wait_readable(context.cancel_fd, Deadline::in(kGapPause)))
      return diagnosis_.not_ready("given up while waiting for long statements to end");
  }
}

}  // namespace dlm_freeze::mysql
