// SPDX-License-Identifier: Apache-2.0
// The stages of a quiescer, shown with the one that runs commands.
#include <gmock/gmock.h>
#include <signal.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "harness/host_test.hpp"

namespace dlm_freeze::integration {
namespace {

using testing::AnyOf;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;
using testing::Optional;

class Quiescer : public HostTest {
 protected:
  static constexpr const char* kJournal = "/srv/journal";

  void SetUp() override {
    HostTest::SetUp();
    if (IsSkipped()) return;
    data_ = &add("ext4", "/srv/data");
  }

  /// A command that notes `word` in the journal and goes on with `more`, which may be any shell
  /// text.
  static nlohmann::json note(const std::string& word, const std::string& more = "true") {
    return {"/bin/sh", "-c", "echo " + word + " >>" + kJournal + "; " + more};
  }

  /// One that notes every stage.
  static nlohmann::json quiescer(const std::string& name = "db") {
    return {{"type", "command"},
            {"name", name},
            {"probe", note(name + ":probe")},
            {"prepare", note(name + ":prepare")},
            {"freeze", note(name + ":freeze")},
            {"thaw", note(name + ":thaw")},
            {"timeout_seconds", 5}};
  }

  void configure_quiescers(const std::vector<nlohmann::json>& quiescers) const {
    configure(nlohmann::json{{"auto_thaw_seconds", 20}, {"quiescers", quiescers}}.dump(2));
  }

  /// What the commands noted since the last look.
  static std::string journal() {
    if (!std::filesystem::exists(kJournal)) return "";
    const auto text = read_text(kJournal);
    std::filesystem::remove(kJournal);
    return text;
  }

  const Filesystem* data_ = nullptr;
};

TEST_F(Quiescer, IsProbedPreparedAndFrozenBeforeTheFilesystemsAndThawedAfterThem) {
  auto db = quiescer();
  // Each of them writes to the filesystem, which would hang while that is frozen.
  for (const char* stage : {"probe", "prepare", "freeze", "thaw"}) {
    db[stage] = note(std::string("db:") + stage, std::string("echo x >/srv/data/") + stage);
  }
  configure_quiescers({db});
  expect(0, {"pre-script"});
  EXPECT_EQ(journal(), "db:probe\ndb:prepare\ndb:freeze\n");
  EXPECT_TRUE(frozen(*data_));
  expect(0, {"post-script"});
  EXPECT_EQ(journal(), "db:thaw\n");
  EXPECT_TRUE(writable(*data_));
  EXPECT_TRUE(std::filesystem::exists("/srv/data/thaw"));
}

TEST_F(Quiescer, HoldsASessionOfItsOwnWhereNoFilesystemIsToBeFrozen) {
  const nlohmann::json config = {
      {"quiescers", {quiescer()}}, {"auto_thaw_seconds", 20}, {"filesystems", {{"freeze", false}}}};
  configure(config.dump());
  const auto pre = expect(0, {"pre-script"});
  EXPECT_EQ(journal(), "db:probe\ndb:prepare\ndb:freeze\n");
  expect(204, {"pre-script"});
  EXPECT_THAT(journal(), Not(HasSubstr("freeze")));
  EXPECT_TRUE(writable(*data_));
  expect(0, {"post-script"});
  EXPECT_EQ(journal(), "db:thaw\n");
}

TEST_F(Quiescer, WhoseFreezeFailsIsThawedAndTheAnswerIs201) {
  auto db = quiescer();
  db["freeze"] = note("db:freeze", "echo the lock is lost >&2; exit 3");
  configure_quiescers({db});
  const auto pre = expect(201, {"pre-script"});
  EXPECT_THAT(pre.err, HasSubstr("db"));
  EXPECT_THAT(pre.err, HasSubstr("the lock is lost"));
  EXPECT_EQ(journal(), "db:probe\ndb:prepare\ndb:freeze\ndb:thaw\n");
  EXPECT_TRUE(writable(*data_));
  EXPECT_TRUE(all_gone());
  expect(205, {"post-script"});
}

TEST_F(Quiescer, WhoseFreezeHangsIsKilledThawedAndAnswered201WithinTheBudget) {
  auto db = quiescer();
  db["freeze"] = note("db:freeze", "sleep 1000");
  db["timeout_seconds"] = 1;
  configure_quiescers({db});
  const auto pre = expect(201, {"pre-script", "--timeout", "3"});
  EXPECT_LT(pre.run_time(), std::chrono::seconds(4));
  EXPECT_EQ(journal(), "db:probe\ndb:prepare\ndb:freeze\ndb:thaw\n");
  EXPECT_TRUE(writable(*data_));
  EXPECT_TRUE(all_gone());
}

TEST_F(Quiescer, WhoseFreezeTakesTheWholeBudgetOfPreScriptIsThawedAndAnswered201Or206) {
  auto db = quiescer();
  db["freeze"] = note("db:freeze", "sleep 1000");
  db["timeout_seconds"] = 60;
  configure_quiescers({db});
  const auto pre = run({"pre-script", "--timeout", "2"});
  EXPECT_THAT(pre.exit_code, Optional(AnyOf(201, 206))) << pre.text();
  EXPECT_LT(pre.run_time(), std::chrono::seconds(3));
  EXPECT_TRUE(all_gone(std::chrono::seconds(3)));
  EXPECT_THAT(journal(), HasSubstr("db:freeze\ndb:thaw\n"));
  EXPECT_TRUE(writable(*data_));
}

TEST_F(Quiescer, WhoseProbeFailsIsNotReadyAndNothingElseOfItIsRun) {
  auto db = quiescer();
  db["probe"] = note("db:probe", "exit 1");
  configure_quiescers({db});
  const auto pre = expect(206, {"pre-script"});
  EXPECT_THAT(pre.err, HasSubstr("Return Error Code: 206"));
  EXPECT_EQ(journal(), "db:probe\n");
  EXPECT_TRUE(writable(*data_));
  EXPECT_TRUE(all_gone());
}

TEST_F(Quiescer, WhoseThawFailsIsReportedByPostScriptAndTheFilesystemsAreThawed) {
  auto db = quiescer();
  db["thaw"] = note("db:thaw", "exit 1");
  configure_quiescers({db, quiescer("other")});
  expect(0, {"pre-script"});
  journal();
  const auto post = expect(202, {"post-script"});
  EXPECT_THAT(post.err, HasSubstr("db"));
  EXPECT_THAT(journal(), HasSubstr("other:thaw"));
  EXPECT_TRUE(writable(*data_));
}

TEST_F(Quiescer, IsThawedWhenAFilesystemCannotBeFrozen) {
  configure_quiescers({quiescer()});
  const auto& theirs = add("ext4", "/srv/theirs");
  theirs.freeze();
  expect(204, {"pre-script"});
  EXPECT_EQ(journal(), "db:probe\ndb:prepare\ndb:freeze\ndb:thaw\n");
  EXPECT_TRUE(writable(*data_));
  EXPECT_TRUE(theirs.thaw());
}

TEST_F(Quiescer, IsThawedAtTheDeadline) {
  configure_quiescers({quiescer()});
  expect(0, {"pre-script", "--auto-thaw", "1"});
  EXPECT_EQ(journal(), "db:probe\ndb:prepare\ndb:freeze\n");
  EXPECT_TRUE(writable(*data_, std::chrono::seconds(2)));
  EXPECT_TRUE(all_gone());
  EXPECT_EQ(journal(), "db:thaw\n");
  expect(203, {"post-script"});
  EXPECT_EQ(journal(), "");
}

TEST_F(Quiescer, IsThawedAfterTheDeathOfTheWatchdog) {
  configure_quiescers({quiescer()});
  expect(0, {"pre-script"});
  EXPECT_EQ(journal(), "db:probe\ndb:prepare\ndb:freeze\n");
  process("dlm-watchdog").signal(SIGKILL);
  EXPECT_TRUE(writable(*data_));
  EXPECT_TRUE(all_gone());
  const bool thawed_by_sentinel = journal() == "db:thaw\n";
  expect(202, {"post-script"});
  EXPECT_TRUE(thawed_by_sentinel || journal() == "db:thaw\n");
}

TEST_F(Quiescer, IsThawedAfterTheDeathOfPreScript) {
  auto db = quiescer();
  db["freeze"] = note("db:freeze", "sleep 1");
  configure_quiescers({db});
  const auto pre = start({"pre-script"});
  ASSERT_TRUE(
      eventually([] { return std::filesystem::exists(kJournal) && read_text(kJournal).ends_with("db:freeze\n"); },
                 std::chrono::seconds(3)));
  pre->kill_group();
  EXPECT_TRUE(all_gone(std::chrono::seconds(3)));
  EXPECT_THAT(journal(), HasSubstr("db:freeze\ndb:thaw\n"));
  EXPECT_TRUE(writable(*data_));
}

TEST_F(Quiescer, GetsNoDescriptorButItsThreeStandardOnes) {
  auto db = quiescer();
  db["freeze"] = {"/bin/sh", "-c", "readlink /proc/$$/fd/* >/srv/descriptors; true"};
  configure_quiescers({db});
  expect(0, {"pre-script"});
  expect(0, {"post-script"});
  EXPECT_THAT(read_text("/srv/descriptors"), MatchesRegex("((/dev/null|pipe:.*|/srv/descriptors)\n){3}"));
}

TEST_F(Quiescer, OfSeveralAllHoldOrNoneDoes) {
  auto bad = quiescer("bad");
  bad["freeze"] = note("bad:freeze", "exit 1");
  configure_quiescers({quiescer("one"), bad, quiescer("two")});
  expect(201, {"pre-script"});
  const auto noted = journal();
  for (const std::string name : {"one", "two"}) {
    EXPECT_EQ(noted.find(name + ":freeze") != std::string::npos, noted.find(name + ":thaw") != std::string::npos)
        << noted;
  }
  EXPECT_TRUE(writable(*data_));
}

}  // namespace
}  // namespace dlm_freeze::integration
