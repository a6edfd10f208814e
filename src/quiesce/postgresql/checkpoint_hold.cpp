// SPDX-License-Identifier: Apache-2.0
#include "quiesce/postgresql/checkpoint_hold.hpp"

#include <algorithm>
#include <chrono>

namespace dlm_freeze::postgresql {
namespace {

/// The checkpoint in `begin` is for what has become dirty since the one in `prepare`; other databases may be locked
/// meanwhile.
constexpr auto kSecondCheckpointLimit = std::chrono::seconds(2);
/// WAL to replay for which it is not worth while: recovery takes about a second for as much.
constexpr std::uint64_t kLittleWal = std::uint64_t{64} << 20;

}  // namespace

Result<void> CheckpointHold::check(const Server& server, StageContext& /*context*/) {
  if (server.may_checkpoint) return {};
  return failure("the login " + server.user + " may not run CHECKPOINT: " +
                     (cluster_.version() >= kVersion15 ? "GRANT pg_checkpoint TO " + server.user
                                                       : "it must be a superuser before PostgreSQL 15"),
                 ErrorKind::not_ready);
}

Result<void> CheckpointHold::prepare(StageContext& context) {
  // The rest of the budget is for all that comes after.
  const bool required = cluster_.settings().require_checkpoint;
  const BootClock::duration left = context.deadline.remaining();
  const auto done = cluster_.checkpoint(context, required ? left * 3 / 4 : left / 2, required);
  if (!done) return tl::unexpected(done.error());
  first_done_ = *done;
  return {};
}

Result<void> CheckpointHold::begin(StageContext& context) {
  // After a first one that was not done in time, a second one would only wait for that one.
  if (!first_done_) return {};
  const auto written = cluster_.wal_since_checkpoint(context.patience());
  if (!written) return tl::unexpected(written.error());
  if (written->value_or(0) <= kLittleWal) return {};
  const auto limit = std::min<BootClock::duration>(kSecondCheckpointLimit, context.deadline.remaining() / 2);
  if (const auto done = cluster_.checkpoint(context, limit, false); !done) return tl::unexpected(done.error());
  return cluster_.connect(context.patience());
}

}  // namespace dlm_freeze::postgresql
