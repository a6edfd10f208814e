// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <vector>

#include "dlm_freeze/quiesce/quiescer.hpp"
#include "quiesce/postgresql/cluster.hpp"

namespace dlm_freeze::postgresql {

/// What is done to a cluster in one of the modes. Its functions are called in the stages of the quiescer, while there
/// is a session. This one does nothing: mode none.
class Hold {
 public:
  Hold() = default;
  Hold(const Hold&) = delete;
  Hold& operator=(const Hold&) = delete;
  virtual ~Hold() = default;

  /// The mode's name.
  [[nodiscard]] virtual const char* mode() const { return "none"; }

  /// Whether the login, the server and the configuration allow it.
  virtual Result<void> check(const Server& /*server*/, StageContext& /*context*/) { return {}; }

  virtual Result<void> prepare(StageContext& /*context*/) { return {}; }

  virtual Result<void> begin(StageContext& /*context*/) { return {}; }

  /// Whether it ends with the session; otherwise that is not needed any more once it has begun.
  [[nodiscard]] virtual bool needs_session() const { return false; }

  /// What has to be known to undo it after a death; from `prepare` on.
  [[nodiscard]] virtual std::vector<Fact> facts() const { return {}; }

  /// See Quiescer::watch_fd.
  [[nodiscard]] virtual int watch_fd() const { return -1; }

  /// As Quiescer::release.
  virtual Result<void> end(StageContext& /*context*/, Outcome /*outcome*/) { return {}; }
};

/// The hold of that mode, which is not PostgresqlMode::automatic. The cluster must outlive it.
[[nodiscard]] std::unique_ptr<Hold> make_hold(PostgresqlMode mode, Cluster& cluster);

}  // namespace dlm_freeze::postgresql
