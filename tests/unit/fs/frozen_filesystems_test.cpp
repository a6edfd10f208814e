// SPDX-License-Identifier: Apache-2.0
#include "fs/frozen_filesystems.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <optional>
#include <ostream>
#include <string>
#include <thread>
#include <vector>

#include "base/wait.hpp"
#include "fakes/fake_kernel.hpp"
#include "fakes/processes.hpp"
#include "fakes/scratch.hpp"
#include "fs/freezing.hpp"
#include "fs/mount_table.hpp"
#include "fs/thawer.hpp"

namespace dlm_freeze {

// For the messages of GoogleTest, which finds it here.
static void PrintTo(FreezeState state, std::ostream* out) { *out << to_string(state); }  // NOLINT

namespace {

using fakes::eventually;
using fakes::FakeKernel;
using testing::HasSubstr;
using testing::IsEmpty;
using Call = FakeKernel::Call;
using Death = FakeKernel::Death;
using Id = FakeKernel::Id;
using enum FreezeState;
using std::chrono::milliseconds;
using std::chrono::seconds;

/// The ends of a pipe: what a process holds as its life line, and what others see of it.
struct LifeLine {
  UniqueFd held;
  UniqueFd seen;
};

LifeLine new_life_line() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("pipe2");
  return {UniqueFd(ends[1]), UniqueFd(ends[0])};
}

/// Until all calls that were begun have returned.
void wait_for(const Freezing& freezing) {
  ASSERT_TRUE(wait_readable(freezing.fd(), Deadline::in(std::chrono::minutes(1))));
}

void freeze(FrozenFilesystems& filesystems, const Freezing::Enter& enter = {}) {
  Freezing freezing = std::move(Freezing::create(filesystems, enter).value());
  while (freezing.begin_level()) wait_for(freezing);
}

class Filesystems : public testing::Test {
 protected:
  /// One filesystem on each of these levels.
  void add(const std::vector<int>& levels, FreezeState initial = idle) {
    std::vector<FrozenFilesystems::Filesystem> all;
    for (const int level : levels) {
      Id id = 0;
      UniqueFd fd = kernel_.add(id);
      all.push_back({"/fs" + std::to_string(id), 0, level, std::move(fd)});
    }
    filesystems_.emplace(std::move(FrozenFilesystems::adopt(std::move(all), kernel_, initial).value()));
  }

  void sync_all() {
    Freezing freezing = std::move(Freezing::create(*filesystems_).value());
    freezing.begin_sync();
    wait_for(freezing);
  }

  void freeze_all(const Freezing::Enter& enter = {}) { freeze(*filesystems_, enter); }

  [[nodiscard]] Thawer thawer(std::vector<int> life_lines = {}, Thawer::Role role = Thawer::Role::successor) {
    return std::move(Thawer::create(*filesystems_, std::move(life_lines), role).value());
  }

  /// Thaws as the only process that is left.
  [[nodiscard]] bool thaw_all(BootClock::duration patience = fakes::kSoon) {
    return thawer().run(Deadline::in(patience));
  }

  [[nodiscard]] std::vector<FreezeState> states() const {
    std::vector<FreezeState> all;
    for (std::size_t i = 0; i < filesystems_->size(); ++i) all.push_back(filesystems_->state(i));
    return all;
  }

  FakeKernel kernel_;
  std::optional<FrozenFilesystems> filesystems_;
};

using States = std::vector<FreezeState>;

// Freezing.

TEST_F(Filesystems, AreFrozenAndThawed) {
  add({0, 0, 0});
  EXPECT_EQ(states(), (States{idle, idle, idle}));
  freeze_all();
  EXPECT_EQ(states(), (States{frozen, frozen, frozen}));
  for (Id id = 0; id < 3; ++id) EXPECT_TRUE(kernel_.is_frozen(id));
  EXPECT_TRUE(thaw_all());
  EXPECT_EQ(states(), (States{thawed, thawed, thawed}));
  EXPECT_FALSE(kernel_.any_frozen());
}

TEST_F(Filesystems, MayBeNone) {
  add({});
  sync_all();
  freeze_all();
  EXPECT_TRUE(thaw_all());
}

TEST_F(Filesystems, AreAllWrittenBackAtTheSameTime) {
  add({0, 0, 1});
  kernel_.hang(0, Call::sync);
  std::thread syncing([&] { sync_all(); });
  EXPECT_TRUE(
      eventually([&] { return kernel_.succeeded(1, Call::sync) == 1 && kernel_.succeeded(2, Call::sync) == 1; }));
  kernel_.let_go(0, Call::sync);
  syncing.join();
  EXPECT_EQ(kernel_.succeeded(0, Call::sync), 1);
  EXPECT_EQ(states(), (States{idle, idle, idle}));
}

TEST_F(Filesystems, ThatLostDataInTheWriteBackAreNotFrozen) {
  add({0, 0});
  kernel_.fail(0, Call::sync, EIO);
  sync_all();
  EXPECT_EQ(filesystems_->write_error(0), EIO);
  EXPECT_EQ(filesystems_->write_error(1), 0);
  freeze_all();
  EXPECT_EQ(states(), (States{idle, idle}));
}

TEST_F(Filesystems, ThatLostDataAreNotTakenForWholeAfterAnotherWriteBack) {
  add({0});
  kernel_.fail(0, Call::sync, ENOSPC);
  sync_all();
  kernel_.fail(0, Call::sync, 0);
  sync_all();
  EXPECT_EQ(kernel_.succeeded(0, Call::sync), 1);
  EXPECT_EQ(filesystems_->write_error(0), ENOSPC);
  freeze_all();
  EXPECT_EQ(states(), (States{idle}));
}

TEST_F(Filesystems, ThatLostDataInTheFreezeAreFrozenAndStopTheNextLevel) {
  add({0, 1});
  sync_all();
  kernel_.fail(0, Call::sync, ENOSPC);
  freeze_all();
  EXPECT_EQ(states(), (States{frozen, idle}));
  EXPECT_EQ(filesystems_->write_error(0), ENOSPC);
  EXPECT_TRUE(thaw_all());
}

TEST_F(Filesystems, ThatAnErrorHasMadeReadOnlyDoNotStopTheOthers) {
  add({0, 1});
  kernel_.fail(0, Call::freeze, EROFS);
  freeze_all();
  EXPECT_EQ(states(), (States{read_only, frozen}));
  EXPECT_TRUE(thaw_all());
  EXPECT_EQ(kernel_.begun(0, Call::thaw), 0);
}

TEST_F(Filesystems, WhoseThawFailsAreTriedAgain) {
  add({0, 0});
  freeze_all();
  kernel_.fail(0, Call::thaw, EIO);
  std::thread mending([&] {
    EXPECT_TRUE(eventually([&] { return kernel_.begun(0, Call::thaw) == 3; }));
    kernel_.fail(0, Call::thaw, 0);
  });
  EXPECT_TRUE(thaw_all());
  mending.join();
  EXPECT_EQ(states(), (States{thawed, thawed}));
  EXPECT_EQ(kernel_.begun(1, Call::thaw), 1);
}

TEST_F(Filesystems, WhoseThawFailsForEverAreGivenUpInTheEnd) {
  add({0});
  freeze_all();
  kernel_.fail(0, Call::thaw, EIO);
  EXPECT_TRUE(thaw_all());
  EXPECT_EQ(states(), States{thaw_failed});
  EXPECT_GT(kernel_.begun(0, Call::thaw), 2);
  kernel_.fail(0, Call::thaw, 0);
  EXPECT_TRUE(thaw_all()) << "whoever comes next tries again";
  EXPECT_EQ(states(), States{thawed});
}

TEST_F(Filesystems, OfOneLevelAreFrozenAtTheSameTime) {
  add({0, 0});
  kernel_.hang(0, Call::freeze);
  std::thread freezing([&] { freeze_all(); });
  EXPECT_TRUE(eventually([&] { return kernel_.is_frozen(1); }));
  EXPECT_TRUE(eventually([&] { return filesystems_->state(0) == FreezeState::freezing; }));
  kernel_.let_go(0, Call::freeze);
  freezing.join();
  EXPECT_EQ(states(), (States{frozen, frozen}));
}

TEST_F(Filesystems, AreFrozenLevelByLevelAndThawedInReverse) {
  add({1, 0, 2});
  kernel_.lay(1, 0);
  kernel_.lay(0, 2);
  freeze_all();
  EXPECT_EQ(states(), (States{frozen, frozen, frozen}));
  EXPECT_LT(kernel_.order(1, Call::freeze), kernel_.order(0, Call::freeze));
  EXPECT_LT(kernel_.order(0, Call::freeze), kernel_.order(2, Call::freeze));
  EXPECT_TRUE(thaw_all());
  EXPECT_LT(kernel_.order(2, Call::thaw), kernel_.order(0, Call::thaw));
  EXPECT_LT(kernel_.order(0, Call::thaw), kernel_.order(1, Call::thaw));
}

TEST_F(Filesystems, TellEachThreadWhichOneItFreezes) {
  add({0, 1, 0});
  std::array<std::atomic<int>, 3> entered{};
  freeze_all([&](std::size_t i, int) { ++entered.at(i); });
  for (const auto& count : entered) EXPECT_EQ(count.load(), 1);
}

TEST_F(Filesystems, ThatSomebodyElseHasFrozenAreLeftToThem) {
  add({0, 0});
  kernel_.freeze_by_somebody_else(1);
  freeze_all();
  EXPECT_EQ(states(), (States{frozen, busy}));
  EXPECT_TRUE(thaw_all());
  EXPECT_EQ(states(), (States{thawed, busy}));
  EXPECT_TRUE(kernel_.is_frozen(1));
  EXPECT_EQ(kernel_.begun(1, Call::thaw), 0);
}

TEST_F(Filesystems, WhoseDriverCannotFreezeDoNotStopTheOthers) {
  add({0, 0, 1});
  kernel_.fail(0, Call::freeze, EOPNOTSUPP);
  freeze_all();
  EXPECT_EQ(states(), (States{unsupported, frozen, frozen}));
  EXPECT_TRUE(thaw_all());
  EXPECT_EQ(states(), (States{unsupported, thawed, thawed}));
  EXPECT_EQ(kernel_.begun(0, Call::thaw), 0);
}

TEST_F(Filesystems, AreNotFrozenOnTheNextLevelOnceOneFailed) {
  add({0, 0, 1});
  kernel_.fail(0, Call::freeze, EIO);
  freeze_all();
  EXPECT_EQ(states(), (States{freeze_failed, frozen, idle}));
  EXPECT_EQ(filesystems_->error(0), EIO);
  EXPECT_EQ(kernel_.begun(2, Call::freeze), 0);
  EXPECT_TRUE(thaw_all());
  EXPECT_EQ(states(), (States{freeze_failed, thawed, idle}));
}

TEST_F(Filesystems, AreNotFrozenOnTheNextLevelOnceOneWasBusy) {
  add({0, 1});
  kernel_.freeze_by_somebody_else(0);
  freeze_all();
  EXPECT_EQ(states(), (States{busy, idle}));
}

TEST_F(Filesystems, AreNotFrozenOnceTheSessionEnds) {
  add({0, 1});
  filesystems_->end();
  EXPECT_TRUE(filesystems_->ending());
  freeze_all();
  EXPECT_EQ(states(), (States{idle, idle}));
  EXPECT_EQ(kernel_.begun(0, Call::freeze), 0);
}

TEST_F(Filesystems, WhoseFreezeReturnsAfterTheEndAreThawedByTheirOwnThread) {
  add({0, 1});
  kernel_.hang(0, Call::freeze);
  std::thread freezing([&] { freeze_all(); });
  ASSERT_TRUE(eventually([&] { return kernel_.begun(0, Call::freeze) == 1; }));
  filesystems_->end();
  kernel_.let_go(0, Call::freeze);
  freezing.join();
  EXPECT_EQ(states(), (States{thawed, idle}));
  EXPECT_FALSE(kernel_.any_frozen());
}

TEST_F(Filesystems, KeepTheirStatesForForkedProcesses) {
  add({0});
  EXPECT_EQ(fakes::in_child([&] {
              freeze_all();
              return 0;
            }),
            0);
  EXPECT_EQ(states(), States{frozen});
  EXPECT_TRUE(kernel_.is_frozen(0));
  EXPECT_EQ(fakes::in_child([&] { return thaw_all() ? 0 : 1; }), 0);
  EXPECT_EQ(states(), States{thawed});
}

TEST_F(Filesystems, KnowHowLongTheyAreFrozen) {
  add({0, 0});
  kernel_.fail(1, Call::freeze, EOPNOTSUPP);
  EXPECT_EQ(filesystems_->frozen_for(0), seconds(0));
  freeze_all();
  std::this_thread::sleep_for(milliseconds(20));
  EXPECT_GE(filesystems_->frozen_for(0), milliseconds(20));
  EXPECT_EQ(filesystems_->frozen_for(1), seconds(0));
  ASSERT_TRUE(thaw_all());
  const auto total = filesystems_->frozen_for(0);
  std::this_thread::sleep_for(milliseconds(20));
  EXPECT_EQ(filesystems_->frozen_for(0), total);
}

TEST_F(Filesystems, AreOverWhenThatIsSaidByAnyProcess) {
  add({0});
  EXPECT_FALSE(filesystems_->over());
  EXPECT_EQ(fakes::in_child([&] {
              filesystems_->set_over();
              return 0;
            }),
            0);
  EXPECT_TRUE(filesystems_->over());
}

// Thawing.

TEST_F(Filesystems, ThatWereNeverFrozenAreNotThawed) {
  add({0, 0});
  EXPECT_TRUE(thaw_all());
  EXPECT_EQ(states(), (States{idle, idle}));
  EXPECT_EQ(kernel_.begun(0, Call::thaw), 0);
}

TEST_F(Filesystems, WhoseThawHangsHoldUpNobody) {
  add({0, 0, 1});
  freeze_all();
  kernel_.hang(2, Call::thaw);
  Thawer thawer = this->thawer();
  EXPECT_FALSE(thawer.run(Deadline::in(milliseconds(400))));
  EXPECT_EQ(states(), (States{thawed, thawed, thawing})) << "not even those of the levels above";
  kernel_.let_go(2, Call::thaw);
  EXPECT_TRUE(thawer.run(Deadline::in(fakes::kSoon)));
  EXPECT_EQ(states(), (States{thawed, thawed, thawed}));
}

TEST_F(Filesystems, WhoseThawFailsDoNotStopTheOthers) {
  add({0, 0});
  freeze_all();
  kernel_.fail(0, Call::thaw, EIO);
  EXPECT_TRUE(thaw_all());
  EXPECT_EQ(states(), (States{thaw_failed, thawed}));
  EXPECT_EQ(filesystems_->error(0), EIO);
  EXPECT_TRUE(may_be_frozen(filesystems_->state(0)));
}

TEST_F(Filesystems, ThatSomebodyElseThawedAreLost) {
  add({0, 0});
  freeze_all();
  kernel_.thaw_by_somebody_else(0);
  EXPECT_TRUE(thaw_all());
  EXPECT_EQ(states(), (States{lost, thawed}));
}

TEST_F(Filesystems, AreThawedOnceHoweverOftenTheThawerRuns) {
  add({0});
  freeze_all();
  Thawer thawer = this->thawer();
  EXPECT_TRUE(thawer.run(Deadline::in(fakes::kSoon)));
  EXPECT_TRUE(thawer.run(Deadline::in(fakes::kSoon)));
  EXPECT_EQ(kernel_.begun(0, Call::thaw), 1);
}

TEST_F(Filesystems, WhoseFreezeHangsAreLeftToTheirFreezerAsLongAsItLives) {
  add({0, 0});
  const LifeLine life = new_life_line();
  kernel_.hang(0, Call::freeze);
  std::thread freezing([&] { freeze_all(); });
  ASSERT_TRUE(eventually([&] { return kernel_.is_frozen(1) && filesystems_->state(0) == FreezeState::freezing; }));
  Thawer thawer = this->thawer({life.seen.get(), life.seen.get()});
  EXPECT_FALSE(thawer.run(Deadline::in(milliseconds(200))));
  EXPECT_EQ(states(), (States{FreezeState::freezing, thawed}));
  EXPECT_EQ(kernel_.begun(0, Call::thaw), 0);
  kernel_.let_go(0, Call::freeze);
  freezing.join();
  EXPECT_EQ(filesystems_->state(0), thawed) << "by its own thread";
}

TEST_F(Filesystems, AreThawedWhenTheirFreezerDiedBeforeItCouldSayThatTheyAreFrozen) {
  add({0});
  LifeLine life = new_life_line();
  kernel_.kill_caller(0, Call::freeze, Death::after);
  const pid_t freezer = fakes::start_child([&] {
    freeze_all();
    return 0;
  });
  EXPECT_EQ(fakes::status_of(freezer), 128 + SIGKILL);
  EXPECT_EQ(states(), States{FreezeState::freezing});
  EXPECT_TRUE(kernel_.is_frozen(0));
  Thawer thawer = this->thawer({life.seen.get()});
  EXPECT_FALSE(thawer.run(Deadline::in(milliseconds(50)))) << "somebody still holds its life line";
  life.held.reset();
  EXPECT_TRUE(thawer.run(Deadline::in(fakes::kSoon)));
  EXPECT_EQ(states(), States{thawed});
  EXPECT_FALSE(kernel_.any_frozen());
}

TEST_F(Filesystems, AreIdleWhenTheirFreezerDiedBeforeItFroze) {
  add({0});
  kernel_.kill_caller(0, Call::freeze, Death::before);
  EXPECT_EQ(fakes::in_child([&] {
              freeze_all();
              return 0;
            }),
            128 + SIGKILL);
  EXPECT_EQ(states(), States{FreezeState::freezing});
  EXPECT_TRUE(thaw_all());
  EXPECT_EQ(states(), States{idle});
}

TEST_F(Filesystems, ThatADeadThawerHadBegunAreThawedByTheOneThatTakesOver) {
  add({0, 0});
  freeze_all();
  kernel_.kill_caller(0, Call::thaw, Death::before);
  EXPECT_EQ(fakes::in_child([&] { return thaw_all() ? 0 : 1; }), 128 + SIGKILL);
  EXPECT_TRUE(kernel_.is_frozen(0));
  EXPECT_EQ(filesystems_->state(0), thawing);
  EXPECT_FALSE(thawer({}, Thawer::Role::owner).run(Deadline::in(milliseconds(50)))) << "perhaps it is not dead";
  EXPECT_TRUE(thaw_all());
  EXPECT_FALSE(kernel_.any_frozen());
  EXPECT_EQ(filesystems_->state(0), thawed);
}

TEST_F(Filesystems, ThatADeadThawerHadThawedAreNotTakenForLost) {
  add({0});
  freeze_all();
  kernel_.kill_caller(0, Call::thaw, Death::after);
  EXPECT_EQ(fakes::in_child([&] { return thaw_all() ? 0 : 1; }), 128 + SIGKILL);
  EXPECT_FALSE(kernel_.is_frozen(0));
  EXPECT_TRUE(thaw_all());
  EXPECT_EQ(states(), States{thawed});
}

// The freezer that finds itself deserted and the watchdog do so.
TEST_F(Filesystems, ThatTwoThawAtTheSameTimeAreNotTakenForLost) {
  for (int round = 0; round < 100; ++round) {
    filesystems_.reset();
    add({0});
    freeze_all();
    Thawer one = thawer();
    Thawer two = thawer();
    std::thread other([&] { static_cast<void>(one.run(Deadline::in(fakes::kSoon))); });
    EXPECT_TRUE(two.run(Deadline::in(fakes::kSoon)));
    other.join();
    ASSERT_EQ(states(), States{thawed}) << "in round " << round;
    ASSERT_FALSE(kernel_.any_frozen());
  }
}

TEST_F(Filesystems, ThatAnotherOneThawsAreNotWaitedForByTheirFreezer) {
  add({0, 0});
  freeze_all();
  kernel_.hang(0, Call::thaw);
  std::thread watchdog([&] { EXPECT_TRUE(thaw_all()); });
  ASSERT_TRUE(eventually([&] { return states() == (States{thawing, thawed}); }));
  auto freezer = Thawer::create(*filesystems_, {}, Thawer::Role::freezer);
  ASSERT_TRUE(freezer);
  EXPECT_TRUE(freezer->run(Deadline::in(fakes::kSoon)));
  EXPECT_EQ(filesystems_->state(0), thawing);
  kernel_.let_go(0, Call::thaw);
  watchdog.join();
  EXPECT_EQ(filesystems_->state(0), thawed);
}

TEST_F(Filesystems, AdoptedAsPerhapsFrozenAreThawedOrFoundIdle) {
  add({0, 0}, FreezeState::freezing);
  kernel_.freeze_by_somebody_else(0);
  EXPECT_TRUE(thaw_all());
  EXPECT_EQ(states(), (States{thawed, idle}));
}

TEST_F(Filesystems, SurviveEveryRaceOfFreezeAndEnd) {
  for (int round = 0; round < 30; ++round) {
    FakeKernel kernel;
    std::vector<FrozenFilesystems::Filesystem> all;
    for (int i = 0; i < 4; ++i) {
      Id id = 0;
      UniqueFd fd = kernel.add(id);
      all.push_back({"/fs", 0, i % 2, std::move(fd)});
    }
    FrozenFilesystems filesystems = std::move(FrozenFilesystems::adopt(std::move(all), kernel).value());
    const pid_t freezer = fakes::start_child([&] {
      freeze(filesystems);
      return 0;
    });
    std::this_thread::sleep_for(std::chrono::microseconds(100 * round));
    const LifeLine life = new_life_line();  // The freezer goes on living for the thawer.
    auto thawer = Thawer::create(filesystems, std::vector<int>(4, life.seen.get()), Thawer::Role::successor);
    ASSERT_TRUE(thawer);
    static_cast<void>(thawer->run(Deadline::in(milliseconds(1))));
    ASSERT_EQ(fakes::status_of(freezer), 0);
    ASSERT_TRUE(thawer->run(Deadline::in(fakes::kSoon))) << round;
    ASSERT_FALSE(kernel.any_frozen()) << round;
  }
}

TEST(ADeviceToFlush, IsFlushedAfterEachWriteBack) {
  FakeKernel kernel;
  Id id = 0;
  std::array<Id, 2> devices{};
  std::vector<FrozenFilesystems::Filesystem> one;
  one.push_back({"/data", 1, 0, kernel.add(id)});
  for (Id& device : devices) one.front().to_flush.push_back(kernel.add(device));
  FrozenFilesystems filesystems = FrozenFilesystems::adopt(std::move(one), kernel).value();
  EXPECT_EQ(filesystems.descriptors_of(0).size(), 3U);
  filesystems.sync(0);
  EXPECT_EQ(kernel.succeeded(devices[1], Call::flush), 1);
  filesystems.freeze(0);
  EXPECT_EQ(kernel.succeeded(devices[1], Call::flush), 2);
  EXPECT_GT(kernel.order(devices[0], Call::flush), kernel.order(id, Call::sync));
  EXPECT_GT(kernel.order(devices[1], Call::flush), kernel.order(devices[0], Call::flush));
  EXPECT_EQ(filesystems.write_error(0), 0);
  kernel.fail(devices[0], Call::flush, EIO);
  filesystems.sync(0);
  EXPECT_EQ(filesystems.write_error(0), EIO);
  filesystems.close();
  EXPECT_EQ(filesystems.descriptors_of(0), std::vector<int>{-1});
}

// Opening.

PlannedFilesystem planned(const std::vector<Mount>& mounts) { return {mounts.front().device, 0, mounts, {}}; }

/// The real mount at a path of this host, which is only opened.
Mount mount_at(const std::string& path) {
  const auto table = MountTable::read();
  const Mount* mount = table ? table->resolve(path) : nullptr;
  if (mount == nullptr || mount->mount_point != path) throw std::runtime_error(path + " is no mount point");
  return *mount;
}

TEST(Opening, LeavesOutWhatCannotBeFlushed) {
  FakeKernel kernel;
  FreezePlan plan;
  plan.filesystems = {planned({mount_at("/proc")}), planned({mount_at("/proc")})};
  plan.filesystems[0].to_flush = {"/dev/null/absent"};
  plan.filesystems[1].to_flush = {"/dev/null"};
  const auto opening = FrozenFilesystems::open(plan, kernel);
  ASSERT_TRUE(opening) << opening.error().message;
  ASSERT_EQ(opening->left_out.size(), 2U);
  EXPECT_THAT(opening->left_out[0].why, HasSubstr("/dev/null/absent cannot be opened"));
  EXPECT_THAT(opening->left_out[1].why, HasSubstr("/dev/null is no block device"));
}

TEST(Opening, OpensTheMountThatWasListed) {
  FakeKernel kernel;
  FreezePlan plan;
  plan.filesystems = {planned({mount_at("/proc")})};
  const auto opening = FrozenFilesystems::open(plan, kernel);
  ASSERT_TRUE(opening) << opening.error().message;
  EXPECT_THAT(opening->left_out, IsEmpty());
  ASSERT_EQ(opening->filesystems.size(), 1U);
  EXPECT_EQ(opening->filesystems[0].mount_point, "/proc");
  EXPECT_EQ(*mount_id_of(opening->filesystems[0].fd.get()), mount_at("/proc").id);
}

TEST(Opening, LeavesOutWhatIsAnotherMountByNow) {
  FakeKernel kernel;
  Mount gone = mount_at("/proc");
  gone.id = 999'999;
  FreezePlan plan;
  plan.filesystems = {planned({gone}), planned({mount_at("/sys")})};
  const auto opening = FrozenFilesystems::open(plan, kernel);
  ASSERT_TRUE(opening);
  ASSERT_EQ(opening->filesystems.size(), 1U);
  EXPECT_EQ(opening->filesystems[0].mount_point, "/sys");
  ASSERT_EQ(opening->left_out.size(), 1U);
  EXPECT_THAT(opening->left_out[0].why, HasSubstr("/proc is another mount by now"));
}

TEST(Opening, LeavesOutWhatHasTheIdOfAMountThatIsGone) {
  FakeKernel kernel;
  Mount before = mount_at("/proc");
  before.device = makedev(259, 1);  // The kernel gives out an id again at once.
  FreezePlan plan;
  plan.filesystems = {planned({before}), planned({mount_at("/sys")})};
  const auto opening = FrozenFilesystems::open(plan, kernel);
  ASSERT_TRUE(opening);
  ASSERT_EQ(opening->filesystems.size(), 1U);
  EXPECT_EQ(opening->filesystems[0].mount_point, "/sys");
  ASSERT_EQ(opening->left_out.size(), 1U);
  EXPECT_THAT(opening->left_out[0].why, HasSubstr("another filesystem is mounted there by now"));
}

TEST(Opening, LeavesOutWhatLetsNobodyIn) {
  FakeKernel kernel;
  Mount deep = mount_at("/proc");
  deep.mount_point = "/" + std::string(5000, 'x');
  FreezePlan plan;
  plan.filesystems = {planned({deep}), planned({deep, mount_at("/sys")})};
  const auto opening = FrozenFilesystems::open(plan, kernel);
  ASSERT_TRUE(opening) << opening.error().message;
  EXPECT_EQ(opening->filesystems.size(), 1U);
  ASSERT_EQ(opening->left_out.size(), 1U);
  EXPECT_THAT(opening->left_out[0].why, HasSubstr("File name too long"));
}

TEST(Opening, TriesEveryWayIn) {
  FakeKernel kernel;
  Mount absent = mount_at("/proc");
  absent.mount_point = "/nowhere";
  FreezePlan plan;
  plan.filesystems = {planned({absent, mount_at("/proc")})};
  const auto opening = FrozenFilesystems::open(plan, kernel);
  ASSERT_TRUE(opening);
  EXPECT_THAT(opening->left_out, IsEmpty());
  ASSERT_EQ(opening->filesystems.size(), 1U);
}

TEST(Opening, LeavesOutWhatHasGone) {
  FakeKernel kernel;
  Mount absent = mount_at("/proc");
  absent.mount_point = "/nowhere";
  FreezePlan plan;
  plan.filesystems = {planned({absent})};
  const auto opening = FrozenFilesystems::open(plan, kernel);
  ASSERT_TRUE(opening);
  EXPECT_EQ(opening->filesystems.size(), 0U);
  ASSERT_EQ(opening->left_out.size(), 1U);
  EXPECT_THAT(opening->left_out[0].why, HasSubstr("/nowhere"));
}

TEST(Opening, DoesNotFollowASymbolicLinkThatTookTheMountPointsPlace) {
  const fakes::Scratch scratch;
  ASSERT_EQ(::symlink("/proc", (scratch / "link").c_str()), 0);
  FakeKernel kernel;
  Mount mount = mount_at("/proc");
  mount.mount_point = scratch / "link";
  FreezePlan plan;
  plan.filesystems = {planned({mount})};
  const auto opening = FrozenFilesystems::open(plan, kernel);
  ASSERT_TRUE(opening);
  EXPECT_EQ(opening->filesystems.size(), 0U);
}

TEST(Opening, DoesNotWaitForTheWriterOfAFifo) {
  const fakes::Scratch scratch;
  ASSERT_EQ(::mkfifo((scratch / "fifo").c_str(), 0600), 0);
  FakeKernel kernel;
  Mount mount = mount_at("/proc");
  mount.mount_point = scratch / "fifo";
  FreezePlan plan;
  plan.filesystems = {planned({mount})};
  EXPECT_TRUE(FrozenFilesystems::open(plan, kernel));
}

TEST(Opening, FailsForWhatIsNotTheFaultOfOneFilesystem) {
  const int status = fakes::in_child([] {
    FakeKernel kernel;
    FreezePlan plan;
    plan.filesystems = {planned({mount_at("/proc")})};
    rlimit usual{};
    if (::getrlimit(RLIMIT_NOFILE, &usual) != 0) return 2;
    const rlimit none = {0, usual.rlim_max};
    if (::setrlimit(RLIMIT_NOFILE, &none) != 0) return 2;
    const auto opening = FrozenFilesystems::open(plan, kernel);
    ::setrlimit(RLIMIT_NOFILE, &usual);  // Sanitizers need some, too.
    return !opening && opening.error().errno_value == EMFILE ? 0 : 1;
  });
  EXPECT_EQ(status, 0);
}

TEST(Opening, LeavesOutAMountThatRefusesThisUser) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs a user to become";
  const int status = fakes::in_child([] {
    const fakes::Scratch scratch;
    scratch.write("closed/file", "");
    ::chmod((scratch / "closed").c_str(), 0700);
    FakeKernel kernel;
    Mount mount = mount_at("/proc");
    mount.mount_point = scratch / "closed/file";
    FreezePlan plan;
    plan.filesystems = {planned({mount})};
    if (::seteuid(65534) != 0) return 2;
    const auto opening = FrozenFilesystems::open(plan, kernel);
    const bool left_out = opening && opening->filesystems.size() == 0 && opening->left_out.size() == 1;
    return ::seteuid(0) == 0 && left_out ? 0 : 1;
  });
  EXPECT_EQ(status, 0);
}

TEST(Opening, ClosesItsDescriptorsAtTheEndAndOnExec) {
  FakeKernel kernel;
  const std::size_t before = fakes::open_descriptors();
  {
    FreezePlan plan;
    plan.filesystems = {planned({mount_at("/proc")})};
    const auto opening = FrozenFilesystems::open(plan, kernel);
    ASSERT_TRUE(opening);
    EXPECT_EQ(::fcntl(opening->filesystems[0].fd.get(), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
  }
  EXPECT_EQ(fakes::open_descriptors(), before);
}

TEST(FreezeStates, SayWhetherSomebodyStillHasToThaw) {
  for (const FreezeState state : {FreezeState::freezing, frozen, undoing, thawing, thaw_failed}) {
    EXPECT_TRUE(may_be_frozen(state)) << to_string(state);
  }
  for (const FreezeState state : {idle, thawed, lost, busy, unsupported, freeze_failed}) {
    EXPECT_FALSE(may_be_frozen(state)) << to_string(state);
  }
}

// The real calls, which are denied here (see fakes/no_freezing.hpp): an error comes back as its errno.
TEST(IoctlFreezeControl, GivesTheErrorOfTheCall) {
  IoctlFreezeControl control;
  EXPECT_EQ(control.freeze(-1), EPERM);
  EXPECT_EQ(control.thaw(-1), EPERM);
  EXPECT_EQ(control.sync(-1), EBADF);
  EXPECT_EQ(control.flush(-1), EBADF);
}

}  // namespace
}  // namespace dlm_freeze
