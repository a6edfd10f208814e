// SPDX-License-Identifier: Apache-2.0
// What the SSM agent does to the processes it starts, and expects of them.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <unistd.h>

#include <array>

#include "harness/host_test.hpp"

namespace dlm_freeze::integration {
namespace {

using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::StartsWith;

constexpr const char* kExecution = "11111111-2222-3333-4444-555555555555";

class Callers : public HostTest {
 protected:
  /// The command is run by `script`, as "$@".
  static RunOptions by_shell(const std::string& script) { return {.wrapper = {"/bin/sh", "-c", script, "sh"}}; }

  /// A file on `/srv/xfs` of which another process reserves more than it has written: its last close is a transaction.
  [[nodiscard]] UniqueFd grow(const std::string& path) {
    UniqueFd log(check(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600), "log"));
    const std::string lines(409'580, '\n');
    if (::write(log.get(), lines.data(), lines.size()) < 0) throw std::runtime_error("write");
    return log;
  }

  /// A session of which no run waits.
  void expect_session(const Filesystem& data, const RunOptions& of_pre, const RunOptions& of_post = {}) {
    const auto pre = expect(0, {"pre-script"}, of_pre);
    EXPECT_LT(pre.run_time(), std::chrono::seconds(2));
    EXPECT_TRUE(frozen(data));
    const auto post = expect(0, {"post-script"}, of_post);
    EXPECT_LT(post.run_time(), std::chrono::seconds(2));
    EXPECT_TRUE(writable(data));
    EXPECT_TRUE(all_gone());
  }
};

TEST_F(Callers, SeeEndOfFileWhenPreScriptExitsAlthoughTheWatchdogLives) {
  const auto& data = add("ext4", "/srv/data");
  const auto pre = expect(0, {"pre-script"});
  EXPECT_TRUE(pre.end_of_file);
  EXPECT_LT(pre.end_of_file_at - pre.exited, Milliseconds(100));
  EXPECT_GT(process("dlm-watchdog").pid(), 0);
  EXPECT_TRUE(frozen(data));
  expect(0, {"post-script"});
}

TEST_F(Callers, SeeEndOfFileWhenAFreezeHangs) {
  const auto& backing = add("ext4", "/srv/backing");
  add({.type = "ext4", .mount_point = "/srv/hangs", .image_directory = "/srv/backing"}).sync();
  configure(R"({"quiescers": [], "auto_thaw_seconds": 20, "filesystems": {"exclude": ["/srv/backing"]}})");
  backing.sync();
  backing.freeze();
  const auto pre = expect(201, {"pre-script", "--timeout", "1"});
  EXPECT_TRUE(pre.end_of_file) << "somebody still holds its stdout or stderr open";
  backing.thaw();
}

TEST_F(Callers, ReadTheLinesOfTheContract) {
  add("ext4", "/srv/data");
  const auto pre = expect(0, {"pre-script", "--execution-id", kExecution});
  const std::string iso = "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]+[^ ]*";
  EXPECT_THAT(pre.out, MatchesRegex("INFO: pre-script starting at " + iso + " with executionId: " + kExecution +
                                    "\n(.|\n)*INFO: pre-script completed at " + iso +
                                    "\\. Total runtime: [0-9]+\\.[0-9]{3} seconds\\.\n"));
  EXPECT_EQ(pre.err, "");
  EXPECT_LT(pre.out.size(), 2500U);
  const auto post = expect(0, {"post-script", "--execution-id", kExecution});
  EXPECT_THAT(post.out, MatchesRegex("INFO: post-script starting at " + iso + " with executionId: " + kExecution +
                                     "\n(.|\n)*INFO: post-script completed at " + iso +
                                     "\\. Total runtime: [0-9]+\\.[0-9]{3} seconds\\.\n"));
  EXPECT_EQ(post.err, "");
}

TEST_F(Callers, ReadTheCauseFirstAndTheCodeLastOnStderr) {
  const auto post = expect(205, {"post-script"});
  EXPECT_THAT(post.err, AllOf(StartsWith("ERROR: "), EndsWith("Return Error Code: 205\n")));
}

TEST_F(Callers, WhoseStdoutLiesOnAFilesystemToBeFrozenDoNotHangIt) {
  const auto& data = add("ext4", "/srv/data");
  const UniqueFd log(check(::open("/srv/data/log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600), "log"));
  const auto pre = expect(0, {"pre-script"}, {.standard_output = log.get()});
  EXPECT_LT(pre.run_time(), std::chrono::seconds(2));
  EXPECT_TRUE(frozen(data));
  const auto post = expect(0, {"post-script"}, {.standard_output = log.get()});
  EXPECT_LT(post.run_time(), std::chrono::seconds(2));
  EXPECT_TRUE(writable(data));
  EXPECT_THAT(read_text("/srv/data/log"),
              AllOf(HasSubstr("INFO: pre-script starting"), HasSubstr("INFO: post-script completed")));
}

TEST_F(Callers, WhoseStdoutLiesOnAFilesystemToBeFrozenAreToldOfARollBack) {
  const auto& data = add("ext4", "/srv/data");
  const auto& theirs = add("ext4", "/srv/theirs");
  theirs.freeze();
  const UniqueFd log(check(::open("/srv/data/log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600), "log"));
  const auto pre = expect(204, {"pre-script"}, {.standard_output = log.get()});
  EXPECT_LT(pre.run_time(), std::chrono::seconds(2));
  EXPECT_TRUE(writable(data));
  EXPECT_THAT(read_text("/srv/data/log"), HasSubstr("INFO: pre-script starting"));
  EXPECT_TRUE(theirs.thaw());
}

TEST_F(Callers, WhoseStdoutIsAFileThatXfsTrimsAtItsLastCloseAreNotWaitedFor) {
  const auto& data = add("xfs", "/srv/xfs");
  const UniqueFd log = grow("/srv/xfs/log");
  const UniqueFd log_of_post(check(::open("/srv/xfs/log", O_WRONLY | O_APPEND | O_CLOEXEC), "log"));
  expect_session(data, by_shell("exec \"$@\" >>/srv/xfs/log 2>&1"), {.standard_output = log_of_post.get()});
  const std::string text = read_text("/srv/xfs/log");
  EXPECT_THAT(text, AllOf(HasSubstr("INFO: pre-script completed"), HasSubstr("INFO: post-script completed")));
}

TEST_F(Callers, WhoLeaveAFileOpenThatXfsTrimsAtItsLastCloseAreNotWaitedFor) {
  const auto& data = add("xfs", "/srv/xfs");
  const UniqueFd log = grow("/srv/xfs/log");
  expect_session(data, by_shell("exec 3>>/srv/xfs/log; head -c 200 /dev/zero >&3; exec \"$@\""));
}

TEST_F(Callers, WhoseLogLiesOnWhatAnotherProgramHasFrozenAreAnsweredWithinTheBudget) {
  const auto& data = add("ext4", "/srv/data");
  const auto& theirs = add("ext4", "/srv/theirs");
  configure(R"({"quiescers": [], "auto_thaw_seconds": 20, "filesystems": {"exclude": ["/srv/theirs"]}})");
  const UniqueFd log(check(::open("/srv/theirs/log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600), "log"));
  theirs.freeze();
  for (const int round : {1, 2}) {
    const auto pre = expect(0, {"pre-script", "--timeout", "2"}, {.standard_output = log.get()});
    EXPECT_LT(pre.run_time(), std::chrono::seconds(2)) << round;
    EXPECT_TRUE(frozen(data));
    const auto post = expect(0, {"post-script", "--timeout", "2"}, {.standard_output = log.get()});
    EXPECT_LT(post.run_time(), std::chrono::seconds(2)) << round;
    EXPECT_TRUE(writable(data));
  }
  EXPECT_TRUE(theirs.thaw());
  EXPECT_TRUE(all_gone());
  EXPECT_THAT(read_text("/srv/theirs/log"),
              AllOf(HasSubstr("INFO: pre-script completed"), HasSubstr("INFO: post-script completed")));
}

TEST_F(Callers, WhoStopReadingGetATrueExitCodeAllTheSame) {
  const auto& data = add("ext4", "/srv/data");
  const auto pre = start({"pre-script"});
  pre->stop_reading();
  const auto result = pre->wait();
  ASSERT_TRUE(result.exit_code.has_value()) << result.text();
  if (*result.exit_code == 0) {
    EXPECT_TRUE(frozen(data));
    expect(0, {"post-script"});
  } else {
    EXPECT_EQ(*result.exit_code, 201);
  }
  EXPECT_TRUE(writable(data));
}

TEST_F(Callers, WhosePipeIsFullDoNotKeepAnythingFrozen) {
  const auto& data = add("ext4", "/srv/data");
  std::array<int, 2> ends{};
  check(::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK), "pipe");
  const UniqueFd never_read(ends[0]);
  const UniqueFd full(ends[1]);
  while (::write(full.get(), "x", 1) == 1) {
  }
  check(::fcntl(full.get(), F_SETFL, 0), "fcntl");
  const auto pre = start({"pre-script", "--auto-thaw", "1", "--timeout", "1"}, {.standard_output = full.get()});
  const auto result = pre->wait(std::chrono::seconds(3));
  EXPECT_TRUE(writable(data, std::chrono::seconds(2)));
  EXPECT_TRUE(!result.ended || result.exit_code != 0 || run({"post-script"}).exit_code == 203) << result.text();
  pre->kill_group();
  EXPECT_TRUE(all_gone());
}

}  // namespace
}  // namespace dlm_freeze::integration
