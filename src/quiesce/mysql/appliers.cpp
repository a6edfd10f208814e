// SPDX-License-Identifier: Apache-2.0
#include "quiesce/mysql/appliers.hpp"

#include "quiesce/mysql/server.hpp"

namespace dlm_freeze::mysql {
namespace {

constexpr const char* kStoppedApplier = "stopped_applier";  ///< The fact's key.

std::vector<Fact> facts_of(const std::vector<std::string>& channels) {
  std::vector<Fact> facts;
  facts.reserve(channels.size());
  for (const std::string& channel : channels) facts.push_back({kStoppedApplier, channel});
  return facts;
}

}  // namespace

Result<void> Appliers::find(Connection& monitor, const ServerVersion& version, const StageContext& context) {
  const auto channels = read_channels(monitor, version, context.patience());
  if (!channels)
    return diagnosis_.from("cannot read its replication", channels.error(),
                           version.is_mariadb() ? "SLAVE MONITOR" : "REPLICATION CLIENT");
  for (const Channel& channel : *channels) {
    if (channel.applier_running) running_.push_back(channel.name);
  }
  return {};
}

Result<void> Appliers::stop(Connection& session, const ServerVersion& version, const StageContext& context) {
  for (const std::string& channel : running_) {
    stopped_.push_back(channel);  // First: it has to be started again even if this is given up.
    const std::string statement = applier_statement(version, false, channel);
    const auto stopped = session.query(statement, context.patience());
    if (!stopped) {
      return diagnosis_.from(statement + " failed", stopped.error(),
                             version.is_mariadb() ? "REPLICATION SLAVE ADMIN" : "REPLICATION_SLAVE_ADMIN");
    }
  }
  return {};
}

Result<void> Appliers::start(Connection& session, const ServerVersion& version, const StageContext& context) const {
  for (const std::string& channel : stopped_) {
    const std::string statement = applier_statement(version, true, channel);
    // A STOP that was given up, or whose sender died, may not have taken effect yet. Another one ends after it.
    static_cast<void>(session.query(applier_statement(version, false, channel), context.patience()));
    if (auto started = session.query(statement, context.patience()); !started) {
      return failure("the replica's applier was stopped and cannot be started again (" + started.error().message +
                     "): run " + statement);
    }
  }
  return {};
}

std::vector<Fact> Appliers::to_stop() const { return facts_of(running_); }

std::vector<Fact> Appliers::facts() const { return facts_of(stopped_); }

void Appliers::recall(const std::vector<Fact>& facts) {
  for (const Fact& fact : facts) {
    if (fact.key == kStoppedApplier) stopped_.push_back(fact.value);
  }
}

}  // namespace dlm_freeze::mysql
