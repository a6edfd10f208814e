// SPDX-License-Identifier: Apache-2.0
// Processes of a session that hang in the kernel, where no signal reaches them: the state directory lies on a real
// filesystem, which the test freezes under them.

#include <gmock/gmock.h>
#include <poll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <memory>
#include <optional>
#include <string>

#include "harness/filesystem.hpp"
#include "harness/loop_device.hpp"
#include "harness/mounts.hpp"
#include "process/session_test.hpp"

namespace dlm_freeze {
namespace {

using integration::Filesystem;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;
using testing::IsEmpty;

/// An ext4 in a mount namespace of the test's own, and a process that thaws it when the test has ended or takes too
/// long. Made before the test adopts orphans, so that this process is none of its descendants.
class StateFilesystem {
 protected:
  StateFilesystem() {
    if (!can_run()) return;
    host_mounts_ = integration::enter_mount_namespace();
    filesystem_.emplace(integration::FilesystemSpec{.type = "ext4", .mount_point = "/srv/state"});
    std::array<int, 2> ends{};
    if (::pipe(ends.data()) != 0) throw std::runtime_error("pipe");
    ::prctl(PR_SET_CHILD_SUBREAPER, 0);  // Of the test before, if this process has run one.
    const pid_t child = ::fork();
    if (child == 0) {
      if (::fork() != 0) ::_exit(0);
      ::close(ends[1]);
      rescue(ends[0]);
    }
    ::close(ends[0]);
    life_ = UniqueFd(ends[1]);
    EXPECT_EQ(fakes::status_of(child), 0);
  }
  ~StateFilesystem() {
    if (!filesystem_) return;
    filesystem_->thaw();
    filesystem_->close_directory();
    integration::unmount_all_but(host_mounts_);
  }

  [[nodiscard]] static bool can_run() { return ::geteuid() == 0 && integration::loop_devices_available(); }
  [[nodiscard]] static std::string state_path() { return can_run() ? "/srv/state/dlm-freeze" : ""; }

  std::optional<Filesystem> filesystem_;

 private:
  [[noreturn]] void rescue(int life) const {
    constexpr int kLimit = 30'000;
    ::setsid();
    pollfd end = {life, POLLIN, 0};
    ::poll(&end, 1, kLimit);
    filesystem_->thaw();
    ::_exit(0);
  }

  std::vector<integration::Mount> host_mounts_;
  UniqueFd life_;
};

class HangingProcesses : private StateFilesystem, public SessionTest {
 protected:
  HangingProcesses() : SessionTest(state_path()) {}
  void SetUp() override {
    if (!can_run()) GTEST_SKIP() << "only root can freeze, and on loop devices";
  }
  void TearDown() override {
    if (filesystem_) filesystem_->thaw();
    SessionTest::TearDown();
  }

  /// Whoever writes to the state directory from now on hangs.
  void freeze_state() const {
    filesystem_->sync();
    filesystem_->freeze();
  }
  void thaw_state() const { EXPECT_TRUE(filesystem_->thaw()); }

  [[nodiscard]] static char state_of_process(const std::string& name) {
    for (const fakes::Process& process : fakes::descendants()) {
      if (process.name == name) return process.state;
    }
    return '?';
  }
  [[nodiscard]] static bool hangs(const std::string& name) {
    return fakes::eventually([&] { return state_of_process(name) == 'D'; });
  }
};

TEST_F(HangingProcesses, LikeAWatchdogThatRecordsTheHandOverAreReplacedByTheSentinel) {
  add_filesystem();
  add_filesystem(1);
  constexpr seconds kAutoThaw(2);
  const auto deadline = BootClock::now() + kAutoThaw;
  go(Step::frozen, kAutoThaw);
  freeze_state();
  EXPECT_FALSE(client().commit(in(100), {}, {}));
  ASSERT_TRUE(hangs("dlm-watchdog"));
  EXPECT_TRUE(all_frozen());
  leave();
  EXPECT_TRUE(none_frozen());
  EXPECT_LT(BootClock::now(), deadline + milliseconds(1500));
  thaw_state();
  EXPECT_TRUE(is_over());
  EXPECT_EQ(record().end, SessionEnd::rolled_back);
  EXPECT_FALSE(record().has_leftovers());
}

TEST_F(HangingProcesses, LikeAWatchdogDoNotKeepPreScriptFromRollingBack) {
  add_filesystem();
  add_filesystem(1);
  go(Step::frozen);
  freeze_state();
  EXPECT_FALSE(client().commit(in(100), {}, {}));
  ASSERT_TRUE(hangs("dlm-watchdog"));
  EXPECT_THAT(roll_back(in(2000)), IsEmpty());
  EXPECT_TRUE(none_frozen(milliseconds(0)));
  leave();
  thaw_state();
  EXPECT_TRUE(is_over());
  EXPECT_EQ(record().end, SessionEnd::rolled_back);
}

TEST_F(HangingProcesses, LikeAWatchdogThatComesBackPutNoOldRecordInPlace) {
  add_filesystem();
  go(Step::frozen, seconds(1));
  freeze_state();
  EXPECT_FALSE(client().commit(in(100), {}, {}));
  ASSERT_TRUE(hangs("dlm-watchdog"));
  leave();
  EXPECT_TRUE(none_frozen());
  ASSERT_TRUE(hangs("dlm-sentinel")) << "it has thawed and records that";
  thaw_state();
  EXPECT_TRUE(is_over());
  EXPECT_TRUE(fakes::all_gone());
  EXPECT_EQ(record().phase, Phase::ended) << "not held, as the watchdog would have had it";
}

TEST_F(HangingProcesses, LikeAWatchdogThatRecordsTheEndHaveThawedBefore) {
  add_filesystem();
  const auto database = add_database();
  go(Step::held);
  leave();
  freeze_state();
  EXPECT_EQ(ask_to_end(state(), kExecution, in(300)).request, EndRequest::heard);
  EXPECT_TRUE(none_frozen());
  EXPECT_TRUE(fakes::eventually([&] { return !databases_.is_locked(database); }));
  ASSERT_TRUE(hangs("dlm-watchdog"));
  thaw_state();
  EXPECT_TRUE(is_over());
  EXPECT_EQ(record().end, SessionEnd::completed);
}

TEST_F(HangingProcesses, LikeAWatchdogThatRecordsTheIntentFreezeNothing) {
  add_filesystem();
  add_database();
  go(Step::prepared);
  freeze_state();
  EXPECT_FALSE(client().quiesce(in(100)));
  ASSERT_TRUE(hangs("dlm-watchdog"));
  EXPECT_THAT(roll_back(in(2000)), IsEmpty());
  EXPECT_EQ(kernel_.begun(0, Call::freeze), 0);
  leave();
  thaw_state();
  EXPECT_TRUE(is_over());
}

}  // namespace
}  // namespace dlm_freeze
