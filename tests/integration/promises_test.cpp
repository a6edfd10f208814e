// SPDX-License-Identifier: Apache-2.0
// What exit code 0 and its absence promise where something went wrong that used to go unsaid.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "harness/host_test.hpp"
#include "harness/loop_device.hpp"

namespace dlm_freeze::integration {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::AllOf;
using testing::AnyOf;
using testing::HasSubstr;
using testing::Not;

class Promises : public HostTest {};

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

/// Writes `size` bytes to a new file, into the page cache.
void fill(const std::string& path, std::uint64_t size) {
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  const std::string block(kMiB, 'x');
  for (std::uint64_t written = 0; written < size; written += kMiB) {
    ASSERT_EQ(::write(fd.get(), block.data(), block.size()), static_cast<ssize_t>(block.size()));
  }
}

// A write-back that fails.

TEST_F(Promises, AFailedWriteBackFailsPreScript) {
  // The device below has less room than it says, like a thin volume whose pool is full. The metadata of this xfs fit.
  mount_tmpfs("/srv/images", "size=120m");
  const auto& short_of_room = add({.type = "xfs", .mount_point = "/srv/short", .size = 400 * kMiB});
  const auto& other = add({.type = "ext4", .mount_point = "/srv/other", .image_directory = "/srv"});
  fill("/srv/short/file", 200 * kMiB);
  const auto result = expect(201, {"pre-script"});
  EXPECT_THAT(result.err, AllOf(HasSubstr("/srv/short"), HasSubstr("No space left on device")));
  EXPECT_TRUE(writable(other));
  EXPECT_TRUE(writable(short_of_room));
}

// What an earlier session left behind.

TEST_F(Promises, WhatCannotBeThawedStaysOnRecord) {
  const auto& data = add("ext4", "/srv/data");
  const auto& other = add("ext4", "/srv/other");
  expect(0, {"pre-script"});
  process("dlm-watchdog").signal(SIGSTOP);
  process("dlm-sentinel").signal(SIGSTOP);
  process("dlm-sentinel").signal(SIGKILL);
  process("dlm-watchdog").signal(SIGKILL);
  ASSERT_TRUE(all_gone());
  ASSERT_TRUE(frozen(data));

  mount_tmpfs("/srv/data");  // Nobody finds it any more.
  for (int i = 0; i < 2; ++i) {
    const auto result = expect(201, {"pre-script"});
    EXPECT_THAT(result.err, HasSubstr("/srv/data"));
    EXPECT_TRUE(frozen(data));
    EXPECT_TRUE(writable(other));
  }
  unmount_lazily("/srv/data");
  expect(0, {"pre-script"});
  expect(0, {"post-script"});
  EXPECT_TRUE(writable(data));
}

// A caller that has gone.

TEST_F(Promises, ASuccessThatNobodyCanHearIsRolledBack) {
  const auto& data = add("ext4", "/srv/data");
  configure(R"({"auto_thaw_seconds": 20, "quiescers": [
    {"type": "command", "name": "slow", "freeze": ["/bin/sleep", "0.5"], "thaw": ["/bin/true"]}]})");
  const auto pre = start({"pre-script"});
  ASSERT_TRUE(eventually([&] { return agent_process(binary(), "dlm-watchdog").has_value(); }, seconds(2)));
  pre->stop_reading();
  EXPECT_EQ(pre->wait().exit_code, 201);
  EXPECT_TRUE(writable(data));
  EXPECT_TRUE(all_gone());
  expect(205, {"post-script"});
}

TEST_F(Promises, AnOutputThatNobodyWantedIsNoCallerThatHasGone) {
  add("ext4", "/srv/data");
  const UniqueFd null(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  const auto pre = start({"pre-script"}, {.standard_output = null.get()});
  EXPECT_EQ(pre->wait().exit_code, 0);
  expect(0, {"post-script"});
}

// A session that is being undone.

TEST_F(Promises, APreScriptWaitsForASessionThatIsBeingUndone) {
  const auto& data = add("ext4", "/srv/data");
  configure(R"({"auto_thaw_seconds": 20, "quiescers": [
    {"type": "command", "name": "slow", "freeze": ["/bin/true"], "thaw": ["/bin/sleep", "1"]}]})");
  expect(0, {"pre-script"});
  const auto post = start({"post-script"});
  ASSERT_TRUE(eventually([&] { return !frozen(data); }, seconds(2)));
  const auto pre = expect(0, {"pre-script"});
  EXPECT_GT(pre.run_time(), milliseconds(300));
  EXPECT_EQ(post->wait().exit_code, 0);
  expect(0, {"post-script"});
}

TEST_F(Promises, APreScriptSaysThatTheSessionBeforeIsStillBeingUndone) {
  const auto& data = add("ext4", "/srv/data");
  configure(R"({"auto_thaw_seconds": 20, "quiescers": [
    {"type": "command", "name": "slow", "freeze": ["/bin/true"], "thaw": ["/bin/sleep", "3"]}]})");
  expect(0, {"pre-script"});
  const auto post = start({"post-script"});
  ASSERT_TRUE(eventually([&] { return !frozen(data); }, seconds(2)));
  const auto pre = expect(204, {"pre-script", "--timeout", "1"});
  EXPECT_THAT(pre.err, AllOf(HasSubstr("still being undone"), Not(HasSubstr("end it with"))));
  EXPECT_EQ(post->wait().exit_code, 0);
}

TEST_F(Promises, APreScriptWaitsForOneThatIsAtWorkAndTakesOverWhenThatFails) {
  add("ext4", "/srv/data");
  configure(R"({"auto_thaw_seconds": 20, "quiescers": [
    {"type": "command", "name": "slow", "freeze": ["/bin/sh", "-c", "sleep 3; exit 1"], "thaw": ["/bin/true"]}]})");
  const auto failing = start({"pre-script"});
  ASSERT_TRUE(eventually([&] { return agent_process(binary(), "dlm-watchdog").has_value(); }, seconds(2)));
  configure(R"({"auto_thaw_seconds": 20, "quiescers": []})");
  const auto short_of_time = expect(204, {"pre-script", "--timeout", "1"});
  EXPECT_THAT(short_of_time.err, AnyOf(HasSubstr("another pre-script is running"), HasSubstr("still being undone")));
  expect(0, {"pre-script"});
  EXPECT_EQ(failing->wait().exit_code, 201);
  expect(0, {"post-script"});
}

TEST_F(Promises, APreScriptWhoseProcessesWereKilledIsNotTakenForASession) {
  const auto& data = add("ext4", "/srv/data");
  configure(R"({"auto_thaw_seconds": 20, "quiescers": [
    {"type": "command", "name": "slow", "freeze": ["/bin/sleep", "5"], "thaw": ["/bin/true"]}]})");
  const auto killed = start({"pre-script"});
  ASSERT_TRUE(eventually([&] { return agent_process(binary(), "dlm-watchdog").has_value(); }, seconds(2)));
  const auto watchdog = process("dlm-watchdog");
  ASSERT_TRUE(watchdog.signal(SIGSTOP));  // As if it had not been its turn yet.
  killed->kill_group();
  static_cast<void>(killed->wait());
  configure(R"({"auto_thaw_seconds": 20, "quiescers": []})");
  const auto next = start({"pre-script"});
  sleep_for(milliseconds(300));
  ASSERT_TRUE(watchdog.signal(SIGCONT));
  EXPECT_EQ(next->wait().exit_code, 0);
  EXPECT_TRUE(frozen(data));
  expect(0, {"post-script"});
}

TEST_F(Promises, APreScriptDoesNotWaitForASessionThatIsHeld) {
  add("ext4", "/srv/data");
  expect(0, {"pre-script"});
  const auto second = expect(204, {"pre-script"});
  EXPECT_LT(second.run_time(), milliseconds(500));
  EXPECT_THAT(second.err, HasSubstr("end it with dlm-freeze post-script"));
  expect(0, {"post-script"});
}

// What nobody could have planned.

TEST_F(Promises, AFilesystemThatBecomesWritableAfterThePlanIsNamed) {
  add("ext4", "/srv/data");
  const auto& late = add({.type = "ext4", .mount_point = "/srv/late", .flags = MS_RDONLY});
  configure(R"({"auto_thaw_seconds": 20, "quiescers": [
    {"type": "command", "name": "opener", "freeze": ["/bin/mount", "-o", "remount,rw", "/srv/late"], "thaw": ["/bin/true"]}]})");
  const auto pre = expect(0, {"pre-script"});
  EXPECT_THAT(pre.out, HasSubstr("WARN: /srv/late is not frozen: mounted, or made writable, while pre-script ran"));
  EXPECT_TRUE(writable(late));
  expect(0, {"post-script"});
}

TEST_F(Promises, ASessionWhoseProcessesAreStoppedPastTheDeadlineIsThawedByPostScript) {
  const auto& data = add("ext4", "/srv/data");
  expect(0, {"pre-script", "--auto-thaw", "1"});
  const auto sentinel = process("dlm-sentinel");
  sentinel.signal(SIGSTOP);
  process("dlm-watchdog").signal(SIGKILL);
  EXPECT_FALSE(eventually([&] { return !frozen(data); }, milliseconds(2800))) << "nobody is left to do it";
  const auto post = expect(202, {"post-script", "--timeout", "1"});
  EXPECT_THAT(post.out, HasSubstr("past its deadline"));
  EXPECT_THAT(post.err, HasSubstr("its deadline has passed"));
  EXPECT_TRUE(writable(data));
  sentinel.signal(SIGCONT);
  EXPECT_TRUE(all_gone());
}

TEST_F(Promises, WhoHasTheAnswerFindsNobodyWhoHoldsTheFilesystem) {
  add("ext4", "/srv/data");
  for (int round = 0; round < 10; ++round) {
    expect(0, {"pre-script"});
    expect(0, {"post-script"});
    EXPECT_FALSE(agent_process(binary(), "dlm-sentinel")) << round;
  }
}

// An output on what is frozen.

TEST_F(Promises, OutputToAnOverlayAboveAFrozenFilesystemHoldsUpNobody) {
  const auto& data = add("ext4", "/srv/data");
  for (const char* directory : {"/srv/data/upper", "/srv/data/work", "/srv/lower", "/srv/merged"})
    std::filesystem::create_directories(directory);
  ASSERT_EQ(
      ::mount("o", "/srv/merged", "overlay", 0, "lowerdir=/srv/lower,upperdir=/srv/data/upper,workdir=/srv/data/work"),
      0);
  const UniqueFd log(::open("/srv/merged/log", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  ASSERT_TRUE(log);
  const auto pre = start({"pre-script"}, {.standard_output = log.get()})->wait();
  EXPECT_EQ(pre.exit_code, 0) << pre.text();
  EXPECT_LT(pre.run_time(), seconds(2));
  EXPECT_TRUE(frozen(data));
  expect(0, {"post-script"});
}

TEST_F(Promises, OutputToMemoryIsWrittenAtOnce) {
  add("ext4", "/srv/data");
  const UniqueFd memory(check(::memfd_create("output", MFD_CLOEXEC), "memfd_create"));
  EXPECT_EQ(start({"pre-script"}, {.standard_output = memory.get()})->wait().exit_code, 0);
  EXPECT_THAT(read_text("/proc/self/fd/" + std::to_string(memory.get())), HasSubstr("pre-script completed"));
  expect(0, {"post-script"});
}

// Who must not wait for what is frozen.

TEST_F(Promises, ATracerThatLogsToWhatWouldBeFrozenIsRefused) {
  const auto& data = add("ext4", "/srv/data");
  RunOptions traced{.wrapper = {"strace", "-f", "-o", "/srv/data/trace"}};
  EXPECT_THAT(expect(201, {"pre-script"}, traced).err, HasSubstr("which has /srv/data/trace open"));
  EXPECT_TRUE(writable(data));
  traced.wrapper.back() = "/srv/trace";
  const auto pre = start({"pre-script"}, traced);
  EXPECT_TRUE(eventually([&] { return frozen(data); }, seconds(10)));
  expect(0, {"post-script"});
  EXPECT_EQ(pre->wait().exit_code, 0);
}

TEST_F(Promises, TheImageOfASwapDeviceIsNotFrozenUnderIt) {
  const auto& data = add("ext4", "/srv/data");
  const auto& other = add("ext4", "/srv/other");
  const LoopDevice swap("/srv/data/swap", std::uint64_t{16} << 20);
  run_tool({"mkswap", swap.path()});
  run_tool({"swapon", "--priority", "0", swap.path()});
  const auto pre = run({"pre-script"});
  const bool is_free = writable(data);
  run_tool({"swapoff", swap.path()});
  EXPECT_EQ(pre.exit_code, 0);
  EXPECT_THAT(pre.out, HasSubstr("WARN: /srv/data is not frozen: holds "));
  EXPECT_TRUE(is_free);
  EXPECT_TRUE(frozen(other));
  expect(0, {"post-script"});
}

}  // namespace
}  // namespace dlm_freeze::integration
