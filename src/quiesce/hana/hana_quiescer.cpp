// SPDX-License-Identifier: Apache-2.0
#include "quiesce/hana/hana_quiescer.hpp"

#include <unistd.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "base/text.hpp"
#include "dlm_freeze/base/files.hpp"
#include "quiesce/coverage.hpp"
#include "quiesce/hana/data_snapshots.hpp"
#include "quiesce/hana/options.hpp"
#include "quiesce/hana/statements.hpp"
#include "quiesce/hana/systems.hpp"

namespace dlm_freeze::hana {
namespace {

constexpr const char* kBackupIdFact = "backup_id";
constexpr const char* kSecondaryFact = "secondary";

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
  Result<void> check_databases(const std::vector<HanaPart>& databases, StageContext& context);
  void check_hosts(const std::vector<HanaPart>& hosts, StageContext& context);
  [[nodiscard]] Result<void> check_snapshots(const std::vector<HanaSnapshot>& open) const;
  void note_secondary(StageContext& context) const;
  void warn_of_straggler(StageContext& context) const;

  [[nodiscard]] std::string comment(const StageContext& context) const { return "dlm-freeze " + context.execution_id; }
  [[nodiscard]] std::string how_to_log_in() const;

  HanaOptions options_;  ///< With what was found instead of what was not given.

  std::optional<HanaSystem> system_;
  std::optional<DataSnapshots> snapshots_;
  std::string secondary_;   ///< Its mode of replication, where it is a secondary; empty: it is none.
  std::string stopped_;     ///< A database of it that is stopped; empty when none is.
  bool is_part_ = false;    ///< Other hosts have a part of its data.
  bool asked_ = false;      ///< CREATE SNAPSHOT was said.
  bool uncertain_ = false;  ///< And its end was not seen.
  std::string backup_id_;
};

/// Which system, and whom to be. Gives what is missing; empty when all is there.
Result<std::string> HanaQuiescer::find_system() {
  const std::vector<HanaSystem> systems = find_hana_systems();
  if (options_.os_user.empty() && systems.size() > 1) {
    return failure("there are several systems below /usr/sap: set os_user to choose one, such as " +
                   systems[0].administrator());
  }
  if (options_.os_user.empty() && systems.empty()) return std::string("there is no SAP HANA below /usr/sap");
  for (const HanaSystem& system : systems) {
    if (options_.os_user.empty() || system.administrator() == options_.os_user) system_ = system;
  }
  if (options_.os_user.empty()) options_.os_user = system_->administrator();
  return std::string();
}

/// What to run, and so what to ask.
Result<void> HanaQuiescer::find_program() {
  if (options_.hdbsql.empty() && system_) options_.hdbsql = find_hdbsql(*system_);
  if (options_.hdbsql.empty())
    return failure("there is no hdbsql in the standard places: set hdbsql to its path", ErrorKind::not_ready);
  if (::access(options_.hdbsql.c_str(), X_OK) != 0)
    return failure("there is no program " + options_.hdbsql, ErrorKind::not_ready);
  if (options_.os_user == "root") {
    if (auto trusted = check_trusted(options_.hdbsql); !trusted) return trusted;
  }
  snapshots_.emplace(ClientSettings{options_.hdbsql, options_.key, options_.os_user, options_.hdbsql_options},
                     options_.database);
  return {};
}

Result<Presence> HanaQuiescer::locate(StageContext& /*context*/) {
  const auto missing = find_system();
  if (!missing) return tl::unexpected(missing.error());
  if (!missing->empty()) return Presence{false, *missing, {}};
  if (system_ && !is_running(*system_)) return Presence{false, "system " + system_->sid + " does not run", {}};
  secondary_ = system_ ? replication_mode(*system_) : "";
  if (!secondary_.empty())
    return Presence{true, "system " + system_->sid + " runs as a secondary, " + secondary_, locations()};
  if (auto found = find_program(); !found) return tl::unexpected(found.error());
  if (!system_) return Presence{true, "it is none of the systems below /usr/sap: where its data lies is not known", {}};
  return Presence{true, "system " + system_->sid + " runs", locations()};
}

std::vector<DataLocation> HanaQuiescer::locations() const {
  std::vector<DataLocation> locations = locations_of(*system_);
  for (DataLocation& location : locations) location.may_be_frozen = location.may_be_frozen || options_.freeze_log;
  return locations;
}

std::string HanaQuiescer::how_to_log_in() const {
  const std::string port = system_ ? "3" + system_->number + "13" : "3<NN>13";
  return "as " + options_.os_user + ": hdbuserstore SET " + options_.key + " <host>:" + port +
         " <USER> <PASSWORD> (docs/hana.md)";
}

Result<void> HanaQuiescer::probe(StageContext& context) {
  if (!secondary_.empty()) {
    note_secondary(context);
    return {};
  }
  const auto state = snapshots_->look(context);
  if (!state) {
    const std::string advice =
        snapshots_->version() ? "" : "; start it, or create the key " + options_.key + " " + how_to_log_in();
    return failure(state.error().message + advice, ErrorKind::not_ready);
  }
  if (auto ready = check_databases(state->databases, context); !ready) return ready;
  check_hosts(state->hosts, context);
  if (system_ && context.coverage) {
    const CoverageReport report = report_coverage(locations(), context.coverage,
                                                  "HANA's own snapshot keeps it consistent, on its own volume only");
    context.notes.insert(context.notes.end(), report.lines.begin(), report.lines.end());
  }
  return check_snapshots(state->open);
}

void HanaQuiescer::note_secondary(StageContext& context) const {
  context.notes.push_back(
      {LogLevel::warn, "by its global.ini it is a secondary of system replication (" + secondary_ +
                           "), which makes no data snapshots: nothing of it is held, and this snapshot is no backup of "
                           "it; take those of the primary"});
}

Result<void> HanaQuiescer::check_databases(const std::vector<HanaPart>& databases, StageContext& context) {
  for (const HanaPart& database : databases) {
    if (database.state != "NO")
      return failure("its database " + database.name + " is starting or stopping", ErrorKind::not_ready);
    stopped_ = database.name;
  }
  if (!stopped_.empty()) {
    context.notes.push_back({LogLevel::warn, "its database " + stopped_ +
                                                 " is stopped: a data snapshot covers what runs, and HANA may refuse "
                                                 "it; start or drop that database"});
  }
  return {};
}

void HanaQuiescer::check_hosts(const std::vector<HanaPart>& hosts, StageContext& context) {
  is_part_ = hosts.size() > 1;
  if (!is_part_) return;
  std::vector<std::string> names;
  names.reserve(hosts.size());
  for (const HanaPart& host : hosts) names.push_back(host.name);
  context.notes.push_back(
      {LogLevel::warn, "it runs on " + count_of(hosts.size(), "host") + " (" + list_of(names) +
                           "), of which this one's volumes are a part: a restore needs those of all of them, frozen "
                           "while the same data snapshot is open, so it is not reported as a backup"});
}

Result<void> HanaQuiescer::check_snapshots(const std::vector<HanaSnapshot>& open) const {
  if (open.empty()) return {};
  return failure("another data snapshot, BACKUP_ID " + open[0].backup_id + ", is " + open[0].state +
                     ", and only one can exist: its creator must close it: " +
                     close_snapshot_statement(*snapshots_->version(), open[0].backup_id, false, "abandoned"),
                 ErrorKind::not_ready);
}

Result<std::vector<Fact>> HanaQuiescer::quiesce(StageContext& context) {
  if (!secondary_.empty()) return std::vector<Fact>{{kSecondaryFact, secondary_}};
  if (auto known = snapshots_->ask_version(context); !known) return tl::unexpected(known.error());
  asked_ = true;
  auto created = snapshots_->create(comment(context), uncertain_, context);
  if (!created) {
    if (!stopped_.empty()) created.error().message += "; its database " + stopped_ + " is stopped";
    return tl::unexpected(created.error());
  }
  backup_id_ = std::move(*created);
  const HanaVersion& version = *snapshots_->version();
  return std::vector<Fact>{{kBackupIdFact, backup_id_},
                           {"comment", comment(context)},
                           {"major_version", std::to_string(version.major)},
                           {"revision", std::to_string(version.revision)}};
}

Result<void> HanaQuiescer::release(StageContext& context, Outcome outcome) {
  if (!asked_) return {};
  if (backup_id_.empty()) {
    auto left = snapshots_->find_left(comment(context), uncertain_, context);
    if (!left) return tl::unexpected(left.error());
    if (left->empty()) {
      if (uncertain_) warn_of_straggler(context);
      return {};
    }
    backup_id_ = std::move(*left);
  }
  if (outcome == Outcome::completed) {
    if (options_.close_successful && !is_part_)
      return snapshots_->close(backup_id_, true, context.execution_id, context);
    return snapshots_->close(backup_id_, false, comment(context) + ": thawed", context);
  }
  auto closed =
      snapshots_->close(backup_id_, false, comment(context) + ": " + std::string(to_string(outcome)), context);
  // That it has gone by itself is as good.
  if (!closed && closed.error().kind == ErrorKind::protection_lost) return {};
  return closed;
}

void HanaQuiescer::warn_of_straggler(StageContext& context) const {
  context.notes.push_back({LogLevel::warn,
                           "CREATE SNAPSHOT was given up, and HANA may still make a snapshot with the comment " +
                               comment(context) + ", whose data grows until it is closed: " +
                               close_snapshot_statement(*snapshots_->version(), "<its BACKUP_ID>", false, "abandoned"),
                           false});
}

Result<void> HanaQuiescer::recover(StageContext& context, const std::vector<Fact>& facts) {
  const auto missing = find_system();
  if (!missing) return tl::unexpected(missing.error());
  if (!missing->empty()) return failure(*missing);
  // Nothing was begun on a secondary; what a primary has begun says its id.
  if (facts.empty() && system_ && !replication_mode(*system_).empty()) return {};
  if (std::any_of(facts.begin(), facts.end(), [](const Fact& fact) { return fact.key == kSecondaryFact; })) return {};
  if (auto found = find_program(); !found) return found;
  if (auto known = snapshots_->ask_version(context); !known) return known;
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
