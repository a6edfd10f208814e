// SPDX-License-Identifier: Apache-2.0
// Everything around the agent that can be wrong: a clear answer, and nothing left frozen.
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "harness/host_test.hpp"

namespace dlm_freeze::integration {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::AnyOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr uid_t kNobody = 65534;

class Failures : public HostTest {
 protected:
  void SetUp() override {
    HostTest::SetUp();
    if (IsSkipped()) return;
    data_ = &add("ext4", "/srv/data");
  }

  void expect_nothing_frozen() {
    EXPECT_TRUE(writable(*data_));
    EXPECT_TRUE(all_gone());
  }

  /// pre-script refuses with `code`, says `words` on stderr, and leaves nothing frozen.
  void expect_refusal(int code, const std::vector<std::string>& arguments, const std::string& words,
                      const RunOptions& options = {}) {
    const auto result = expect(code, arguments, options);
    EXPECT_THAT(result.err,
                AllOf(HasSubstr("ERROR: "), HasSubstr(words), HasSubstr("Return Error Code: " + std::to_string(code))));
    expect_nothing_frozen();
  }

  const Filesystem* data_ = nullptr;
};

// --- the command line ---

TEST_F(Failures, OfTheCommandLineTouchNothing) {
  expect_refusal(1, {"pre-skript"}, "pre-skript");
  expect_refusal(1, {"pre-script", "--frobnicate"}, "frobnicate");
  expect_refusal(1, {"pre-script", "--execution-id", "not-a-uuid"}, "execution-id");
  expect_refusal(1, {"pre-script", "--execution-id", "$(reboot)"}, "execution-id");
  expect_refusal(1, {"pre-script", "--auto-thaw", "0"}, "auto-thaw");
  expect_refusal(1, {"pre-script", "--auto-thaw", "3601"}, "auto-thaw");
  expect_refusal(1, {"pre-script", "--auto-thaw", "-5"}, "auto-thaw");
  expect_refusal(1, {"pre-script", "--auto-thaw", "5s"}, "auto-thaw");
  expect_refusal(1, {"pre-script", "--timeout", "121"}, "timeout");
  expect_refusal(1, {"pre-script", "--timeout"}, "timeout");
  expect_refusal(1, {"post-script", "--auto-thaw", "5"}, "auto-thaw");
  EXPECT_FALSE(fs::exists("/run/dlm-freeze"));
}

TEST_F(Failures, OfTheEnvironmentsAutoThawTouchNothing) {
  configure(R"({"quiescers": []})");
  for (const char* value : {"0", "soon", "99999999999999999999", "-1", "60 seconds"}) {
    expect_refusal(1, {"pre-script"}, "AUTO_THAW_DURATION_SECS",
                   {.environment = {std::string("AUTO_THAW_DURATION_SECS=") + value}});
  }
}

TEST_F(Failures, NoneWhenTheEnvironmentsAutoThawIsEmpty) {
  configure(R"({"quiescers": []})");
  expect(0, {"pre-script"}, {.environment = {"AUTO_THAW_DURATION_SECS="}});
  expect(0, {"post-script"});
}

// --- the configuration ---

TEST_F(Failures, OfTheConfigurationAre201ForPreScriptAnd1ForDryRun) {
  struct Bad {
    const char* config;
    const char* words;
  };
  for (const auto& [config, words] : {
           Bad{"{\n  \"auto_thaw_secs\": 5\n}", "auto_thaw_secs"},
           Bad{"{\n  \"auto_thaw_seconds\": \"5\"\n}", "auto_thaw_seconds"},
           Bad{"{\n  \"auto_thaw_seconds\": 0\n}", "auto_thaw_seconds"},
           Bad{"{\n  \"filesystems\": { \"include\": \"/srv\" }\n}", "include"},
           Bad{"{\n  \"quiescers\": [ { \"type\": \"orcale\" } ]\n}", "orcale"},
           Bad{"{\n  \"quiescers\": [ { \"name\": \"x\" } ]\n}", "type"},
           Bad{"{\n  \"quiescers\": [\n", "line"},
       }) {
    configure(config);
    expect_refusal(201, {"pre-script"}, words);
    expect_refusal(1, {"dry-run"}, words);
    EXPECT_THAT(run({"pre-script"}).err, HasSubstr("line ")) << config;
  }
  configure("");
  expect_refusal(201, {"pre-script"}, "config.json");
}

TEST_F(Failures, OfTheConfigurationDoNotKeepPostScriptAndStatusFromWorking) {
  expect(0, {"pre-script"});
  configure("{ nonsense");
  expect(0, {"status"});
  expect(0, {"post-script"});
  expect_nothing_frozen();
}

TEST_F(Failures, AMissingConfigurationThatWasNamedIsAnError) {
  fs::remove(config());
  expect_refusal(201, {"pre-script"}, "config.json");
}

TEST_F(Failures, AConfigurationThatOthersCanWriteIsRefused) {
  ASSERT_EQ(::chmod(config().c_str(), 0666), 0);
  expect_refusal(201, {"pre-script"}, "config.json");
  ASSERT_EQ(::chmod(config().c_str(), 0644), 0);
  ASSERT_EQ(::chown(config().c_str(), kNobody, kNobody), 0);
  expect_refusal(201, {"pre-script"}, "config.json");
  ASSERT_EQ(::chown(config().c_str(), 0, 0), 0);
  ASSERT_EQ(::chmod("/srv/etc", 0777), 0);
  expect_refusal(201, {"pre-script"}, "/srv/etc");
  ASSERT_EQ(::chmod("/srv/etc", 01777), 0);
  expect(0, {"pre-script"});
  expect(0, {"post-script"});
}

// --- privileges ---

TEST_F(Failures, WithoutPrivilegesPreScriptAnswers201AndPostScript202AndTheRestSaysWhatItCan) {
  const RunOptions nobody{.user = kNobody};
  expect_refusal(201, {"pre-script"}, "root", nobody);
  expect_refusal(202, {"post-script"}, "root", nobody);
  expect(0, {"status"}, nobody);
  EXPECT_THAT(expect(0, {"dry-run", "--all"}, nobody).out, HasSubstr("/srv/data"));

  expect(0, {"pre-script"});
  expect(202, {"post-script"}, nobody);
  const auto status = run({"status"}, nobody);  // it may not look into the state directory
  EXPECT_THAT(status.out + status.err, HasSubstr("/run/dlm-freeze"));
  EXPECT_TRUE(frozen(*data_)) << "a user without privileges could end the session";
  expect(0, {"post-script"});
}

// --- the state directory ---

TEST_F(Failures, WhereTheStateDirectoryCannotBeMade) {
  check(::mount("tmpfs", "/run", "tmpfs", MS_RDONLY, "mode=0755"), "mount /run");
  expect_refusal(201, {"pre-script"}, "/run/dlm-freeze");
  unmount_lazily("/run");
  expect_refusal(201, {"--state-dir", "/srv/no/such/place", "pre-script"}, "/srv/no/such");
}

TEST_F(Failures, WhereRunIsFull) {
  mount_tmpfs("/run", "mode=0755,size=64k");
  run_tool({"sh", "-c", "cat /dev/zero >/run/filler 2>/dev/null; test -s /run/filler"});
  expect_refusal(201, {"pre-script"}, "/run/dlm-freeze");
  EXPECT_THAT(run({"pre-script"}).err, HasSubstr("space"));
}

TEST_F(Failures, WhereRunFillsUpWhileHeldPostScriptStillThaws) {
  mount_tmpfs("/run", "mode=0755,size=256k");
  expect(0, {"pre-script"});
  run_tool({"sh", "-c", "cat /dev/zero >/run/filler 2>/dev/null; test -s /run/filler"});
  EXPECT_TRUE(frozen(*data_));
  expect(0, {"post-script"});
  expect_nothing_frozen();
}

TEST_F(Failures, WhereRunHasNoInodesLeft) {
  mount_tmpfs("/run", "mode=0755,nr_inodes=2");
  expect_refusal(201, {"pre-script"}, "/run/dlm-freeze");
}

TEST_F(Failures, WhereASymbolicLinkWasPlantedInPlaceOfTheStateDirectory) {
  fs::create_directories("/srv/elsewhere");
  fs::create_directory_symlink("/srv/elsewhere", "/run/dlm-freeze");
  expect_refusal(201, {"pre-script"}, "/run/dlm-freeze");
  EXPECT_TRUE(fs::is_empty("/srv/elsewhere"));
}

TEST_F(Failures, WhereTheStateDirectoryBelongsToSomebodyElse) {
  fs::create_directories("/run/dlm-freeze");
  ASSERT_EQ(::chown("/run/dlm-freeze", kNobody, kNobody), 0);
  expect_refusal(201, {"pre-script"}, "/run/dlm-freeze");
}

TEST_F(Failures, WhereAFileLiesInPlaceOfTheStateDirectory) {
  write_text("/run/dlm-freeze", "x");
  expect_refusal(201, {"pre-script"}, "/run/dlm-freeze");
}

TEST_F(Failures, WhereALinkWasPlantedInPlaceOfAFileOfTheStateDirectoryNothingElseIsChanged) {
  fs::create_directories("/run/dlm-freeze");
  ASSERT_EQ(::chmod("/run/dlm-freeze", 0700), 0);
  write_text("/srv/precious", "precious");
  for (const char* name : {"lock", "session.json", "socket", "watchdog.sock"}) {
    fs::create_symlink("/srv/precious", std::string("/run/dlm-freeze/") + name);
  }
  if (run({"pre-script"}).exit_code == 0) expect(0, {"post-script"});
  EXPECT_EQ(read_text("/srv/precious"), "precious");
  expect_nothing_frozen();
}

// --- the record, while held ---

class RecordWhileHeld : public Failures {
 protected:
  static constexpr const char* kRecord = "/run/dlm-freeze/session.json";

  void SetUp() override {
    Failures::SetUp();
    if (IsSkipped()) return;
    expect(0, {"pre-script", "--auto-thaw", "4"});
    ASSERT_TRUE(fs::exists(kRecord));
  }

  /// post-script thaws. That it also answers 0 is possible, for the watchdog knows what it holds; a
  /// complaint is not wrong either.
  void expect_post_script_thaws() {
    EXPECT_TRUE(frozen(*data_));
    const auto status = run({"status"});
    EXPECT_THAT(status.exit_code, testing::Optional(AnyOf(0, 1, 202))) << status.text();
    const auto post = run({"post-script"});
    EXPECT_THAT(post.exit_code, testing::Optional(AnyOf(0, 202))) << post.text();
    expect_nothing_frozen();
    expect(0, {"pre-script"});
    expect(0, {"post-script"});
  }
};

TEST_F(RecordWhileHeld, CutShort) {
  const auto text = read_text(kRecord);
  write_text(kRecord, text.substr(0, text.size() / 2));
  expect_post_script_thaws();
}

TEST_F(RecordWhileHeld, Empty) {
  write_text(kRecord, "");
  expect_post_script_thaws();
}

TEST_F(RecordWhileHeld, FromAFutureVersion) {
  write_text(kRecord, R"({"version": 99, "format": 99, "phase": "levitating"})");
  expect_post_script_thaws();
}

TEST_F(RecordWhileHeld, Removed) {
  fs::remove(kRecord);
  expect_post_script_thaws();
}

TEST_F(RecordWhileHeld, OfNoMoreUseAfterwardsDoesNotStopTheNextSession) {
  expect(0, {"post-script"});
  write_text(kRecord, "{\"version\": 99");
  expect(0, {"pre-script"});
  EXPECT_TRUE(frozen(*data_));
  expect(0, {"post-script"});
}

TEST_F(RecordWhileHeld, WithTheSocketRemoved) {
  int removed = 0;
  for (const auto& entry : fs::directory_iterator("/run/dlm-freeze")) {
    if (entry.is_socket()) removed += fs::remove(entry.path()) ? 1 : 0;
  }
  ASSERT_EQ(removed, 1);
  const auto post = expect(202, {"post-script", "--timeout", "1"});
  EXPECT_THAT(post.err, HasSubstr("watchdog"));
  EXPECT_LT(post.run_time(), std::chrono::seconds(2));
  EXPECT_TRUE(writable(*data_, std::chrono::seconds(4))) << "frozen beyond the deadline";
  expect_nothing_frozen();
}

TEST_F(RecordWhileHeld, WithTheWholeStateDirectoryRemoved) {
  fs::remove_all("/run/dlm-freeze");
  const auto post = run({"post-script", "--timeout", "2"});
  // Nothing says any more that there was a session; its watchdog keeps the promise of the deadline.
  EXPECT_THAT(post.exit_code, testing::Optional(AnyOf(0, 202, 205))) << post.text();
  const auto watchdog = agent_process(binary(), "dlm-watchdog");
  if (watchdog) watchdog->signal(SIGTERM);
  expect_nothing_frozen();
}

TEST_F(RecordWhileHeld, OfASessionWithALongPast) {
  // Both processes are gone since a reboot, say, and the record was kept: nothing of it is frozen
  // any more.
  const auto record = read_text(kRecord);
  expect(0, {"post-script"});
  write_text(kRecord, record);
  expect(202, {"post-script"});
  expect_nothing_frozen();
  EXPECT_THAT(run({"post-script"}).exit_code, testing::Optional(205));
}

}  // namespace
}  // namespace dlm_freeze::integration
