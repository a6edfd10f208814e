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
#include "quiesce/hana/statements.hpp"
#include "quiesce/hana/systems.hpp"

namespace dlm_freeze::hana {
namespace {

constexpr const char* kDefaultKey = "DLMFREEZE";
constexpr const char* kBackupIdFact = "backup_id";
constexpr const char* kSecondaryFact = "secondary";

class HanaQuiescer final : public Quiescer {
 public:
  explicit HanaQuiescer(const QuiescerConfig& config)
      : name_(config.name),
        key_(config.text("user_store_key", kDefaultKey)),
        os_user_(config.text("os_user")),
        database_(config.text("database")),
        hdbsql_(config.text("hdbsql")),
        hdbsql_options_(config.text_list("hdbsql_options")),
        freeze_log_(config.boolean("freeze_log", false)),
        close_successful_(config.boolean("close_successful", true)) {}

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

  [[nodiscard]] std::string comment(const StageContext& context) const { return "dlm-freeze " + context.execution_id; }
  [[nodiscard]] Failure problem(const std::string& what, ErrorKind kind = ErrorKind::failed) const {
    return failure(name_ + ": " + what, kind);
  }
  [[nodiscard]] std::string how_to_log_in() const;

  std::string name_;
  std::string key_;
  std::string os_user_;
  std::string database_;
  std::string hdbsql_;
  std::vector<std::string> hdbsql_options_;
  bool freeze_log_;
  bool close_successful_;

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
  if (os_user_.empty() && systems.size() > 1) {
    return problem("there are several systems below /usr/sap: say with os_user whose, " + systems[0].administrator() +
                   " for one");
  }
  if (os_user_.empty() && systems.empty()) return std::string("there is no SAP HANA below /usr/sap");
  for (const HanaSystem& system : systems) {
    if (os_user_.empty() || system.administrator() == os_user_) system_ = system;
  }
  if (os_user_.empty()) os_user_ = system_->administrator();
  return std::string();
}

/// What to run, and so what to ask.
Result<void> HanaQuiescer::find_program() {
  if (hdbsql_.empty() && system_) hdbsql_ = find_hdbsql(*system_);
  if (hdbsql_.empty())
    return problem("there is no hdbsql in the standard places: say with hdbsql where it is", ErrorKind::not_ready);
  if (::access(hdbsql_.c_str(), X_OK) != 0) return problem("there is no program " + hdbsql_, ErrorKind::not_ready);
  if (os_user_ == "root") {
    if (auto trusted = check_trusted(hdbsql_); !trusted) return tl::unexpected(trusted.error().with_context(name_));
  }
  snapshots_.emplace(name_, ClientSettings{hdbsql_, key_, os_user_, hdbsql_options_}, database_);
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
  for (DataLocation& location : locations) location.may_be_frozen = location.may_be_frozen || freeze_log_;
  return locations;
}

std::string HanaQuiescer::how_to_log_in() const {
  const std::string port = system_ ? "3" + system_->number + "13" : "3<NN>13";
  return "as " + os_user_ + ": hdbuserstore SET " + key_ + " <host>:" + port + " <USER> <PASSWORD> (docs/hana.md)";
}

Result<void> HanaQuiescer::probe(StageContext& context) {
  if (!secondary_.empty()) {
    note_secondary(context);
    return {};
  }
  const auto state = snapshots_->look(context);
  if (!state) {
    const std::string advice =
        snapshots_->version() ? "" : "; it has to be up, and the key " + key_ + " to be made " + how_to_log_in();
    return failure(state.error().message + advice, ErrorKind::not_ready);
  }
  if (auto ready = check_databases(state->databases, context); !ready) return ready;
  check_hosts(state->hosts, context);
  if (system_ && context.coverage) {
    const CoverageReport report = report_coverage(name_, locations(), context.coverage,
                                                  "HANA's own snapshot keeps it consistent, on its own volume only");
    context.notes.insert(context.notes.end(), report.lines.begin(), report.lines.end());
  }
  return check_snapshots(state->open);
}

void HanaQuiescer::note_secondary(StageContext& context) const {
  context.notes.push_back(
      {LogLevel::warn, name_ + ": by its global.ini it is a secondary of system replication (" + secondary_ +
                           "), which makes no data snapshots: nothing of it is held, and this snapshot is no backup of "
                           "it; take those of the primary"});
}

Result<void> HanaQuiescer::check_databases(const std::vector<HanaPart>& databases, StageContext& context) {
  for (const HanaPart& database : databases) {
    if (database.state != "NO")
      return problem("its database " + database.name + " is starting or stopping", ErrorKind::not_ready);
    stopped_ = database.name;
  }
  if (!stopped_.empty()) {
    context.notes.push_back({LogLevel::warn, name_ + ": its database " + stopped_ +
                                                 " is stopped: a data snapshot is of what runs, and HANA may refuse "
                                                 "it; start or drop that database"});
  }
  return {};
}

void HanaQuiescer::check_hosts(const std::vector<HanaPart>& hosts, StageContext& context) {
  is_part_ = hosts.size() > 1;
  if (!is_part_) return;
  std::vector<std::string> names;
  for (const HanaPart& host : hosts) names.push_back(host.name);
  context.notes.push_back(
      {LogLevel::warn, name_ + ": it runs on " + count_of(hosts.size(), "host") + " (" + list_of(names) +
                           "), of which this one's volumes are a part: a restore needs those of all of them, frozen "
                           "while the same data snapshot is open, so it is not reported as a backup"});
}

Result<void> HanaQuiescer::check_snapshots(const std::vector<HanaSnapshot>& open) const {
  if (open.empty()) return {};
  return problem("another data snapshot, BACKUP_ID " + open[0].backup_id + ", is " + open[0].state +
                     ", and there can be one at a time; whoever made it has to close it: " +
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
    if (left->empty()) return {};
    backup_id_ = std::move(*left);
  }
  if (outcome == Outcome::completed) {
    if (close_successful_ && !is_part_) return snapshots_->close(backup_id_, true, context.execution_id, context);
    return snapshots_->close(backup_id_, false, comment(context) + ": thawed", context);
  }
  auto closed =
      snapshots_->close(backup_id_, false, comment(context) + ": " + std::string(to_string(outcome)), context);
  // That it has gone by itself is as good.
  if (!closed && closed.error().kind == ErrorKind::protection_lost) return {};
  return closed;
}

Result<void> HanaQuiescer::recover(StageContext& context, const std::vector<Fact>& facts) {
  const auto missing = find_system();
  if (!missing) return tl::unexpected(missing.error());
  if (!missing->empty()) return problem(*missing);
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
  for (const char* key : {"user_store_key", "os_user", "database"}) {
    const std::string text = config.text(key);
    if (text.starts_with('-'))
      return failure(config.name + "." + key + ": '" + text + "' would be taken for an option");
  }
  if (config.has("hdbsql") && !config.text("hdbsql").starts_with('/'))
    return failure(config.name + ".hdbsql: '" + config.text("hdbsql") + "' is no absolute path");
  return std::make_unique<HanaQuiescer>(config);
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
      .description = "SAP HANA, by a data snapshot of its own",
      .options =
          {
              {.name = "user_store_key",
               .description = "the key in hdbuserstore to log in with; DLMFREEZE when absent"},
              {.name = "os_user",
               .description = "the account that has the key; <sid>adm of the only system when absent"},
              {.name = "database", .description = "the database to log in to; SYSTEMDB where there is one"},
              {.name = "hdbsql", .description = "the program, when it is not in a standard place"},
              {.name = "hdbsql_options",
               .type = OptionType::text_list,
               .description = "more options for it, such as those for TLS"},
              {.name = "freeze_log",
               .type = OptionType::boolean,
               .description = "freeze the filesystem of the log volume too: commits wait for the thaw"},
              {.name = "close_successful",
               .type = OptionType::boolean,
               .description = "whether post-script reports the snapshot as a backup; true when absent"},
          },
      .create = create,
      .detect = detect,
  };
  return kType;
}

}  // namespace dlm_freeze::hana
