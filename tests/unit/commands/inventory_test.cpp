// SPDX-License-Identifier: Apache-2.0
#include "commands/inventory.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <iostream>

#include "dlm_freeze/base/log.hpp"
#include "fakes/fake_kernel.hpp"
#include "planned_host.hpp"

namespace dlm_freeze {
namespace {

using testing::HasSubstr;
using testing::Not;

int code_of(ErrorKind kind) { return kind == ErrorKind::not_ready ? 206 : 201; }

class Items : public testing::Test {
 protected:
  static constexpr const char* kDevices =
      "nvme0n1 259:0 serial=vol0a\n"
      "nvme1n1 259:1 serial=vol0b\n"
      "nvme2n1 259:2 serial=vol0c\n";
  static constexpr const char* kMounts =
      "1 0 259:0 / / rw - ext4 /dev/nvme0n1 rw\n"
      "2 1 259:1 / /nowhere/b rw - xfs /dev/nvme1n1 rw\n"
      "3 1 259:2 / /nowhere/c rw - xfs /dev/nvme2n1 rw\n";

  Items() { host_.settings.config_hash = "0123456789abcdef"; }

  InventoryItem item() {
    const VolumeReport volumes = host_.report();
    const DryRunReport report{host_.plan,
                              host_.settings,
                              std::chrono::seconds(45),
                              readiness_,
                              volumes,
                              {},
                              judge_consistency(host_.plan, host_.settings, readiness_, volumes, ""),
                              {},
                              {}};
    return inventory_of(report, context_, std::chrono::system_clock::from_time_t(1'795'452'002));
  }

  PlannedHost host_{kDevices, kMounts};
  Readiness readiness_;
  Log log_{nullptr, nullptr, LogLevel::error};
  QuiescerRegistry registry_{{&fakes::FakeDatabases::type()}, {}, "/nowhere"};
  fakes::FakeKernel kernel_;
  CommandContext context_{log_, std::cout, false, registry_, kernel_, nullptr, BootClock::now(), "", "1.2.3", code_of};
};

TEST_F(Items, SayWhatAPreScriptWouldCover) {
  const InventoryItem ready = item();
  EXPECT_EQ(ready.get("Ready"), "yes");
  EXPECT_EQ(ready.get("ExitCode"), "0");
  EXPECT_EQ(ready.get("Reason"), "");
  EXPECT_EQ(ready.get("Consistent"), "yes");
  EXPECT_EQ(ready.get("VolumesCovered"), "vol-0b, vol-0c");
  EXPECT_EQ(ready.get("VolumesNotCovered"), "");
  EXPECT_EQ(ready.get("Version"), "1.2.3");
  EXPECT_EQ(ready.get("ConfigHash"), "0123456789abcdef");
  EXPECT_EQ(ready.get("ProbedAt"), "2026-11-23T16:40:02Z");
  EXPECT_EQ(ready.get("AutoThawSeconds"), "45");
}

TEST_F(Items, AreReadyAndNotWholeWhereAVolumeIsLeftOut) {
  host_.settings.filesystems.exclude = {"/nowhere/c"};
  host_.replan(kMounts);
  const InventoryItem partly = item();
  EXPECT_EQ(partly.get("Ready"), "yes");
  EXPECT_EQ(partly.get("Consistent"), "partly");
  EXPECT_EQ(partly.get("VolumesNotCovered"), "vol-0c");
  EXPECT_THAT(partly.get("Reason"), HasSubstr("excluded by the configuration"));
}

TEST_F(Items, AreNotReadyWhereNothingIsHeld) {
  host_.settings.filesystems.freeze = false;
  host_.replan(kMounts);
  EXPECT_EQ(item().get("Ready"), "no");
  EXPECT_EQ(item().get("ExitCode"), "0");
  EXPECT_EQ(item().get("Consistent"), "no");
}

TEST_F(Items, HaveTheCodeAndTheCauseOfTheFirstFailure) {
  readiness_.findings = {{"privilege", {}}, {"host", failure("this is not the host")}, {"x", failure("another")}};
  const InventoryItem failed = item();
  EXPECT_EQ(failed.get("Ready"), "no");
  EXPECT_EQ(failed.get("ExitCode"), "201");
  EXPECT_EQ(failed.get("Reason"), "this is not the host");
  EXPECT_EQ(failed.get("Consistent"), "no");
}

TEST_F(Items, DoNotRepeatWhatADatabaseSaid) {
  const std::string secret = "statement 7 of alice@10.0.0.7: SELECT * FROM salaries WHERE token = 'hunter2'";
  readiness_.findings = {{"payroll", failure(secret, ErrorKind::not_ready), true}};
  const InventoryItem failed = item();
  EXPECT_EQ(failed.get("ExitCode"), "206");
  EXPECT_THAT(failed.get("Reason"), HasSubstr("payroll cannot be quiesced now"));
  for (const char* word : {"alice", "10.0.0.7", "SELECT", "salaries", "hunter2"})
    EXPECT_THAT(failed.text(), Not(HasSubstr(word)));
  readiness_.findings = {{"databases", failure(secret)}};
  EXPECT_THAT(item().text(), Not(HasSubstr("alice")));
}

TEST_F(Items, AreNotReadyWhereNothingCouldBeLookedAt) {
  const auto failed = inventory_of(Error{ErrorKind::failed, "line 3: unknown key", 0}, context_, {});
  EXPECT_EQ(failed.get("Ready"), "no");
  EXPECT_EQ(failed.get("ExitCode"), "201");
  EXPECT_EQ(failed.get("Reason"), "line 3: unknown key");
}

}  // namespace
}  // namespace dlm_freeze
