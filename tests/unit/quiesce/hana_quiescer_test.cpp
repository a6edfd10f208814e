// SPDX-License-Identifier: Apache-2.0
// With a program that stands in for SAP's hdbsql and the database behind it: see tests/standins.
#include "quiesce/hana/hana_quiescer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <stdexcept>
#include <string>

#include "fakes/processes.hpp"
#include "fakes/scratch.hpp"
#include "standins/standins.hpp"

namespace dlm_freeze::hana {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;
using testing::StartsWith;

constexpr const char* kExecution = "11111111-2222-3333-4444-555555555555";
const std::string kOther = "1700000000000|successful|some backup|\n";

class HanaQuiescer : public testing::Test {
 protected:
  HanaQuiescer() { ::chmod(scratch_.path().c_str(), 0755); }
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root, to run programs as another account";
    fakes::adopt_orphans();
    hana_.emplace(scratch_ / "bin");
    hana_->start_hana();
  }
  void TearDown() override { fakes::kill_descendants(); }

  [[nodiscard]] std::unique_ptr<Quiescer> made(Json::Object more = {}) const {
    more.emplace_back("hdbsql", hana_->program("hdbsql"));
    more.emplace_back("os_user", Standins::kUser);
    auto quiescer = make_quiescer(quiescer_type(), {"hana", "hana", true, Json(std::move(more))});
    if (!quiescer) throw std::runtime_error(quiescer.error().message);
    StageContext stage = context();
    const auto presence = (*quiescer)->locate(stage);
    if (!presence || !presence->running) throw std::runtime_error("not located");
    return std::move(*quiescer);
  }
  [[nodiscard]] static StageContext context(BootClock::duration budget = fakes::kSoon) {
    return {Deadline::in(budget), -1, kExecution, nullptr, {}, Deadline::in(std::chrono::minutes(1))};
  }
  static Result<void> probed(Quiescer& quiescer, BootClock::duration budget = fakes::kSoon) {
    StageContext stage = context(budget);
    return quiescer.probe(stage);
  }
  static Result<std::vector<Fact>> quiesced(Quiescer& quiescer, BootClock::duration budget = fakes::kSoon) {
    if (auto ready = probed(quiescer); !ready) return tl::unexpected(ready.error());
    StageContext stage = context(budget);
    return quiescer.quiesce(stage);
  }
  static Result<void> released(Quiescer& quiescer, Outcome outcome) {
    StageContext stage = context();
    return quiescer.release(stage, outcome);
  }
  /// What the catalog has besides the backup that it began with.
  [[nodiscard]] std::string ours() const {
    std::string catalog = hana_->catalog();
    EXPECT_THAT(catalog, StartsWith(kOther));
    return catalog.substr(kOther.size());
  }
  [[nodiscard]] static auto is_closed(const std::string& state, const std::string& text) {
    return MatchesRegex("[0-9]+\\|" + state + "\\|dlm-freeze " + kExecution + "\\|" + text + "\n");
  }

  fakes::Scratch scratch_;
  std::optional<Standins> hana_;
};

TEST_F(HanaQuiescer, IsProbedWithoutBeingChanged) {
  EXPECT_TRUE(probed(*made()));
  EXPECT_EQ(ours(), "");
  EXPECT_EQ(hana_->take_calls(), "version daemon\ndatabases daemon\nhosts daemon\nopen_snapshots daemon\n");
}

TEST_F(HanaQuiescer, KeepsASnapshotOfItsOwnUntilPostScriptReportsIt) {
  const auto quiescer = made();
  const auto facts = quiesced(*quiescer);
  ASSERT_TRUE(facts) << facts.error().message;
  EXPECT_THAT(ours(), is_closed("prepared", ""));
  EXPECT_EQ(facts->at(0).key, "backup_id");
  EXPECT_THAT(ours(), StartsWith(facts->at(0).value + "|"));
  ASSERT_TRUE(released(*quiescer, Outcome::completed));
  EXPECT_THAT(ours(), is_closed("successful", kExecution));
}

TEST_F(HanaQuiescer, ClosesItsSnapshotAsUnsuccessfulWhenItIsNone) {
  for (const Outcome outcome : {Outcome::auto_thawed, Outcome::rolled_back}) {
    hana_->start_hana();
    const auto quiescer = made();
    ASSERT_TRUE(quiesced(*quiescer));
    ASSERT_TRUE(released(*quiescer, outcome));
    EXPECT_THAT(ours(),
                is_closed("failed", std::string("dlm-freeze ") + kExecution + ": " + std::string(to_string(outcome))));
  }
}

TEST_F(HanaQuiescer, ReportsNoBackupWhenToldNotTo) {
  const auto quiescer = made({{"close_successful", false}});
  ASSERT_TRUE(quiesced(*quiescer));
  ASSERT_TRUE(released(*quiescer, Outcome::completed));
  EXPECT_THAT(ours(), is_closed("failed", std::string("dlm-freeze ") + kExecution + ": thawed"));
}

TEST_F(HanaQuiescer, SpeaksToVersionOne) {
  hana_->start_hana("1.00.122.33.1574851");
  const auto quiescer = made();
  const auto facts = quiesced(*quiescer);
  ASSERT_TRUE(facts) << facts.error().message;
  ASSERT_TRUE(released(*quiescer, Outcome::completed));
  EXPECT_THAT(ours(), is_closed("successful", kExecution));
}

TEST_F(HanaQuiescer, WaitsUntilItsSnapshotIsPrepared) {
  hana_->set("hana/slow", "1");
  const auto quiescer = made();
  ASSERT_TRUE(quiesced(*quiescer));
  EXPECT_THAT(ours(), is_closed("prepared", ""));
  EXPECT_TRUE(released(*quiescer, Outcome::rolled_back));
}

TEST_F(HanaQuiescer, FailsWhenItsSnapshotIsNotPreparedInTimeAndClosesItAllTheSame) {
  hana_->set("hana/slow", "3");
  const auto quiescer = made();
  const auto facts = quiesced(*quiescer, std::chrono::seconds(2));
  ASSERT_FALSE(facts);
  EXPECT_THAT(ours(), is_closed("running", ""));
  ASSERT_TRUE(released(*quiescer, Outcome::rolled_back));
  EXPECT_THAT(ours(), is_closed("failed", ".*rolled_back"));
}

TEST_F(HanaQuiescer, IsNotReadyWhileAnotherSnapshotIsOpen) {
  for (const char* state : {"prepared", "running"}) {
    hana_->set("hana/catalog", std::string("17|") + state + "|nightly|\n");
    const auto ready = probed(*made());
    ASSERT_FALSE(ready);
    EXPECT_EQ(ready.error().kind, ErrorKind::not_ready);
    EXPECT_THAT(ready.error().message,
                AllOf(HasSubstr(std::string("BACKUP_ID 17, is ") + state),
                      HasSubstr("BACKUP DATA FOR FULL SYSTEM CLOSE SNAPSHOT BACKUP_ID 17 UNSUCCESSFUL")));
    EXPECT_EQ(hana_->catalog(), std::string("17|") + state + "|nightly|\n");
  }
}

TEST_F(HanaQuiescer, IsNotReadyWithoutAKeyAndSaysHowToMakeIt) {
  const auto ready = probed(*made({{"user_store_key", "OTHER"}}));
  ASSERT_FALSE(ready);
  EXPECT_EQ(ready.error().kind, ErrorKind::not_ready);
  EXPECT_THAT(ready.error().message,
              AllOf(HasSubstr("-10104: Invalid value for KEY (OTHER)"),
                    HasSubstr("as daemon: hdbuserstore SET OTHER <host>:3<NN>13 <USER> <PASSWORD>")));
}

TEST_F(HanaQuiescer, IsNotReadyWhenItIsNotUp) {
  hana_->remove("hana/up");
  const auto ready = probed(*made());
  ASSERT_FALSE(ready);
  EXPECT_EQ(ready.error().kind, ErrorKind::not_ready);
  EXPECT_THAT(ready.error().message, HasSubstr("Connection failed"));
}

TEST_F(HanaQuiescer, IsNotReadyWhileOneOfItsDatabasesStarts) {
  hana_->set("hana/databases", "SYSTEMDB YES\nHDB STARTING\nOLD NO\n");
  const auto ready = probed(*made());
  ASSERT_FALSE(ready);
  EXPECT_EQ(ready.error().kind, ErrorKind::not_ready);
  EXPECT_EQ(ready.error().message, "hana: its database HDB is starting or stopping");
}

TEST_F(HanaQuiescer, WarnsOfADatabaseThatIsStopped) {
  hana_->set("hana/databases", "SYSTEMDB YES\nHDB YES\nOLD NO\n");
  const auto quiescer = made();
  StageContext stage = context();
  ASSERT_TRUE(quiescer->probe(stage));
  ASSERT_EQ(stage.notes.size(), 1U);
  EXPECT_EQ(stage.notes[0].level, LogLevel::warn);
  EXPECT_THAT(stage.notes[0].text, StartsWith("hana: its database OLD is stopped"));
  hana_->fail("create", "exit 3 * 447: backup could not be completed");
  const auto facts = quiescer->quiesce(stage);
  ASSERT_FALSE(facts);
  EXPECT_EQ(facts.error().message,
            "hana: CREATE SNAPSHOT: 447: backup could not be completed; its database OLD is stopped");
}

TEST_F(HanaQuiescer, OfVersionOneOnSeveralHostsIsNotReportedAsABackupEither) {
  hana_->start_hana("1.00.122.33.1574851");
  hana_->set("hana/hosts", "hana1 WORKER\nhana2 WORKER\n");
  const auto quiescer = made();
  StageContext stage = context();
  ASSERT_TRUE(quiescer->probe(stage));
  ASSERT_EQ(stage.notes.size(), 1U);
  EXPECT_THAT(stage.notes[0].text, StartsWith("hana: it runs on 2 hosts (hana1, hana2)"));
  ASSERT_TRUE(quiescer->quiesce(stage));
  ASSERT_TRUE(released(*quiescer, Outcome::completed));
  EXPECT_THAT(ours(), is_closed("failed", ".*: thawed"));
}

TEST_F(HanaQuiescer, OnSeveralHostsIsNotReportedAsABackup) {
  hana_->set("hana/hosts", "hana1 WORKER\nhana2 WORKER\nhana3 STANDBY\n");
  const auto quiescer = made();
  StageContext stage = context();
  ASSERT_TRUE(quiescer->probe(stage));
  ASSERT_EQ(stage.notes.size(), 1U);
  EXPECT_THAT(stage.notes[0].text, StartsWith("hana: it runs on 3 hosts (hana1, hana2, hana3)"));
  ASSERT_TRUE(quiescer->quiesce(stage));
  ASSERT_TRUE(released(*quiescer, Outcome::completed));
  EXPECT_THAT(ours(), is_closed("failed", ".*: thawed"));
}

TEST_F(HanaQuiescer, IsAskedInOneGoAStage) {
  const auto quiescer = made();
  StageContext stage = context();
  ASSERT_TRUE(quiescer->probe(stage));
  hana_->take_calls();
  ASSERT_TRUE(quiescer->quiesce(stage));
  EXPECT_EQ(hana_->take_calls(), "create daemon\nopen_snapshots daemon\n");
  ASSERT_TRUE(released(*quiescer, Outcome::completed));
  EXPECT_EQ(hana_->take_calls(), "close_snapshot daemon\n");
}

TEST_F(HanaQuiescer, DoesNotNeedToSeeItsDatabases) {
  hana_->fail("hosts", "exit 3 * 258: insufficient privilege: Not authorized SQLSTATE: HY000");
  hana_->fail("databases", "exit 3 * 258: insufficient privilege: Not authorized SQLSTATE: HY000");
  EXPECT_TRUE(probed(*made()));
}

TEST_F(HanaQuiescer, IsNotReadyWhenItDoesNotAnswerOrSaysNonsense) {
  for (const char* how : {"hang", "garbage", "exit 1 no such library", "exit 127 not found"}) {
    hana_->fail("version", how);
    const auto ready = probed(*made(), std::chrono::milliseconds(700));
    ASSERT_FALSE(ready) << how;
    EXPECT_EQ(ready.error().kind, ErrorKind::not_ready) << how;
  }
  EXPECT_TRUE(fakes::all_gone());
}

TEST_F(HanaQuiescer, FailsWhenTheServerRefusesAndLooksForNothing) {
  hana_->fail("create", "exit 3 * 447: backup could not be completed SQLSTATE: HY000");
  const auto quiescer = made();
  const auto facts = quiesced(*quiescer);
  ASSERT_FALSE(facts);
  EXPECT_EQ(facts.error().message, "hana: CREATE SNAPSHOT: 447: backup could not be completed SQLSTATE: HY000");
  EXPECT_EQ(facts.error().kind, ErrorKind::failed);
  const auto begin = BootClock::now();
  EXPECT_TRUE(released(*quiescer, Outcome::rolled_back));
  EXPECT_LT(BootClock::now() - begin, std::chrono::seconds(2));
  EXPECT_EQ(ours(), "");
}

TEST_F(HanaQuiescer, ClosesWhatCameOfAStatementWhoseEndItDidNotSee) {
  for (const char* how : {"late", "straggle 2"}) {
    hana_->start_hana();
    hana_->fail("create", how);
    const auto quiescer = made();
    EXPECT_FALSE(quiesced(*quiescer, std::chrono::seconds(1)));
    EXPECT_TRUE(released(*quiescer, Outcome::rolled_back));
    EXPECT_THAT(ours(), is_closed("failed", ".*rolled_back")) << how;
  }
}

TEST_F(HanaQuiescer, SaysThatASnapshotThatWasGivenUpMayYetCome) {
  hana_->fail("create", "hang");
  const auto quiescer = made();
  EXPECT_FALSE(quiesced(*quiescer, std::chrono::seconds(1)));
  StageContext stage = context();
  ASSERT_TRUE(quiescer->release(stage, Outcome::rolled_back));
  ASSERT_EQ(stage.notes.size(), 1U);
  EXPECT_THAT(stage.notes[0].text,
              AllOf(HasSubstr("may still make a snapshot with the comment dlm-freeze " + std::string(kExecution)),
                    HasSubstr("CLOSE SNAPSHOT BACKUP_ID <its BACKUP_ID> UNSUCCESSFUL")));
}

TEST_F(HanaQuiescer, TriesAgainWhenTheSnapshotCannotBeClosed) {
  const auto quiescer = made();
  ASSERT_TRUE(quiesced(*quiescer));
  hana_->fail("close_snapshot", "once exit 1 * -10807: System call 'recv' failed");
  EXPECT_TRUE(released(*quiescer, Outcome::auto_thawed));
  EXPECT_THAT(ours(), is_closed("failed", ".*auto_thawed"));
}

TEST_F(HanaQuiescer, SaysHowToCloseWhatItCouldNotClose) {
  const auto quiescer = made();
  ASSERT_TRUE(quiesced(*quiescer));
  hana_->fail("close_snapshot", "exit 3 * 447: not now");
  const auto end = released(*quiescer, Outcome::completed);
  ASSERT_FALSE(end);
  EXPECT_THAT(end.error().message, AllOf(HasSubstr("could not be closed (447: not now)"),
                                         HasSubstr("CLOSE SNAPSHOT BACKUP_ID"), HasSubstr("UNSUCCESSFUL")));
}

TEST_F(HanaQuiescer, WhoseSnapshotIsGoneHasLostItsProtection) {
  const auto quiescer = made();
  ASSERT_TRUE(quiesced(*quiescer));
  hana_->start_hana();  // Again: a restart drops what was prepared.
  const auto end = released(*quiescer, Outcome::completed);
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().kind, ErrorKind::protection_lost);
  EXPECT_THAT(end.error().message, HasSubstr("HANA was restarted, or another program closed it"));
  EXPECT_TRUE(released(*quiescer, Outcome::auto_thawed)) << "it is gone, as it should be";
}

TEST_F(HanaQuiescer, IsClosedByAnotherProcessFromTheRecord) {
  const auto facts = quiesced(*made());
  ASSERT_TRUE(facts);
  StageContext stage = context();
  ASSERT_TRUE(made()->recover(stage, *facts));
  EXPECT_THAT(ours(), is_closed("failed", ".*rolled_back"));
  EXPECT_TRUE(made()->recover(stage, *facts)) << "once more";
}

TEST_F(HanaQuiescer, IsClosedByAnotherProcessByItsCommentAlone) {
  ASSERT_TRUE(quiesced(*made()));
  StageContext stage = context();
  ASSERT_TRUE(made()->recover(stage, {}));
  EXPECT_THAT(ours(), is_closed("failed", ".*rolled_back"));
}

TEST_F(HanaQuiescer, LeavesTheSnapshotsOfOthersAlone) {
  hana_->set("hana/catalog", kOther + "17|prepared|nightly|\n");
  StageContext stage = context();
  ASSERT_TRUE(made()->recover(stage, {}));
  EXPECT_EQ(ours(), "17|prepared|nightly|\n");
}

TEST_F(HanaQuiescer, IsNotReadyWithoutItsProgram) {
  const auto quiescer = make_quiescer(
      quiescer_type(), {"hana", "hana", true, Json::Object{{"os_user", "daemon"}, {"hdbsql", "/nowhere/hdbsql"}}});
  ASSERT_TRUE(quiescer);
  StageContext stage = context();
  const auto presence = (*quiescer)->locate(stage);
  ASSERT_FALSE(presence);
  EXPECT_EQ(presence.error().kind, ErrorKind::not_ready);
  EXPECT_EQ(presence.error().message, "hana: there is no program /nowhere/hdbsql");
}

TEST_F(HanaQuiescer, RefusesOptionsThatWouldBeTakenForOthers) {
  const auto complaint = [](Json::Object options) {
    const auto checked = check_options(quiescer_type(), Json(std::move(options)), "hana");
    return checked ? "" : checked.error().message;
  };
  EXPECT_EQ(complaint({{"user_store_key", "-u"}}), "hana.user_store_key must be a string that does not begin with '-'");
  EXPECT_EQ(complaint({{"database", "-x"}}), "hana.database must be a string that does not begin with '-'");
  EXPECT_EQ(complaint({{"os_user", "-"}}), "hana.os_user must be a string that does not begin with '-'");
  EXPECT_EQ(complaint({{"hdbsql", "hdbsql"}}), "hana.hdbsql must be an absolute path");
}

TEST_F(HanaQuiescer, PassesTheOptionsThatAreConfigured) {
  EXPECT_TRUE(probed(*made({{"hdbsql_options", Json::Array{"-e"}}})));
  EXPECT_THAT(hana_->take_calls(), StartsWith("encrypted\n"));
}

TEST_F(HanaQuiescer, LogsInToTheDatabaseThatIsConfigured) {
  const auto ready = probed(*made({{"database", "TENANT"}}));
  EXPECT_TRUE(ready);
  const auto quiescer = made({{"database", "TENANT"}});
  const auto facts = quiesced(*quiescer);
  ASSERT_FALSE(facts);
  EXPECT_THAT(facts.error().message, HasSubstr("not the system database"));
}

}  // namespace
}  // namespace dlm_freeze::hana
