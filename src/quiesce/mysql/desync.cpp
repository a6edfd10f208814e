// SPDX-License-Identifier: Apache-2.0
#include "quiesce/mysql/desync.hpp"

#include <algorithm>

namespace dlm_freeze::mysql {
namespace {

constexpr const char* kDesynced = "galera_desynced";  ///< The fact's key.
constexpr const char* kOn = "SET GLOBAL wsrep_desync = ON";
constexpr const char* kOff = "SET GLOBAL wsrep_desync = OFF";

std::vector<Fact> facts_if(bool is_desynced) {
  std::vector<Fact> facts;
  if (is_desynced) facts.push_back({kDesynced, "true"});
  return facts;
}

}  // namespace

void Desync::find(const ClusterState& cluster, bool is_allowed, StageContext& context) {
  wanted_ = cluster.can_be_desynced() && is_allowed;
  if (!cluster.can_be_desynced() || is_allowed) return;
  context.notes.push_back(
      {LogLevel::warn,
       "the account may not desync this node of Galera, so flow control may make the others wait for it while it is "
       "held: GRANT SUPER",
       false});
}

Result<void> Desync::begin(Connection& session, const StageContext& context) {
  if (!wanted_) return {};
  begun_ = true;  // First: it has to be put back even if this is given up.
  const auto set = session.query(kOn, context.patience());
  if (!set) return diagnosis_.from(std::string(kOn) + " failed", set.error(), "SUPER");
  return {};
}

Result<void> Desync::end(Connection& session, const StageContext& context) const {
  if (!begun_) return {};
  const auto set = session.query(kOff, context.patience());
  if (set) return {};
  return failure("this node of Galera was desynced and cannot be put back (" + set.error().message + "): run " + kOff);
}

std::vector<Fact> Desync::to_do() const { return facts_if(wanted_); }

std::vector<Fact> Desync::facts() const { return facts_if(begun_); }

void Desync::recall(const std::vector<Fact>& facts) {
  begun_ = std::any_of(facts.begin(), facts.end(), [](const Fact& fact) { return fact.key == kDesynced; });
}

}  // namespace dlm_freeze::mysql
