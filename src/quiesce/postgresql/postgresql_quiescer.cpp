// SPDX-License-Identifier: Apache-2.0
#include "quiesce/postgresql/postgresql_quiescer.hpp"

#include <algorithm>
#include <iterator>
#include <string>

#include "quiesce/coverage.hpp"
#include "quiesce/postgresql/backup_hold.hpp"
#include "quiesce/postgresql/patroni_note.hpp"

namespace dlm_freeze::postgresql {

/// Says which parts are not going to be frozen; whether all are.
bool PostgresqlQuiescer::check_coverage(StageContext& context) const {
  const auto& files = cluster_.files();
  if (!files) return false;
  CoverageReport report = report_coverage(files->locations, context.coverage, "");
  std::move(report.lines.begin(), report.lines.end(), std::back_inserter(context.notes));
  return report.all_frozen() && files->problems.empty();
}

PostgresqlMode PostgresqlQuiescer::choose_mode(bool all_frozen, std::vector<LogLine>& notes) const {
  const PostgresqlMode mode = cluster_.settings().mode;
  if (mode == PostgresqlMode::automatic) {
    if (all_frozen || cluster_.is_foreign()) return PostgresqlMode::checkpoint;
    notes.push_back({LogLevel::info, "mode backup, since not all of it is known to be frozen"});
    return PostgresqlMode::backup;
  }
  if (!all_frozen && mode != PostgresqlMode::backup) {
    notes.push_back({LogLevel::warn, std::string("mode ") + (mode == PostgresqlMode::none ? "none" : "checkpoint") +
                                         " protects only what is frozen: mode backup is for the rest"});
  }
  return mode;
}

Result<void> PostgresqlQuiescer::probe(StageContext& context) {
  const Patience patience = context.patience();
  if (cluster_.is_foreign() && cluster_.settings().mode == PostgresqlMode::backup) {
    return failure(
        "mode backup is not for a server in a container, whose files are not copied: freeze all filesystems that it "
        "lies on, and set mode to auto",
        ErrorKind::not_ready);
  }
  if (auto connected = cluster_.connect(patience); !connected) return connected;
  const auto server = cluster_.ask_server(patience);
  if (!server) return tl::unexpected(server.error());
  cluster_.find_files(*server, context);
  hold_ = make_hold(choose_mode(check_coverage(context), context.notes), cluster_);
  if (auto checked = hold_->check(*server, context); !checked) return checked;
  note_patroni(cluster_, *server, context);
  return {};
}

Result<std::vector<Fact>> PostgresqlQuiescer::prepare(StageContext& context) {
  if (auto prepared = hold_->prepare(context); !prepared) return tl::unexpected(prepared.error());
  return hold_->facts();
}

Result<std::vector<Fact>> PostgresqlQuiescer::quiesce(StageContext& context) {
  const Patience patience = context.patience();
  if (auto connected = cluster_.connect(patience); !connected) return tl::unexpected(connected.error());
  if (auto begun = hold_->begin(context); !begun) return tl::unexpected(begun.error());
  auto given = cluster_.facts(patience);
  if (!given) return given;
  given->push_back({"mode", hold_->mode()});
  for (Fact& fact : hold_->facts()) given->push_back(std::move(fact));
  if (!hold_->needs_session()) cluster_.disconnect();
  return given;
}

Result<void> PostgresqlQuiescer::release(StageContext& context, Outcome outcome) {
  auto released = hold_ ? hold_->end(context, outcome) : Result<void>();
  cluster_.disconnect();
  return released;
}

/// The server forgets a backup with its session. What is left is the directory for its files.
Result<void> PostgresqlQuiescer::recover(StageContext& /*context*/, const std::vector<Fact>& facts) {
  BackupHold::clean_up(facts);
  return {};
}

}  // namespace dlm_freeze::postgresql
