// SPDX-License-Identifier: Apache-2.0
// A volume that hangs: the image of its loop device lies on a FUSE filesystem whose server answers neither writes nor
// flushes from some moment on. syncfs, FIFREEZE and FITHAW then wait in the kernel, where no signal reaches them.
#include <gmock/gmock.h>
#include <signal.h>

#include <optional>

#include "harness/hanging_store.hpp"
#include "harness/host_test.hpp"

namespace dlm_freeze::integration {
namespace {

using std::chrono::seconds;
using testing::ContainsRegex;
using testing::HasSubstr;

/// Nothing but what hangs stays frozen for longer than to the deadline and this.
constexpr Milliseconds kGrace{1500};

class HangingDevice : public HostTest, public testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override {
    HostTest::SetUp();
    if (IsSkipped()) return;
    store_.emplace("/srv/store");
    calm_.emplace("/srv/calm");
    hanging_ = &add({.type = GetParam(), .mount_point = "/srv/hanging", .image_directory = "/srv/store"});
    // What a filesystem on FUSE lies on cannot be known: these are frozen one after another, the last mounted first.
    other_ = &add({.type = "ext4", .mount_point = "/srv/other", .image_directory = "/srv/calm"});
    hanging_->sync();
  }
  void TearDown() override {
    if (store_) store_->let_go();  // Whatever has happened.
    HostTest::TearDown();
  }

  /// A session whose database is locked between the write-back and the FIFREEZEs, when `hang_at_the_lock` is called.
  void configure_lock() const {
    configure(R"({"auto_thaw_seconds": 20, "quiescers": [{"type": "command", "name": "db",
      "freeze": ["/bin/sh", "-c", "touch /run/locked; while [ ! -e /run/go ]; do sleep 0.01; done"],
      "thaw": ["/bin/rm", "-f", "/run/locked", "/run/go"]}]})");
  }
  [[nodiscard]] static bool is_locked() { return ::access("/run/locked", F_OK) == 0; }
  static void expect_unlocked_soon() {
    // A program gives up the lock, which pre-script does not wait for longer than its roll-back may take.
    EXPECT_TRUE(eventually([] { return !is_locked(); }, seconds(1)));
  }
  void hang_at_the_lock() {
    ASSERT_TRUE(eventually([] { return is_locked(); }, seconds(5)));
    // Something for FIFREEZE to write, which is written nowhere before.
    write_text("/srv/hanging/dirty", std::string(std::size_t{1} << 20, 'x'));
    store_->hang();
    write_text("/run/go", "");
  }

  void expect_status_of_hanging(const std::string& state) const {
    const std::string status = run({"status"}).out;
    EXPECT_THAT(status, HasSubstr("A call to the kernel has not returned; the rest follows when it does"));
    EXPECT_THAT(status, ContainsRegex("/srv/hanging +[0-9:]+ +" + state));
  }

  /// What has to hold once the device goes on: nothing is left, and sessions are as ever.
  void expect_all_well_when_it_goes_on() {
    store_->let_go();
    EXPECT_TRUE(writable(*hanging_, seconds(2)));
    EXPECT_TRUE(all_gone(seconds(5)));
    sleep_for(Milliseconds(50));
    EXPECT_TRUE(writable(*hanging_)) << "it was frozen after the fact";
    configure(R"({"auto_thaw_seconds": 20, "quiescers": []})");
    expect(0, {"pre-script"});
    EXPECT_TRUE(frozen(*hanging_));
    EXPECT_TRUE(frozen(*other_));
    expect(0, {"post-script"});
    EXPECT_TRUE(writable(*hanging_));
  }

  std::optional<HangingStore> store_;
  std::optional<HangingStore> calm_;
  const Filesystem* other_ = nullptr;
  const Filesystem* hanging_ = nullptr;
};

TEST_P(HangingDevice, ThatHoldsUpTheWriteBackIs201InTheBudgetWithNothingFrozen) {
  write_text("/srv/hanging/dirty", std::string(std::size_t{1} << 20, 'x'));
  store_->hang();
  const Writer writer(*other_);
  const auto pre = expect(201, {"pre-script", "--timeout", "2"});
  EXPECT_LT(pre.run_time(), seconds(2) + kGrace);
  EXPECT_THAT(pre.err, HasSubstr("the write-back of /srv/hanging has not returned"));
  EXPECT_GT(store_->waiting(), 0U);
  EXPECT_TRUE(writer.stalls().empty());
  EXPECT_THAT(run({"status"}).out, HasSubstr("rolled_back"));
  expect_all_well_when_it_goes_on();
}

TEST_P(HangingDevice, ThatHoldsUpFifreezeKeepsNothingElseFrozenOrLockedBeyondTheDeadline) {
  configure_lock();
  const Writer writer(*other_);
  const auto started = start({"pre-script", "--timeout", "20", "--auto-thaw", "4"});
  hang_at_the_lock();
  const auto latest = Clock::now() + seconds(4) + kGrace;  // The deadline counts from before.
  EXPECT_TRUE(eventually([&] { return frozen(*other_); }, seconds(3)));
  const auto pre = started->wait();
  EXPECT_EQ(pre.exit_code, 201) << pre.text();
  EXPECT_LT(pre.exited, latest);
  EXPECT_THAT(pre.err, HasSubstr("/srv/hanging"));
  expect_unlocked_soon();
  EXPECT_TRUE(writer.goes_on());
  for (const Stall& stall : writer.stalls()) EXPECT_LT(stall.end, latest);
  EXPECT_GT(store_->waiting(), 0U);
  expect_status_of_hanging("freezing");
  expect_all_well_when_it_goes_on();
}

TEST_P(HangingDevice, ThatHoldsUpFifreezeBeyondTheBudgetIs201AndIsNotWaitedFor) {
  configure_lock();
  const auto started = start({"pre-script", "--timeout", "2"});
  hang_at_the_lock();
  const auto pre = started->wait();
  EXPECT_EQ(pre.exit_code, 201) << pre.text();
  EXPECT_LT(pre.run_time(), seconds(2) + kGrace);
  EXPECT_THAT(pre.err, HasSubstr("the freeze of /srv/hanging has not returned"));
  expect_unlocked_soon();
  EXPECT_TRUE(writable(*other_));
  const auto next = run({"pre-script", "--timeout", "1"});
  EXPECT_TRUE(next.exit_code == 201 || next.exit_code == 204) << next.text();
  EXPECT_TRUE(writable(*other_));
  expect_all_well_when_it_goes_on();
}

/// Where FITHAW writes: XFS only lets go.
class HangingThaw : public HangingDevice {};

TEST_P(HangingThaw, IsNotWaitedForByPostScriptNorAnythingElse) {
  const Writer writer(*other_);
  expect(0, {"pre-script"});
  store_->hang();
  const auto post = run({"post-script", "--timeout", "6"});  // It hears of it after three seconds.
  EXPECT_EQ(post.exit_code, 202) << post.text();
  EXPECT_LT(post.run_time(), seconds(6) + kGrace);
  EXPECT_THAT(post.err, HasSubstr("a filesystem is not thawed yet (/srv/hanging): a call"));
  EXPECT_TRUE(writer.goes_on());
  for (const Stall& stall : writer.stalls()) EXPECT_LT(stall.end, post.started + Milliseconds(500));
  EXPECT_GT(store_->waiting(), 0U);
  expect_status_of_hanging("thawing");
  expect_all_well_when_it_goes_on();
}

TEST_P(HangingThaw, HoldsUpNothingElseAtTheDeadline) {
  const Writer writer(*other_);
  const auto pre = expect(0, {"pre-script", "--auto-thaw", "4"});
  store_->hang();
  const auto latest = pre.exited + seconds(4) + kGrace;  // Likewise.
  sleep_until(latest);
  EXPECT_TRUE(writer.goes_on());
  for (const Stall& stall : writer.stalls()) EXPECT_LT(stall.end, latest);
  EXPECT_GT(store_->waiting(), 0U);
  expect_all_well_when_it_goes_on();
}

TEST_P(HangingThaw, OfAWatchdogThatDiesIsLeftToTheSentinel) {
  expect(0, {"pre-script"});
  store_->hang();
  const auto post = start({"post-script", "--timeout", "3"});
  ASSERT_TRUE(eventually([&] { return store_->waiting() > 0; }, seconds(2)));
  process("dlm-watchdog").signal(SIGKILL);
  EXPECT_TRUE(writable(*other_, seconds(1)));
  EXPECT_EQ(post->wait().exit_code, 202);
  expect_all_well_when_it_goes_on();
}

INSTANTIATE_TEST_SUITE_P(On, HangingDevice, testing::Values("ext4", "xfs"),
                         [](const auto& type) { return std::string(type.param); });
INSTANTIATE_TEST_SUITE_P(On, HangingThaw, testing::Values("ext4"),
                         [](const auto& type) { return std::string(type.param); });

}  // namespace
}  // namespace dlm_freeze::integration
