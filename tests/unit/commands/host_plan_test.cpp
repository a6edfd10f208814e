// SPDX-License-Identifier: Apache-2.0
#include "commands/host_plan.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <sstream>

#include "fakes/fake_databases.hpp"
#include "fakes/fake_kernel.hpp"
#include "fakes/mount_tables.hpp"
#include "fakes/processes.hpp"

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

TEST(Coverage, FollowsSymbolicLinks) {
  const fakes::Scratch scratch;
  std::filesystem::create_directory(scratch / "real");
  std::filesystem::create_directory_symlink(scratch / "real", scratch / "link");
  const HostPlan plan =
      plan_of("1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 8:2 / " + (scratch / "real") + " rw - ext4 /dev/sdb rw\n");
  EXPECT_TRUE(plan.coverage(scratch / "link/file").frozen);
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
  CommandContext context_{log_, out_, false, registry_, kernel_, nullptr, BootClock::now(), "/nowhere"};
  Settings settings_;
};

TEST_F(HostPlans, HaveEveryMountOfTheHost) {
  const auto plan = this->plan();
  ASSERT_TRUE(plan) << plan.error().message;
  const auto of_others = std::count_if(plan->freeze.mounts.begin(), plan->freeze.mounts.end(), [](const auto& planned) {
    return planned.reason == Reason::unseen;  // What happens to be mounted beside this test.
  });
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
  CommandContext context{log_, out, false, without_module, kernel_, nullptr, BootClock::now(), "/nonexistent"};
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
