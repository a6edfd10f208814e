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

// --- the configuration ---

TEST_F(Failures, OfTheConfigurationDoNotKeepPostScriptAndStatusFromWorking) {
  expect(0, {"pre-script"});
  configure("{ nonsense");
  expect(0, {"status"});
  expect(0, {"post-script"});
  expect_nothing_frozen();
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
  EXPECT_THAT(run({"pre-script"}).err, HasSubstr("is full: 0 KiB are free"));
}

TEST_F(Failures, WhereRunFillsUpWhileHeldPostScriptStillThaws) {
  mount_tmpfs("/run", "mode=0755,size=512k");
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
