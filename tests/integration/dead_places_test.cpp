// SPDX-License-Identifier: Apache-2.0
// What is looked at outside and does not answer, and callers whose surroundings the watchdog must not keep.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/fanotify.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <filesystem>
#include <vector>

#include "harness/host_test.hpp"

namespace dlm_freeze::integration {
namespace {

namespace fs = std::filesystem;
using std::chrono::seconds;
using testing::AllOf;
using testing::HasSubstr;

class DeadPlaces : public HostTest {
 protected:
  void SetUp() override {
    HostTest::SetUp();
    if (!IsSkipped()) data_ = &add("ext4", "/srv/data");
  }
  void TearDown() override {
    server_.reset();  // Whoever hangs in it gets an error.
    HostTest::TearDown();
  }

  /// /srv/dead, a FUSE filesystem whose server never answers.
  void mount_dead() {
    server_ = UniqueFd(check(::open("/dev/fuse", O_RDWR | O_CLOEXEC), "/dev/fuse"));
    fs::create_directories("/srv/dead");
    const std::string options = "fd=" + std::to_string(server_.get()) + ",rootmode=40000,user_id=0,group_id=0";
    check(::mount("dead", "/srv/dead", "fuse", 0, options.c_str()), "mount fuse");
  }

  /// Fails with `code` after the budget of a second, and leaves nothing behind.
  void expect_late(int code, const std::vector<std::string>& arguments, const RunOptions& options = {}) {
    const auto result = start(arguments, options)->wait(seconds(10));
    ASSERT_TRUE(result.ended) << "it hangs";
    EXPECT_EQ(result.exit_code, code) << result.text();
    EXPECT_LT(result.run_time(), seconds(4)) << result.text();
    EXPECT_THAT(result.err,
                AllOf(HasSubstr("time budget ran out"), HasSubstr("Return Error Code: " + std::to_string(code))));
    EXPECT_TRUE(writable(*data_));
    EXPECT_TRUE(all_gone());
  }

  UniqueFd server_;
  const Filesystem* data_ = nullptr;
};

TEST_F(DeadPlaces, LikeAListenerThatDoesNotDecideOnAnOpenAreGivenUpInTheBudget) {
  {
    const UniqueFd listener(::fanotify_init(FAN_CLASS_CONTENT | FAN_CLOEXEC, O_RDONLY | O_CLOEXEC));
    ASSERT_TRUE(listener) << "this kernel has no fanotify";
    check(::fanotify_mark(listener.get(), FAN_MARK_ADD, FAN_OPEN_PERM | FAN_ONDIR, AT_FDCWD, "/srv/data"), "mark");
    const auto pre = start({"pre-script", "--timeout", "1"})->wait(seconds(10));
    ASSERT_TRUE(pre.ended) << "it hangs";
    EXPECT_EQ(pre.exit_code, 201) << pre.text();
    EXPECT_LT(pre.run_time(), seconds(4));
    EXPECT_THAT(pre.err, HasSubstr("time budget ran out"));
  }
  // Nobody holds the lock.
  expect(0, {"pre-script"});
  expect(0, {"post-script"});
}

TEST_F(DeadPlaces, LikeThatOfTheConfigurationAreGivenUpInTheBudget) {
  mount_dead();
  const std::string other = "exec \"$1\" --config /srv/dead/config.json pre-script --timeout 1";
  expect_late(201, {}, {.wrapper = {"/bin/sh", "-c", other, "sh"}});
  expect(0, {"pre-script"});
  expect(0, {"post-script"});
}

TEST_F(DeadPlaces, LikeThatOfTheStateDirectoryAreGivenUpInTheBudget) {
  mount_dead();
  EXPECT_THAT(expect(201, {"pre-script", "--timeout", "1", "--state-dir", "/srv/dead/state"}).err,
              HasSubstr("lies on a FUSE filesystem"));
  expect_late(202, {"post-script", "--timeout", "1", "--state-dir", "/srv/dead/state"});
}

TEST_F(DeadPlaces, LikeThatOfTheLogAreNotLookedAt) {
  mount_dead();
  mount_tmpfs("/srv/dev");
  for (const char* name : {"/dev/null", "/dev/urandom", "/dev/loop-control"}) {
    struct stat info {};
    if (::stat(name, &info) == 0)
      check(::mknod(("/srv" + std::string(name)).c_str(), info.st_mode, info.st_rdev), name);
  }
  bind_mount("/srv/dev", "/dev");
  fs::create_symlink("/srv/dead/log", "/dev/log");
  const auto pre = expect(0, {"pre-script"});
  EXPECT_LT(pre.run_time(), seconds(2));
  EXPECT_TRUE(frozen(*data_));
  const auto post = expect(0, {"post-script"});
  EXPECT_LT(post.run_time(), seconds(2));
  EXPECT_TRUE(all_gone()) << "the watchdog hangs";
}

class Surroundings : public DeadPlaces {};

TEST_F(Surroundings, WithoutANullDeviceLetTheCallerSeeTheEndOfFile) {
  mount_tmpfs("/srv/dev");
  bind_mount("/srv/dev", "/dev");
  configure(R"({"auto_thaw_seconds": 20, "quiescers": [
    {"type": "command", "name": "db", "freeze": ["/bin/true"], "thaw": ["/bin/true"]}]})");
  const auto pre = expect(0, {"pre-script"});
  EXPECT_TRUE(pre.end_of_file) << "the watchdog holds the caller's stdout";
  EXPECT_TRUE(frozen(*data_));
  expect(0, {"post-script"});
}

TEST_F(Surroundings, WithASocketWhoseReaderHasGoneRollBack) {
  std::array<int, 2> ends{};
  check(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), "socketpair");
  UniqueFd reader(ends[0]);
  const UniqueFd ours(ends[1]);
  configure(R"({"auto_thaw_seconds": 20, "quiescers": [
    {"type": "command", "name": "slow", "freeze": ["/bin/sleep", "0.3"], "thaw": ["/bin/true"]}]})");
  const auto pre = start({"pre-script"}, {.standard_output = ours.get()});
  reader.reset();
  EXPECT_EQ(pre->wait().exit_code, 201);
  EXPECT_TRUE(writable(*data_));
  EXPECT_TRUE(all_gone());
}

TEST_F(Surroundings, WithASocketThatIsReadSucceed) {
  std::array<int, 2> ends{};
  check(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), "socketpair");
  const UniqueFd reader(ends[0]);
  const UniqueFd ours(ends[1]);
  EXPECT_EQ(start({"pre-script"}, {.standard_output = ours.get()})->wait().exit_code, 0);
  EXPECT_TRUE(frozen(*data_));
  expect(0, {"post-script"});
}

TEST_F(Surroundings, InATimeNamespaceAreNoReasonToTakeTheSessionForOverdue) {
  for (const char* offset : {"-2000", "100000"}) {
    const auto pre = run({"pre-script"}, {.wrapper = {"/usr/bin/unshare", "--time", "--boottime", offset, "--fork"}});
    if (pre.err.find("unshare") != std::string::npos) GTEST_SKIP() << pre.err;  // No such namespaces here.
    ASSERT_EQ(pre.exit_code, 0) << pre.text();
    const auto status = expect(0, {"status"});
    EXPECT_THAT(status.out, testing::ContainsRegex("ends by itself in 1[0-9]\\.[0-9]+ seconds")) << offset;
    expect(0, {"post-script"});
    EXPECT_TRUE(writable(*data_));
  }
}

TEST_F(Surroundings, InTheBackgroundDoNotMakeTheWatchdogWait) {
  expect(0, {"pre-script"},
         {.wrapper = {"/usr/bin/nice", "-n", "19", "/usr/bin/chrt", "-i", "0", "/usr/bin/ionice", "-c", "3"}});
  for (const char* name : {"dlm-watchdog", "dlm-sentinel"}) {
    const std::string pid = std::to_string(process(name).pid());
    EXPECT_THAT(run_tool({"/usr/bin/chrt", "-p", pid}), HasSubstr("SCHED_OTHER"));
    EXPECT_THAT(run_tool({"/bin/ps", "-o", "ni=", "-p", pid}), HasSubstr(" 0"));
    EXPECT_THAT(run_tool({"/usr/bin/ionice", "-p", pid}), testing::Not(HasSubstr("idle")));
  }
  expect(0, {"post-script"});
}

}  // namespace
}  // namespace dlm_freeze::integration
