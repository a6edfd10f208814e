// SPDX-License-Identifier: Apache-2.0
#include "commands/host_plan.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <memory>
#include <sstream>

#include "fakes/fake_databases.hpp"
#include "fakes/fake_kernel.hpp"
#include "fakes/mount_tables.hpp"
#include "fakes/processes.hpp"
#include "fakes/scratch.hpp"

namespace dlm_freeze {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

HostPlan plan_of(const std::string& mountinfo) {
  MountTable table = fakes::table_from(mountinfo);
  BlockStacks stacks;
  for (const Mount& mount : table.mounts()) stacks[mount.device].devices = {"disk"};
  FreezePlan freeze = plan_freeze(table, stacks, {});
  HostPlan plan{std::move(table), std::move(freeze), {}, {}, {}};
  return plan;
}

TEST(Coverage, SaysWhetherAPathIsGoingToBeFrozenAndWhy) {
  const HostPlan plan = plan_of(
      "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n"
      "2 1 8:2 / /nowhere/data rw - ext4 /dev/sdb rw\n"
      "3 1 8:2 /bind /nowhere/bind rw - ext4 /dev/sdb rw\n");
  const Coverage data = plan.coverage("/nowhere/data/mysql/ibdata1");
  EXPECT_TRUE(data.frozen);
  EXPECT_EQ(data.mount_point, "/nowhere/data");
  EXPECT_TRUE(plan.coverage("/nowhere/bind/x").frozen);
  const Coverage root = plan.coverage("/nowhere/else");
  EXPECT_FALSE(root.frozen);
  EXPECT_EQ(root.mount_point, "/");
  EXPECT_EQ(root.why, "the filesystem of /");
}

TEST(Coverage, IsNoneOfWhatCannotBeOpened) {
  HostPlan host = plan_of(
      "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n"
      "2 1 8:2 / /nowhere/data rw - ext4 /dev/sdb rw\n");
  ASSERT_FALSE(host.freeze.filesystems.empty());
  const PlannedFilesystem& filesystem = host.freeze.filesystems.front();
  ASSERT_TRUE(host.coverage(filesystem.mount_point()).frozen);
  host.unopened[filesystem.device] = "cannot open it: Input/output error";
  const Coverage coverage = host.coverage(filesystem.mount_point());
  EXPECT_FALSE(coverage.frozen);
  EXPECT_EQ(coverage.why, "cannot open it: Input/output error");
}

TEST(Coverage, FollowsSymbolicLinks) {
  const fakes::Scratch scratch;
  std::filesystem::create_directory(scratch / "real");
  std::filesystem::create_directory_symlink(scratch / "real", scratch / "link");
  const HostPlan plan =
      plan_of("1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 8:2 / " + (scratch / "real") + " rw - ext4 /dev/sdb rw\n");
  EXPECT_TRUE(plan.coverage(scratch / "link/file").frozen);
}

TEST(Coverage, OfAnOverlayIsThatOfWhatTakesItsWrites) {
  const HostPlan plan = plan_of(
      "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n"
      "2 1 8:2 / /nowhere/data rw - ext4 /dev/sdb rw\n"
      "3 1 0:40 / /nowhere/on-data rw - overlay o rw,lowerdir=/low,upperdir=/nowhere/data/u,workdir=/nowhere/data/w\n"
      "4 1 0:41 / /nowhere/on-that rw - overlay o "
      "rw,lowerdir=/low,upperdir=/nowhere/on-data/u,workdir=/nowhere/on-data/w\n"
      "5 1 0:42 / /nowhere/on-root rw - overlay o rw,lowerdir=/nowhere/data,upperdir=/u,workdir=/w\n"
      "6 1 0:43 / /nowhere/read-only ro - overlay o ro,lowerdir=/nowhere/data:/low\n");
  EXPECT_TRUE(plan.coverage("/nowhere/on-data/db").frozen);
  EXPECT_EQ(plan.coverage("/nowhere/on-data/db").why, "overlay on /nowhere/data");
  EXPECT_TRUE(plan.coverage("/nowhere/on-that/db").frozen);
  EXPECT_FALSE(plan.coverage("/nowhere/on-root/db").frozen);
  EXPECT_FALSE(plan.coverage("/nowhere/read-only/db").frozen) << "nothing is written there";
}

/// A plan of this host in which something somewhere is frozen.
HostPlan plan_with_frozen(const std::set<dev_t>& writable) {
  auto table = MountTable::read();
  EXPECT_TRUE(table);
  FreezePlan freeze;
  freeze.filesystems.push_back({.device = 1, .level = 0, .mounts = table->mounts(), .stack = {}});
  freeze.writable = writable;
  return {std::move(*table), std::move(freeze), {}, {}, {}};
}

TEST(WhoWrites, WaitsUnlessTheFilesystemIsKnownToLieOnNothingThatIsFrozen) {
  const fakes::Scratch scratch("/var/tmp");
  const UniqueFd file(::open(scratch.write("file", "x").c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_TRUE(file);
  const HostPlan nothing_known = plan_with_frozen({});
  EXPECT_TRUE(nothing_known.may_wait_for_thaw(file.get()));
  const dev_t device = nothing_known.table.resolve(scratch / "file")->device;
  EXPECT_FALSE(plan_with_frozen({device}).may_wait_for_thaw(file.get()));
  const fakes::Scratch in_memory("/dev/shm");
  const UniqueFd other(::open(in_memory.write("file", "x").c_str(), O_RDWR | O_CLOEXEC));
  EXPECT_FALSE(nothing_known.may_wait_for_thaw(other.get()));
}

TEST(WhoWrites, DoesNotWaitOnPipesAndDevicesNorWhereNothingIsFrozen) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  const UniqueFd reading(ends[0]);
  const UniqueFd writing(ends[1]);
  const UniqueFd null(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  const HostPlan plan = plan_with_frozen({});
  EXPECT_FALSE(plan.may_wait_for_thaw(writing.get()));
  EXPECT_FALSE(plan.may_wait_for_thaw(null.get()));
  EXPECT_FALSE(plan.may_wait_for_thaw(1'000'000)) << "closed";
  const fakes::Scratch scratch("/var/tmp");
  const UniqueFd file(::open(scratch.write("file", "x").c_str(), O_RDWR | O_CLOEXEC));
  HostPlan idle = plan_with_frozen({});
  idle.freeze.filesystems.clear();
  EXPECT_FALSE(idle.may_wait_for_thaw(file.get()));
}

/// Lines as they would be printed.
class Lines : public LogOutput {
 public:
  explicit Lines(std::vector<std::string>& lines) : lines_(&lines) {}
  void write(const LogLine& line) override {
    lines_->push_back((line.level == LogLevel::warn ? "WARN: " : "INFO: ") + line.text);
  }

 private:
  std::vector<std::string>* lines_;
};

TEST(Gaps, AreAWarningEachAndALineForAllThatWereToBeExpected) {
  MountTable table = fakes::table_from(
      "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n"
      "2 1 8:2 / /boot rw - ext4 /dev/sda2 rw\n"
      "3 1 8:3 / /efi rw - vfat /dev/sda3 rw\n"
      "4 1 8:4 / /ssm rw - ext4 /dev/sdb rw\n"
      "5 1 8:4 /x /bind rw - ext4 /dev/sdb rw\n"
      "6 1 8:5 / /scratch/a rw - ext4 /dev/sdc rw\n"
      "7 1 8:6 / /scratch/b rw - ext4 /dev/sdd rw\n");
  BlockStacks stacks;
  for (const Mount& mount : table.mounts()) stacks[mount.device].devices = {"disk"};
  Selection selection;
  selection.exclude = {"/scratch/*"};
  selection.protect = {"/ssm"};
  FreezePlan freeze = plan_freeze(table, stacks, selection);
  HostPlan plan{std::move(table), std::move(freeze), {}, {}, {}};
  plan.all_processes_seen = false;
  std::vector<std::string> lines;
  Log log(std::make_unique<Lines>(lines), nullptr);
  log_gaps(plan, log);
  EXPECT_THAT(lines, testing::UnorderedElementsAre(
                         "WARN: /efi is not frozen: vfat cannot be frozen",
                         "WARN: /ssm (and 1 more mount of it) is not frozen: holds /ssm",
                         "INFO: not frozen, since root and /boot never are: /, /boot",
                         "INFO: not frozen, since the configuration leaves it out: /scratch/a, /scratch/b",
                         testing::StartsWith("WARN: some mount namespaces were not examined")));
}

TEST(Gaps, AreSaidInFewEnoughWordsToLeaveRoomForAnError) {
  std::string mountinfo = "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n";
  for (int i = 2; i < 102; ++i) {
    const std::string n = std::to_string(i);
    mountinfo += n + " 1 8:" + n + " / /a/rather/long/mount/point/" + n + " rw - vfat /dev/x rw\n";
  }
  const HostPlan plan = plan_of(mountinfo);
  std::vector<std::string> lines;
  Log log(std::make_unique<Lines>(lines), nullptr);
  log_gaps(plan, log);
  std::size_t length = 0;
  for (const std::string& line : lines) length += line.size() + 1;
  EXPECT_LT(length, 1500U);
  EXPECT_THAT(
      lines, testing::Contains(testing::MatchesRegex(
                 "WARN: 95 more filesystems are not frozen \\(dlm-freeze dry-run --all shows why\\): .* and 90 more")));
}

/// plan_host looks at the real host, but freezes nothing of it.
class HostPlans : public testing::Test {
 protected:
  [[nodiscard]] Result<HostPlan> plan() { return plan_host(settings_, context_); }
  [[nodiscard]] static QuiescerConfig database() { return fakes::FakeDatabases::config(0, "db"); }

  std::ostringstream out_;
  Log log_{nullptr, nullptr};
  QuiescerRegistry registry_{{&fakes::FakeDatabases::type()}, {}, "/nowhere"};
  fakes::FakeKernel kernel_;
  fakes::FakeDatabases databases_;
  /// What the tests beside this one have in namespaces of their own is not opened.
  static Settings without_others() {
    Settings settings;
    settings.filesystems.other_namespaces = OtherNamespaces::warn;
    return settings;
  }

  CommandContext context_{log_, out_, false, registry_, kernel_, nullptr, BootClock::now(), "/nowhere", "0"};
  Settings settings_ = without_others();
};

TEST_F(HostPlans, HaveEveryMountOfTheHost) {
  const auto plan = this->plan();
  ASSERT_TRUE(plan) << plan.error().message;
  // What happens to be mounted beside this test, for whatever reason it is not frozen.
  const auto of_others = std::count_if(plan->freeze.mounts.begin(), plan->freeze.mounts.end(),
                                       [](const auto& planned) { return planned.is_elsewhere(); });
  EXPECT_EQ(plan->freeze.mounts.size() - static_cast<std::size_t>(of_others), plan->table.mounts().size());
  EXPECT_THAT(plan->quiescers, IsEmpty());
}

TEST_F(HostPlans, LocateTheDatabasesOfTheConfiguration) {
  settings_.quiescers = {database()};
  const auto plan = this->plan();
  ASSERT_TRUE(plan);
  ASSERT_EQ(plan->quiescers.size(), 1U);
  EXPECT_TRUE(plan->quiescers[0].presence.running);
  EXPECT_EQ(databases_.calls(0, fakes::FakeDatabases::Stage::locate), 1);
  EXPECT_EQ(databases_.calls(0, fakes::FakeDatabases::Stage::probe), 0) << "that is for later";
}

TEST_F(HostPlans, KnowADatabaseThatDoesNotRun) {
  settings_.quiescers = {database()};
  databases_.set(0, fakes::FakeDatabases::Stage::locate, fakes::FakeDatabases::Behaviour::failed);
  const auto plan = this->plan();
  ASSERT_TRUE(plan);
  EXPECT_FALSE(plan->quiescers[0].presence.running);
}

TEST_F(HostPlans, TellFilesystemsAlsoWhereADatabaseCannotBeLookedFor) {
  settings_.quiescers = {{"oracle", "o", true, Json::Object()}};
  const auto plan = this->plan();
  ASSERT_TRUE(plan);
  EXPECT_FALSE(plan->freeze.mounts.empty());
  ASSERT_FALSE(plan->databases_known);
  EXPECT_THAT(plan->databases_known.error().message, HasSubstr("there is no quiescer of type 'oracle'"));
}

TEST_F(HostPlans, OfAHostWhoseDatabaseNeedsAModuleThatIsNotInstalledAreAnErrorOnlyForPreScript) {
  QuiescerRegistry without_module({}, {{.name = "mysql", .signs = {"/proc/self/status"}}}, "/nonexistent");
  std::ostringstream out;
  CommandContext context{log_, out, false, without_module, kernel_, nullptr, BootClock::now(), "/nonexistent", "0"};
  EXPECT_TRUE(dry_run(settings_, context));
  EXPECT_THAT(out.str(), HasSubstr("pre-script would fail: found /proc/self/status: the module for mysql is not"));
  settings_.probe = true;
  EXPECT_FALSE(dry_run(settings_, context));
}

TEST(Privilege, IsRootsAndNobodyElses) {
  if (::geteuid() != 0) {
    EXPECT_FALSE(check_privilege());
    return;
  }
  EXPECT_TRUE(check_privilege());
  EXPECT_EQ(fakes::in_child([] { return ::setuid(65534) == 0 && !check_privilege() ? 0 : 1; }), 0);
}

}  // namespace
}  // namespace dlm_freeze
